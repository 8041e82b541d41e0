"""A key that asks twice as often as it may: what another key notices of it."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import aiohttp

from benchmarks import samples
from benchmarks.apart import apart
from benchmarks.loops import keep_pace
from benchmarks.places import Place, asking
from benchmarks.results import Line, Reading, Readings, Target
from benchmarks.sites import Options, say, site

ALLOWED, ASKED, RATE = 20, 40, 15
"""Requests a second: what a key may make, what one makes, and what the other one makes.

What it may make is little, since its load counts, too: lists at 100 a second alone keep a server of one core busy.
"""
HONEST_SECONDS, STARTING_SECONDS = 15.0, 3.0
STORED = 2_000
CONNECTIONS = 8


def greedy(options: Options) -> Iterator[Line]:
    """Measure a client that creates orders, alone and beside one that lists them and does not wait when told to."""
    readings = Readings()
    with site(options, settings={"TANDEM_KEY_REQUESTS_PER_SECOND": str(ALLOWED)}) as here, ThreadPoolExecutor() as pool:
        here.fill(STORED, 0)
        for number in range(options.rounds):
            readings.add("alone", apart(create_evenly, here.place))
            asked = pool.submit(apart, ask_too_often, here.place)
            time.sleep(STARTING_SECONDS)
            readings.add("beside", apart(create_evenly, here.place))
            readings.add("asked", asked.result())
            seen = (f"{load} {readings.middle(load, 'p99'):.1f} ms" for load in ("alone", "beside"))
            say(f"  round {number + 1}: median p99 {', '.join(seen)}")
    refused, every = (readings.middle("asked", value) for value in ("refused", "every"))
    note = f"{ASKED} requests/s of a key that may make {ALLOWED}: {refused:,.0f} of {every:,.0f} refused"
    for part in ("p50", "p99"):
        beside, alone = (readings.series(load, part, "ms") for load in ("beside", "alone"))
        target = Target(2, of_quotient=True) if part == "p99" else None
        what = f"create at {RATE}/s beside a greedy key, {part}"
        yield Line(what, beside, "alone", alone, target, note, readings.cores("beside"))


async def create_evenly(place: Place) -> Reading:
    """Create orders over REST at an even pace."""
    async with place.rest(CONNECTIONS) as session:
        create = asking(session, "POST", "/v1/orders", samples.order_json)
        return (await keep_pace({"": create}, RATE, HONEST_SECONDS, {"": place.pids}))[""]


async def ask_too_often(place: Place) -> Reading:
    """List orders twice as often as the key may, until the other one has ended, and return how many were refused."""
    headers, statuses = {"authorization": f"Bearer {place.keys['TANDEM_REPORTS_KEY']}"}, Counter[int]()

    async def ask(session: aiohttp.ClientSession) -> None:
        async with session.get("/v1/orders?page_size=10", headers=headers) as reply:
            await reply.read()
            statuses[reply.status] += 1

    async with place.rest(CONNECTIONS) as session, asyncio.TaskGroup() as group:
        started = time.perf_counter()
        for number in range(round(ASKED * (HONEST_SECONDS + 2 * STARTING_SECONDS))):
            await asyncio.sleep(started + number / ASKED - time.perf_counter())
            group.create_task(ask(session))
    assert set(statuses) == {200, 429}, statuses
    return Reading({"refused": statuses[429], "every": statuses.total()})
