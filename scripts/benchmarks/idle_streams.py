"""What open streams cost the database while nothing happens."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from benchmarks.apart import apart
from benchmarks.clocks import stretch
from benchmarks.places import SECONDS, Place
from benchmarks.results import Line, Reading, Readings, Target
from benchmarks.sites import Options, say, site
from tandem.erp.v1.delivery_requests_pb2 import PullOrdersRequest
from tandem.erp.v1.erp_service_pb2_grpc import ErpServiceStub

STREAMS = 100
SETTLE_SECONDS, WATCH_SECONDS = 2.0, 10.0


def idle_streams(options: Options) -> Iterator[Line]:
    """Count the statements of many streams and of one."""
    if options.embedded:
        say("  SQLite does not count its statements")
        return
    readings = Readings()
    with site(options) as here:
        here.refill(0)
        for number in range(options.rounds):
            for streams in (1, STREAMS):
                readings.add(str(streams), apart(watch, here.place, streams))
            say(f"  round {number + 1}: median {readings.middle(str(STREAMS), 'per_second'):.1f} statements/s")
    many, one = (readings.series(str(streams), "per_second", "statements/s") for streams in (STREAMS, 1))
    note = f"{WATCH_SECONDS:g} s"
    cores = readings.cores(str(STREAMS))
    yield Line(f"{STREAMS} open idle streams", many, "1 stream", one, Target(5), note, cores)


async def watch(place: Place, streams: int) -> Reading:
    """Hold so many streams open, and count what the server asks the database meanwhile."""
    async with AsyncExitStack() as stack:
        channel = await stack.enter_async_context(place.channel())
        for number in range(streams):
            await stack.enter_async_context(_open(place, channel, f"worker-{number}"))
        await asyncio.sleep(SETTLE_SECONDS)
        before = sum(place.database.statements().values())
        with stretch(place.pids) as seen:
            await asyncio.sleep(WATCH_SECONDS)
        return seen.rate(sum(place.database.statements().values()) - before)


@asynccontextmanager
async def _open(place: Place, channel: Any, worker: str) -> AsyncIterator[None]:
    """Hold one stream open; its first message, an empty one, says that it is."""
    metadata = (("authorization", f"Bearer {place.erp_key}"),)
    call = ErpServiceStub(channel).PullOrders(PullOrdersRequest(worker=worker), metadata=metadata)
    try:
        await asyncio.wait_for(call.read(), SECONDS)
        yield
    finally:
        call.cancel()
