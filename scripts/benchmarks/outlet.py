"""Exports of orders as CSV over REST, beside `mysql --quick --batch` of the same rows and columns."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.apart import WorkFailedError
from benchmarks.clocks import stretch
from benchmarks.outside import ask, download, mysql
from benchmarks.places import Place
from benchmarks.results import Line, Reading, Readings, Target
from benchmarks.sites import Options, say, site

TARGETS = {"aiomysql": 0.08, "asyncmy": 0.2}
"""By the driver: how much of MySQL's own speed is to be reached."""
EXPORT = "/v1/exports/orders.csv"


def outlet(options: Options) -> Iterator[Line]:
    """Measure every driver that is to be had, and the database's own client."""
    readings, drivers = Readings(), ("aiosqlite",) if options.embedded else tuple(TARGETS)
    with site(options, drivers=drivers) as here, TemporaryDirectory(prefix="tandem-bench-") as folder:
        here.fill(options.rows - len(here.templates), 0)
        file = Path(folder, "orders.csv")
        for number in range(options.rounds):
            for driver, place in zip(drivers, here.places, strict=True):
                readings.add(driver, export(place, file, options.rows))
            if not options.embedded:
                readings.add("mysql", _dump(here.place, file, options.rows))
            rates = (f"{name} {readings.middle(name, 'per_second'):,.0f}/s" for name in readings.loads)
            say(f"  round {number + 1}: medians {', '.join(rates)}")
    for driver in drivers:
        target = Target(TARGETS[driver], at_least=True, of_quotient=True) if driver in TARGETS else None
        limit = None if options.embedded else readings.series("mysql", "per_second", "rows/s")
        series, note = readings.series(driver, "per_second", "rows/s"), f"{options.rows:,} orders of 50 columns"
        what, beside = f"CSV export over REST, {driver}", "mysql --quick --batch"
        yield Line(what, series, beside, limit, target, note, readings.cores(driver))


def export(place: Place, file: Path, rows: int) -> Reading:
    """Let curl export all orders into *file*."""
    with stretch(place.pids) as seen:
        export_id = download(place, EXPORT, file)
    kept = json.loads(ask(place, f"/v1/exports/{export_id}"))
    if (kept["complete"], kept["rows"], kept["bytes"]) != (True, str(rows), str(file.stat().st_size)):
        raise WorkFailedError(f"{kept['rows']} of {rows} orders were exported: {kept}")
    return seen.rate(rows)


def _dump(place: Place, export_file: Path, rows: int) -> Reading:
    """Let MySQL's client write what those columns are made of: an address is one there, and nothing is made inert."""
    header = export_file.open(encoding="utf-8").readline().strip()
    columns = dict.fromkeys(name.partition(".")[0] for name in header.split(","))
    file = export_file.with_suffix(".tsv")
    with file.open("wb") as out, stretch(place.pids) as seen:
        statement = f"SELECT {', '.join(columns)} FROM orders ORDER BY id"  # noqa: S608 - names that the server told
        mysql(place.database, statement, "--quick", "--batch", output=out.fileno())
    with file.open("rb") as written:
        count = sum(1 for _ in written) - 1
    if count != rows:
        raise WorkFailedError(f"{count} of {rows} orders were dumped")
    return seen.rate(rows)
