"""How much the server's memory grows when streams are opened and cancelled again and again, idle ones and busy ones."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import Engine, text

from benchmarks.apart import apart
from benchmarks.clocks import stretch
from benchmarks.places import SECONDS, Place
from benchmarks.results import Line, Reading, Readings, Series, Target
from benchmarks.sites import Options, Site, say, site
from tandem.admin.v1.admin_service_pb2_grpc import AdminServiceStub
from tandem.admin.v1.key_pb2 import Key, Role
from tandem.admin.v1.key_requests_pb2 import CreateKeyRequest
from tandem.erp.v1.delivery_requests_pb2 import PullOrdersRequest, PullOrdersResponse
from tandem.erp.v1.erp_service_pb2_grpc import ErpServiceStub

WARM, SLICE = 5_000, 5_000
"""Streams before the first look at the memory, and between two looks; each slice has new connections."""
CHANNELS, STREAMS = 8, 2
"""Connections, and streams of each at one time."""
WAITING, BATCH = 2_000, 5
SETTLE_SECONDS, REFILL_SECONDS = 3.0, 0.5
A_HUNDRED_THOUSAND = 100_000


def reconnects(options: Options) -> Iterator[Line]:
    """Every other stream is of an ERP that nothing waits for, the others are cancelled between two batches."""
    readings = Readings()
    with site(options) as here:
        here.fill(0, WAITING)
        idle_key = apart(make_key, here.place)
        apart(reconnect, here.place, idle_key, WARM)
        before = _memory(here)
        for done in range(0, options.reconnects, SLICE):
            readings.add("slice", apart(reconnect, here.place, idle_key, min(SLICE, options.reconnects - done)))
            rate = readings.middle("slice", "per_second")
            say(f"  {done + SLICE:,} streams: {_memory(here) - before:+.1f} MiB, median {rate:.0f}/s")
        time.sleep(SETTLE_SECONDS)
        after = _memory(here)
    per = Series("MiB", [(after - before) * A_HUNDRED_THOUSAND / options.reconnects])
    note = f"{options.reconnects:,} streams on {CHANNELS} connections: {before:.0f} MiB before, {after:.0f} MiB after"
    cores = readings.cores("slice")
    yield Line(
        f"memory of the server, per {A_HUNDRED_THOUSAND:,} streams", per, target=Target(50), note=note, cores=cores
    )
    yield Line("streams opened and cancelled", readings.series("slice", "per_second", "/s"))
    yield Line("of these busy", readings.series("slice", "busy", "%"))


def _memory(here: Site) -> float:
    """Return the resident memory of the server in MiB."""
    status = Path(f"/proc/{here.place.pids['server']}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


async def make_key(place: Place) -> str:
    """Make the key of an ERP that no order is for."""
    metadata = (("authorization", f"Bearer {place.keys['TANDEM_ADMIN_KEY']}"),)
    async with place.channel() as channel:
        wanted = CreateKeyRequest(key=Key(name="idle", roles=[Role.ROLE_ERP], erp="idle"))
        made = await AdminServiceStub(channel).CreateKey(wanted, metadata=metadata, timeout=SECONDS)
        return str(made.key.secret)


async def reconnect(place: Place, idle_key: str, count: int) -> Reading:
    """Open and cancel *count* streams, every other one busy, and return how many a second and what part of them was."""
    numbers, refilling = iter(range(count)), asyncio.create_task(_refill(place))
    busy = 0

    async def connect(erp: ErpServiceStub) -> None:
        nonlocal busy
        for number in numbers:
            seen_busy = await _once(erp, place.erp_key if number % 2 else idle_key, number)
            busy += seen_busy  # in one step: the others count, too

    async with AsyncExitStack() as stack:
        channels = [await stack.enter_async_context(place.channel()) for _ in range(CHANNELS)]
        with stretch(place.pids) as seen:
            await asyncio.gather(*(connect(ErpServiceStub(channel)) for channel in channels * STREAMS))
    refilling.cancel()
    return Reading({**seen.rate(count).values, "busy": 100 * busy / count}, seen.cores)


async def _once(erp: ErpServiceStub, key: str, number: int) -> bool:
    """Open a stream, read its heartbeat and, of an odd number, a batch; cancel it, and return whether there was one."""
    request = PullOrdersRequest(worker=f"worker-{number % 100}", batch_size=BATCH, max_outstanding=10 * BATCH)
    call = erp.PullOrders(request, metadata=(("authorization", f"Bearer {key}"),), timeout=SECONDS)
    try:
        await call.read()
        batch = await call.read() if number % 2 else None
        return isinstance(batch, PullOrdersResponse) and bool(batch.deliveries)
    finally:
        call.cancel()


async def _refill(place: Place) -> None:
    """Let what was taken wait again, behind the server's back, as long as streams are opened."""
    engine = place.database.engine()
    while True:
        await asyncio.to_thread(_let_wait, engine)
        await asyncio.sleep(REFILL_SECONDS)


def _let_wait(engine: Engine) -> None:
    statement = text(
        "UPDATE deliveries SET available_at = :past, lease_token = NULL, lease_expires_at = NULL, leased_by = NULL, "
        "failures = 0 WHERE lease_token IS NOT NULL"
    )
    with engine.begin() as connection:
        connection.execute(statement, {"past": datetime.now(UTC).replace(tzinfo=None) - timedelta(hours=1)})
