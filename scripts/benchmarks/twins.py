"""What others notice of a keyed write that takes long, while its twins ask for the same."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Iterator

from benchmarks import samples
from benchmarks.apart import WorkFailedError, apart
from benchmarks.clocks import stretch
from benchmarks.places import Place
from benchmarks.raw_driver import connected
from benchmarks.results import Line, Reading, Readings, Target
from benchmarks.sites import Options, say, site
from tandem_client import Aborted, Customer, Tandem

HELD_SECONDS = 5.0
TWINS = 199
LOCK = "SELECT id FROM customers WHERE external_id = %s AND source = 'crm' FOR UPDATE"


def twins(options: Options) -> Iterator[Line]:
    """Measure reads of orders beside the write and its twins, and the same reads alone."""
    if options.embedded:
        say("  SQLite has one writer: what waits for it is not what waits for a row")
        return
    readings = Readings()
    with site(options) as here:
        here.fill(1, 0)
        order_id = here.done.order_id(0)
        for number in range(options.rounds):
            for name, load in (("alone", read_alone), ("beside", read_beside)):
                readings.add(name, apart(load, here.place, order_id))
            say(f"  round {number + 1}: slowest {readings.middle('beside', 'slowest'):.0f} ms")
    for part in ("p50", "slowest"):
        beside, alone = (readings.series(name, part, "ms") for name in ("beside", "alone"))
        target = Target(50) if part == "slowest" else None
        note = f"{HELD_SECONDS:g} s, {TWINS} twins"
        what = f"read beside a slow keyed write, {part}"
        yield Line(what, beside, "alone", alone, target, note, readings.cores("beside"))


async def read_alone(place: Place, order_id: str) -> Reading:
    """Read an order over and over."""
    async with place.crm() as crm:
        with stretch(place.pids) as seen:
            durations = await _read(crm, order_id, time.perf_counter() + HELD_SECONDS / 2)
    return _reading(durations, seen.cores)


async def read_beside(place: Place, order_id: str) -> Reading:
    """Read an order over and over while a keyed write waits for its row, and twins for the write; it happens once."""
    key = secrets.token_hex(8)
    async with place.crm() as crm, place.crm() as other, connected(place.database) as locking:
        (customer,) = [each async for each in crm.customers.list(external_id=samples.CUSTOMER)]

        async def change() -> Customer:
            changes = Customer(phone=key)
            return await crm.customers.update(customer.id, changes, etag=customer.etag, idempotency_key=key)

        await locking.execute(LOCK, samples.CUSTOMER)
        writing = [asyncio.create_task(change()) for _ in range(1 + TWINS)]
        await asyncio.sleep(0.5)
        with stretch(place.pids) as seen:
            durations = await _read(other, order_id, time.perf_counter() + HELD_SECONDS)
        await locking.commit()
        ended = await asyncio.gather(*writing, return_exceptions=True)
        if not all(isinstance(each, Customer | Aborted) for each in ended) or (await change()).phone != key:
            raise WorkFailedError("the keyed write did not happen once")
    return _reading(durations, seen.cores)


async def _read(crm: Tandem, order_id: str, end: float) -> list[float]:
    durations: list[float] = []
    while (started := time.perf_counter()) < end:
        await crm.orders.get(order_id)
        durations.append(time.perf_counter() - started)
        await asyncio.sleep(0.01)
    return durations


def _reading(durations: list[float], cores: dict[str, float]) -> Reading:
    ordered = sorted(durations)
    return Reading({"p50": 1000 * ordered[len(ordered) // 2], "slowest": 1000 * ordered[-1]}, cores)
