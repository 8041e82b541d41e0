"""What a million rows cost beside ten thousand: memory of server and gateway, and the wait for the first byte."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks import people
from benchmarks.apart import WorkFailedError, apart
from benchmarks.clocks import stretch
from benchmarks.outlet import EXPORT, export
from benchmarks.outside import upload
from benchmarks.places import Place
from benchmarks.results import Line, Reading, Readings, Series, Target
from benchmarks.sites import Options, Site, say, site

FEW = 10_000
PROCESSES = ("server", "gateway")
MOST_MORE = 32
"""MiB that memory may grow by, from few rows to very many."""


def very_many(options: Options) -> Iterator[Line]:
    """Import and export few and very many, each once, on processes of their own: it takes minutes."""
    readings, rows = Readings(), {"few": FEW, "many": options.orders}
    with TemporaryDirectory(prefix="tandem-bench-") as folder, site(options) as small, site(options) as large:
        for size, here in {"few": small, "many": large}.items():
            _import(here, Path(folder, f"{size}.csv"), rows[size], readings, size)
        for _ in range(options.rounds):
            for size, here in {"few": small, "many": large}.items():
                readings.add(f"first {size}", apart(first_byte, here.place))
        for size, here in {"few": small, "many": large}.items():
            readings.add(f"export {size}", export(here.place, Path(folder, "orders.csv"), rows[size]))
            readings.add(f"peak {size}", Reading(_peaks(here.place)))
    few, many = f"{FEW:,}", f"{options.orders:,}"
    for what, verb in (("import of customers", "import"), ("export of orders", "export")):
        series = (readings.series(f"{verb} {size}", "per_second", "rows/s") for size in ("many", "few"))
        yield Line(f"{what} over REST, {many}", next(series), few, next(series), cores=readings.cores(f"{verb} many"))
    first = (readings.series(f"first {size}", "first", "ms") for size in ("many", "few"))
    yield Line(f"first byte of an export, {many} orders", next(first), few, next(first), Target(150))
    for process in PROCESSES:
        peaks = {size: readings.middle(f"peak {size}", process) for size in rows}
        more = Series("MiB", [peaks["many"] - peaks["few"]])
        note = f"peak {peaks['many']:.0f} MiB with {many}, {peaks['few']:.0f} MiB with {few}"
        yield Line(f"{process}'s memory above that with {few}", more, target=Target(MOST_MORE), note=note)


async def first_byte(place: Place) -> Reading:
    """Ask for an export of all orders, and leave when it begins."""
    async with place.rest(1) as session:
        headers, started = {"authorization": f"Bearer {place.keys['TANDEM_REPORTS_KEY']}"}, time.perf_counter()
        async with session.get(EXPORT, headers=headers) as reply:
            reply.raise_for_status()
            await reply.content.readany()
            return Reading({"first": 1000 * (time.perf_counter() - started)})


def _import(here: Site, file: Path, rows: int, readings: Readings, size: str) -> None:
    """Let curl import *rows* customers, and store as many orders."""
    people.write_csv(file, rows)
    with stretch(here.place.pids) as seen:
        done = json.loads(upload(here.place, "/v1/customers:import", file))
    if done["created"] != rows:
        raise WorkFailedError(f"{done['created']} of {rows} customers were imported: {done}")
    readings.add(f"import {size}", seen.rate(rows))
    say(f"  {rows:,} customers imported, {rows / seen.seconds:,.0f} a second")
    here.fill(rows - len(here.templates), 0)


def _peaks(place: Place) -> dict[str, float]:
    """Return how much memory each process had at most, in MiB."""
    return {name: _peak(place.pids[name]) for name in PROCESSES}


def _peak(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM:"))
