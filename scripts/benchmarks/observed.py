"""What telemetry costs: creates with no collector, and with one that takes all, one in ten, or is silent or dead."""

from __future__ import annotations

import re
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks import collectors, samples
from benchmarks.apart import apart
from benchmarks.databases import fresh
from benchmarks.loops import keep_calling, keep_pace
from benchmarks.places import Place, asking
from benchmarks.results import Line, Reading, Readings, Series, Target
from benchmarks.sites import Options, free, say, start

CALLERS = 8
RATE = 40
"""Creates a second of which the slowest count: where every caller waits for the others, p99 is the throughput again."""
BOTH = "server", "gateway"
LOST = re.compile(r"^tandem_lost_spans_total\{.*\} (\S+)$", re.MULTILINE)

FAST = {"without": None, "all": 0.85, "one in ten": 0.95}
"""Loads whose throughput counts, and what part of that without telemetry is to be left."""
EVEN = {"without": None, "collector dead": 1.1, "collector silent": 1.1}
"""Loads whose p99 counts, and what part of that without telemetry it may be."""


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
    """Measure all loads round by round, each round the other way about, then what was lost and how all of it ends."""
    readings = Readings()
    with ExitStack() as context:
        loads = _start(context, options)
        for watched in loads.values():
            apart(prepare, watched.place)
        for number in range(options.rounds):
            turns = [*((name, create_fast) for name in FAST), *((name, create_evenly) for name in EVEN)]
            for name, load in turns[:: 1 if number % 2 else -1]:
                readings.add(f"{name} {load.__name__}", apart(load, loads[name].place, options.seconds))
            say(f"  round {number + 1}: {_so_far(readings)}")
        lost = {name: watched.lost() for name, watched in loads.items()}
        ends = {name: watched.exit_seconds() for name, watched in loads.items()}
    yield from _lines(readings)
    for name in ("collector dead", "collector silent"):
        yield Line(f"spans lost, {name}", Series("spans", [lost[name]]), target=Target(1, at_least=True))
        without, end = Series("s", [ends["without"]]), Series("s", [ends[name]])
        yield Line(f"exit of gateway and server, {name}", end, "without", without, Target(1.1, of_quotient=True))
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


async def create_evenly(place: Place, seconds: float) -> Reading:
    """Create orders over REST at an even pace, for three times as long: a hundredth of few is one."""
    async with place.rest(CALLERS) as session:
        create = asking(session, "POST", "/v1/orders", samples.order_json)
        return await keep_pace(create, RATE, 3 * seconds, place.pids)


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
        "all": to_taking,
        "one in ten": to_taking | sampled,
        "collector dead": to_dead,
        "collector silent": to_silent,
    }
    loads = {}
    for number, (name, settings) in enumerate(told.items()):
        stop, listen = context.enter_context(ExitStack()), free()
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
    without = readings.series("without create_evenly", "p99", "ms")
    for name, bound in EVEN.items():
        if bound:
            series, cores = (
                readings.series(f"{name} create_evenly", "p99", "ms"),
                readings.cores(f"{name} create_evenly"),
            )
            target = Target(bound, of_quotient=True)
            yield Line(f"create at {RATE}/s, p99, {name}", series, "without", without, target, cores=cores)
