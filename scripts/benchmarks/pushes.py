"""How long an order takes from its creation to a stream that waits for it, in one server process and across two."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

from benchmarks import samples
from benchmarks.apart import apart
from benchmarks.clocks import percentiles, stretch
from benchmarks.places import SECONDS, Place
from benchmarks.results import Line, Reading, Readings, Target
from benchmarks.sites import Options, say, site
from tandem_client import Deliveries, Tandem

RATE = 50
"""Orders created a second."""
WARM = 25
"""Orders before those that count."""


def pushes(options: Options) -> Iterator[Line]:
    """Measure in one process, and, where the database is not embedded, across two."""
    readings, apartness = Readings(), ["one process"] if options.embedded else ["one process", "another process"]
    count = round(RATE * 3 * options.seconds)
    with site(options, servers=len(apartness)) as here:
        for number in range(options.rounds):
            for name, receiving in zip(apartness, here.places, strict=True):
                readings.add(name, apart(push, here.place, receiving, count))
            waits = ", ".join(f"{name} p50 {readings.middle(name, 'p50'):.1f} ms" for name in apartness)
            say(f"  round {number + 1}: medians {waits}")
    targets: dict[str, dict[str, float | None]] = {
        "one process": {"p50": 15, "p99": 60},
        "another process": {"p50": None, "p99": 300},
    }
    for name in apartness:
        for part, bound in targets[name].items():
            measured, created = readings.series(name, part, "ms"), readings.series(name, f"create_{part}", "ms")
            what, beside = f"create → open stream, {name}, {part}", f"the create alone, {part}"
            note = f"{count} orders, {RATE}/s"
            yield Line(what, measured, beside, created, Target(bound) if bound else None, note, readings.cores(name))


async def push(creating: Place, receiving: Place, count: int) -> Reading:
    """Create *count* orders at an even pace, and time each until a stream of *receiving* has brought it."""
    async with (
        creating.crm() as crm,
        receiving.worker() as worker,
        worker.orders.pull("bench") as deliveries,
        asyncio.TaskGroup() as group,
    ):
        journeys = Journeys(crm, deliveries, group)
        await journeys.make(WARM)
        with stretch(creating.pids) as seen:
            await journeys.make(count)
        journeys.end()
    creates = {f"create_{part}": value for part, value in percentiles(journeys.creates).items()}
    return Reading(percentiles(journeys.waits) | creates, seen.cores)


class Journeys:
    """Orders on their way from the CRM to the worker, and how long each took, in seconds."""

    def __init__(self, crm: Tandem, deliveries: Deliveries, group: asyncio.TaskGroup) -> None:
        self._crm, self._deliveries, self._group = crm, deliveries, group
        self._started: dict[str, float] = {}
        self._news = asyncio.Event()
        self.waits: list[float] = []
        self.creates: list[float] = []
        self._receiving = group.create_task(self._receive())

    async def make(self, count: int) -> None:
        """Create *count* orders, and return when all have arrived; only these count from now on."""
        self.waits, self.creates, started = [], [], time.perf_counter()
        for number in range(count):
            await asyncio.sleep(started + number / RATE - time.perf_counter())
            self._group.create_task(self._create())
        async with asyncio.timeout(SECONDS):
            while min(len(self.waits), len(self.creates)) < count:
                self._news.clear()
                await self._news.wait()

    def end(self) -> None:
        """Receive no more."""
        self._receiving.cancel()

    async def _create(self) -> None:
        order = samples.order()
        self._started[order.external_id] = started = time.perf_counter()
        await self._crm.orders.create(order)
        self.creates.append(time.perf_counter() - started)
        self._news.set()

    async def _receive(self) -> None:
        async for delivery in self._deliveries:
            started = self._started.get(delivery.order.external_id)
            if started is not None:
                self.waits.append(time.perf_counter() - started)
                self._news.set()
            self._group.create_task(delivery.acknowledge(f"SO-{delivery.order.external_id}"))
