"""How the servers delete what is old, and what creating orders meanwhile costs because of that."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks import disks, samples
from benchmarks.aged import Aged, Count
from benchmarks.apart import WorkFailedError, apart
from benchmarks.clocks import stretch
from benchmarks.places import Place, calling
from benchmarks.results import Line, Reading, Readings, Target
from benchmarks.sites import Options, Site, say, site
from tandem.crm.v1.crm_service_pb2_grpc import CrmServiceStub
from tandem.crm.v1.order_requests_pb2 import CreateOrderRequest

YOUNG = 1_000
QUIET_SECONDS, PAUSE_SECONDS = 10.0, 0.02
"""How long orders are created before anything is old; the pause between two of them."""
ROUND_SECONDS = 75.0
"""A round begins within a minute."""
DELETED = "deleted what was too old"
"""What a server's log says at the end of each kind."""


def old_rows(options: Options) -> Iterator[Line]:
    """Let two servers (on SQLite one) delete old rows of every kind in one round each, while orders are created."""
    readings, slowest = Readings(), {"": 0.0}
    for number in range(options.rounds):
        with site(options, servers=1 if options.embedded else 2) as here:
            readings.add("quiet", apart(create_orders, here.place, QUIET_SECONDS))
            aged = Aged(here.database.engine())
            kept = _add(aged, options.rows)
            old = sum(count - kept[table] for table, count in aged.count().items() if table != "imports")  # they stay
            with disks.watched(here.database.disk()) as disk:
                _wait_for_a_round(aged)
                logs = [place.log for place in here.places]
                readings.add("meanwhile", apart(create_orders, here.place, None, logs, old))
            if (left := aged.count()) != kept:
                raise WorkFailedError(f"what is young was deleted, or what is old was not: of {kept} there are {left}")
            slowest = _slowest(here)
        readings.add("slowest", Reading({"ms": max(slowest.values()), "disk": disk.slowest}))
        say(f"  round {number + 1}: {readings.middle('meanwhile', 'seconds'):.0f} s, slowest {slowest}")
    yield from _lines(options, readings, slowest)


def _lines(options: Options, readings: Readings, slowest: Mapping[str, float]) -> Iterator[Line]:
    servers = "one server" if options.embedded else "two servers at once"
    seconds, cores = readings.series("meanwhile", "seconds", "s"), readings.cores("meanwhile")
    yield Line(f"{options.rows:,} old rows of each kind deleted by {servers}", seconds, cores=cores)
    note = ", ".join(f"{kind} {ms:.0f}" for kind, ms in slowest.items())
    most, disk = (readings.series("slowest", value, "ms") for value in ("ms", "disk"))
    beside = disk if all(disk.values) else None
    yield Line("slowest transaction of it", most, "disk alone, a page", beside, Target(100), note)
    for part in ("p50", "p99"):
        meanwhile, quiet = (readings.series(load, part, "ms") for load in ("meanwhile", "quiet"))
        yield Line(f"creating an order meanwhile, {part}", meanwhile, "before", quiet)


def _add(aged: Aged, rows: int) -> Count:
    """Store old rows and young ones, and return how many are to stay."""
    started, before = time.monotonic(), aged.count()
    aged.add(0, young=YOUNG)
    kept = aged.count()
    aged.add(rows, young=0)
    say(f"  {sum(aged.count().values()) - sum(before.values()):,} rows stored in {time.monotonic() - started:.0f} s")
    return kept


def _wait_for_a_round(aged: Aged) -> None:
    full, deadline = aged.count(), time.monotonic() + ROUND_SECONDS
    while aged.count()["idempotency_keys"] == full["idempotency_keys"]:
        if time.monotonic() > deadline:
            raise WorkFailedError("no server has begun to delete")
        time.sleep(0.1)


async def create_orders(place: Place, seconds: float | None, logs: Sequence[Path] = (), old: int = 0) -> Reading:
    """Create orders one after the other for some *seconds*, or until *logs* tell that *old* rows are deleted."""
    gone = asyncio.create_task(asyncio.sleep(seconds) if seconds else _deleted(logs, old))
    durations: list[float] = []
    async with place.channel() as channel:
        create = calling(
            CrmServiceStub(channel).CreateOrder, lambda: CreateOrderRequest(order=samples.order()), place.crm_key
        )
        await create()
        with stretch(place.pids) as seen:
            while not gone.done():
                started = time.perf_counter()
                await create()
                durations.append(time.perf_counter() - started)
                await asyncio.sleep(PAUSE_SECONDS)
    await gone
    return Reading({**seen.pace(durations).values, "seconds": seen.seconds}, seen.cores)


async def _deleted(logs: Sequence[Path], rows: int) -> None:
    """Wait until *logs* tell of so many *rows*: to count what is left would hold up what is measured."""
    deleted = 0
    while deleted < rows:
        await asyncio.sleep(1)
        deleted = sum(line["rows"] for log in logs for line in _told(log))


def _slowest(here: Site) -> dict[str, float]:
    """Return the slowest transaction of each kind in milliseconds, as the servers' logs tell."""
    slowest: dict[str, float] = {}
    for place in here.places:
        told = _told(place.log)
        say("  " + ", ".join("{kind} {rows} in {batches}".format(**line) for line in told))
        for line in told:
            slowest[line["kind"]] = max(line["slowest_ms"], slowest.get(line["kind"], 0.0))
    return slowest


def _told(log: Path) -> list[dict[str, Any]]:
    lines: list[dict[str, Any]] = [json.loads(line) for line in log.read_text().splitlines() if DELETED in line]
    return [line for line in lines if line["message"] == DELETED]
