"""A storm of cancelled calls: what an honest client notices of it, and how many connections the database has."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

import grpc
from sqlalchemy import text

from benchmarks import samples
from benchmarks.apart import apart
from benchmarks.clocks import percentiles
from benchmarks.databases import Database
from benchmarks.places import SECONDS, Place, calling
from benchmarks.results import Line, Reading, Readings, Target
from benchmarks.sites import Options, say, site
from tandem.crm.v1.crm_service_pb2_grpc import CrmServiceStub
from tandem.crm.v1.order_requests_pb2 import CreateOrderRequest, ListOrdersRequest

CLIENTS, RATE = 50, 100
STORM_SECONDS, CALM_SECONDS, AFTER_SECONDS = 60, 30, 10
CANCEL_SECONDS = 0.02
STORED = 2_000
POOL = 5
CONNECTIONS = POOL + 2
"""The pool, the one that watches for work, and the one that ends what took too long."""
STEADY = 20
"""So many calls in turn that are quick again are the end of what the storm left."""
LOADS = {"storm": 1, "storm at another server": 2}
"""The loads, and how many servers there are."""
CONNECTED = text("SELECT COUNT(*) FROM information_schema.processlist WHERE user = :user")


class Timed(NamedTuple):
    """A call: when it began, by the clock that all processes share, and how long it took, in seconds."""

    at: float
    took: float


def storm(options: Options) -> Iterator[Line]:
    """Measure a client's calls before, in and after the storm, and look at the database meanwhile.

    Then the same while the storm is at another server of the same database: what is slow there, too, is the machine
    and MySQL.
    """
    readings = Readings()
    for number in range(options.rounds):
        for load, servers in LOADS.items():
            if servers > 1 and options.embedded:
                continue
            readings.add(load, _round(options, servers))
            calm, stormy = (readings.middle(load, value) for value in ("calm_p99", "p99"))
            say(f"  round {number + 1}, {load}: p99 {calm:.0f} ms, in the storm {stormy:.0f} ms")
    note = f"{CLIENTS} clients, {readings.middle('storm', 'cancelled'):,.0f} calls cancelled in {STORM_SECONDS} s"
    for load in readings.loads:
        p99, calm_p99 = (readings.series(load, value, "ms") for value in ("p99", "calm_p99"))
        target = Target(2, of_quotient=True) if load == "storm" else None
        yield Line(f"an honest call in the {load}, p99", p99, "before it", calm_p99, target, note)
    yield Line("time to recover", readings.series("storm", "recovery", "s"), target=Target(2), note=note)
    most = readings.series("storm", "connections", "")
    yield Line("connections of the database at most", most, target=Target(CONNECTIONS), note=f"pool of {POOL}")


def _round(options: Options, servers: int) -> Reading:
    """Ask the first of *servers* servers, while the storm is at the last."""
    with site(options, servers=servers) as here, ThreadPoolExecutor() as threads:
        here.fill(STORED, 0)
        raging = threads.submit(apart, rage, here.places[-1].target, here.place.crm_key, CALM_SECONDS, STORM_SECONDS)
        counting = threads.submit(_most_connections, here.database, raging)
        calls = apart(honest, here.place, CALM_SECONDS + STORM_SECONDS + AFTER_SECONDS)
        began, ended, cancelled = raging.result()
        most = counting.result()
    calm = percentiles([call.took for call in calls if call.at < began])
    stormy = percentiles([call.took for call in calls if began < call.at < ended])
    recovery = recovered([call for call in calls if call.at > ended], ended, 2 * calm["p99"] / 1000)
    counted = {"connections": float(most), "cancelled": float(cancelled), "recovery": recovery}
    return Reading({"p99": stormy["p99"], "calm_p99": calm["p99"], **counted})


def recovered(calls: list[Timed], ended: float, quick: float) -> float:
    """Return how long after the storm *ended* calls were *quick* again, and stayed so for a while."""
    steady = 0
    for call in calls:
        steady = steady + 1 if call.took <= quick else 0
        if steady == STEADY:
            first = calls[calls.index(call) - STEADY + 1]
            return max(0.0, first.at - ended)
    return float(AFTER_SECONDS)


async def honest(place: Place, seconds: float) -> list[Timed]:
    """Create and list orders in turn for so long, forty calls a second or fewer, and return each."""
    async with place.channel() as channel:
        stub = CrmServiceStub(channel)
        create = calling(stub.CreateOrder, lambda: CreateOrderRequest(order=samples.order()), place.crm_key)
        look = calling(stub.ListOrders, lambda: ListOrdersRequest(page_size=10), place.crm_key)
        calls: list[Timed] = []
        ends = time.time() + seconds
        while time.time() < ends:
            at = time.time()
            await (create, look)[len(calls) % 2]()
            calls.append(Timed(at, time.time() - at))
            await asyncio.sleep(0.025)
        return calls


async def rage(
    target: str, key: str, wait: float, seconds: float, clients: int = CLIENTS, rate: float = RATE
) -> tuple[float, float, int]:
    """After a *wait*, cancel calls for so long; return when that began and ended, and how many they were."""
    await asyncio.sleep(wait)
    began = time.time()
    counts = await asyncio.gather(
        *(_cancel_often(target, key, began + seconds, clients / rate) for _ in range(clients))
    )
    return began, time.time(), sum(counts)


async def _cancel_often(target: str, key: str, ends: float, pause: float) -> int:
    """Begin a call every *pause* seconds, and cancel each soon after."""
    metadata, count = (("authorization", f"Bearer {key}"),), 0
    async with grpc.aio.insecure_channel(target, [("grpc.use_local_subchannel_pool", 1)]) as channel:
        stub = CrmServiceStub(channel)
        while time.time() < ends:
            await asyncio.sleep(pause * random.uniform(0.5, 1.5) - CANCEL_SECONDS / 2)
            call: Any = (
                stub.CreateOrder(CreateOrderRequest(order=samples.order()), metadata=metadata, timeout=SECONDS)
                if count % 2
                else stub.ListOrders(ListOrdersRequest(page_size=50), metadata=metadata, timeout=SECONDS)
            )
            await asyncio.sleep(random.uniform(0, CANCEL_SECONDS))
            call.cancel()
            count += 1
    return count


def _most_connections(database: Database, raging: Future[Any]) -> int:
    """Count the server's connections until the storm is over, and return the most there were."""
    engine, most = database.engine(), 0
    with engine.connect() as connection:
        while not raging.done():
            most = max(most, connection.execute(CONNECTED, {"user": database.account}).scalar_one())
            time.sleep(0.1)
    engine.dispose()
    return most
