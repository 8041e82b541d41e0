"""What telemetry costs: creates with no collector, and with one that takes all, one in ten, or is silent or dead."""

from __future__ import annotations

import re
import time
import urllib.request
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import collectors
from addresses import free_address

from benchmarks import samples
from benchmarks.apart import apart
from benchmarks.databases import fresh
from benchmarks.loops import keep_calling, keep_pace
from benchmarks.places import Place, asking
from benchmarks.results import Line, Reading, Readings, Series, Target
from benchmarks.sites import Options, say, start

CALLERS = 8
RATE = 20
"""Creates a second and load of which the slowest count: where all wait for all, p99 is the throughput again."""
EVEN_TIMES = 9
"""How much longer that takes than the throughput of one load: a hundredth of few is one."""
BOTH = "server", "gateway"
LOST = re.compile(r"^tandem_lost_spans_total\{.*\} (\S+)$", re.MULTILINE)

FAST = {"without": None, "all": 0.85, "one in ten": 0.95}
"""Loads whose throughput counts, and what part of that without telemetry is to be left."""
EVEN = {"no telemetry": None, "collector dead": 1.1, "collector silent": 1.1}
"""Loads whose p99 counts, and what part of that without telemetry it may be: that is another server than `without`.

Memory of processes that idle is taken away, so all that are compared must have idled as long.
"""


@dataclass(frozen=True)
class Watched:
    """A Tandem that tells of itself; `stop` ends it."""

    place: Place
    stop: ExitStack
    metrics: tuple[str, str]

    def lost(self) -> float:
        """Return how many spans both processes say that no collector got."""
        return sum(float(number) for url in self.metrics for number in LOST.findall(_read(url)))

    def exit_seconds(self) -> float:
        """Stop both processes, and return how long that took."""
        started = time.perf_counter()
        self.stop.close()
        return time.perf_counter() - started


def observed(options: Options) -> Iterator[Line]:
    """Measure all loads round by round, each round another one first, then what was lost and how all of it ends."""
    readings = Readings()
    with ExitStack() as context:
        loads = _start(context, options)
        for watched in loads.values():
            apart(prepare, watched.place)
        turns = deque(FAST)
        for number in range(options.rounds):
            turns.rotate()
            for name in turns:
                readings.add(f"{name} create_fast", apart(create_fast, loads[name].place, options.seconds))
            evenly = apart(create_evenly, {name: loads[name].place for name in EVEN}, EVEN_TIMES * options.seconds)
            for name, reading in evenly.items():
                readings.add(f"{name} create_evenly", reading)
            say(f"  round {number + 1}: {_so_far(readings)}")
        lost = {name: watched.lost() for name, watched in loads.items()}
        ends = {name: watched.exit_seconds() for name, watched in loads.items()}
    yield from _lines(readings)
    for name in ("collector dead", "collector silent"):
        yield Line(f"spans lost, {name}", Series("spans", [lost[name]]), target=Target(1, at_least=True))
        without, end = Series("s", [ends["no telemetry"]]), Series("s", [ends[name]])
        yield Line(f"exit of gateway and server, {name}", end, "no telemetry", without, Target(1.1, of_quotient=True))
    yield Line("spans lost, all", Series("spans", [lost["all"]]))


async def prepare(place: Place) -> None:
    """Store the customer of all orders."""
    async with place.crm() as crm:
        await crm.customers.upsert(samples.customer())


async def create_fast(place: Place, seconds: float) -> Reading:
    """Create orders over REST with a few callers, as fast as they can."""
    async with place.rest(CALLERS) as session:
        create = asking(session, "POST", "/v1/orders", samples.order_json)
        return _with_cpu(await keep_calling([create] * CALLERS, seconds, place.pids))


async def create_evenly(places: Mapping[str, Place], seconds: float) -> dict[str, Reading]:
    """Create orders over REST at an even pace, at all *places* side by side: a disk that stalls stalls for all."""
    async with AsyncExitStack() as context:
        sessions = {name: await context.enter_async_context(place.rest(CALLERS)) for name, place in places.items()}
        creates = {name: asking(each, "POST", "/v1/orders", samples.order_json) for name, each in sessions.items()}
        return await keep_pace(creates, RATE, seconds, {name: place.pids for name, place in places.items()})


def _with_cpu(reading: Reading) -> Reading:
    used = sum(reading.cores[name] for name in BOTH)
    return Reading({**reading.values, "cpu": 1000 * used / reading.values["per_second"]}, reading.cores)


def _start(context: ExitStack, options: Options) -> dict[str, Watched]:
    folder = Path(context.enter_context(TemporaryDirectory(prefix="tandem-bench-")))
    database = context.enter_context(fresh(options.database, folder))
    to_taking, to_silent, to_dead = (
        {"OTEL_EXPORTER_OTLP_ENDPOINT": context.enter_context(collector())}
        for collector in (collectors.taking, collectors.silent, collectors.dead)
    )
    sampled = {"OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.1"}
    told: dict[str, Mapping[str, str]] = {
        "without": {},
        "no telemetry": {},
        "all": to_taking,
        "one in ten": to_taking | sampled,
        "collector dead": to_dead,
        "collector silent": to_silent,
    }
    loads = {}
    for number, (name, settings) in enumerate(told.items()):
        stop, listen = context.enter_context(ExitStack()), free_address()
        place = start(stop, folder / str(number), database, {"TANDEM_METRICS_LISTEN": listen, **settings})
        loads[name] = Watched(place, stop, (f"http://{listen}/metrics", f"{place.base_url}/metrics"))
    return loads


def _read(url: str) -> str:
    with urllib.request.urlopen(url, timeout=10) as reply:  # noqa: S310 - our own http:// address
        return str(reply.read().decode())


def _so_far(readings: Readings) -> str:
    fast = (f"{name} {readings.middle(f'{name} create_fast', 'per_second'):.0f}/s" for name in FAST)
    even = (f"{name} p99 {readings.middle(f'{name} create_evenly', 'p99'):.0f} ms" for name in EVEN)
    return f"medians {', '.join([*fast, *even])}"


def _lines(readings: Readings) -> Iterator[Line]:
    for value, unit, what in (("per_second", "orders/s", "creates traced"), ("cpu", "ms", "CPU a create traced")):
        without = readings.series("without create_fast", value, unit)
        for name, bound in FAST.items():
            if bound:
                target = Target(bound, at_least=True, of_quotient=True) if value == "per_second" else None
                series, cores = (
                    readings.series(f"{name} create_fast", value, unit),
                    readings.cores(f"{name} create_fast"),
                )
                yield Line(f"{what}, {name}", series, "without", without, target, cores=cores)
    without = readings.series("no telemetry create_evenly", "p99", "ms")
    for name, bound in EVEN.items():
        if bound:
            series, cores = (
                readings.series(f"{name} create_evenly", "p99", "ms"),
                readings.cores(f"{name} create_evenly"),
            )
            target = Target(bound, of_quotient=True)
            yield Line(f"create at {RATE}/s, p99, {name}", series, "no telemetry", without, target, cores=cores)
