"""The report: a table for people, JSON for pipes."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from rich.console import Console
from rich.table import Table
from sqlalchemy.engine import make_url

from benchmarks.databases import fresh
from benchmarks.results import Line, Series
from benchmarks.sites import Options

PACKAGES = ("tandem-server", "grpcio", "protobuf", "sqlalchemy", "aiohttp", "uvloop")

Figures = Mapping[str, Sequence[Line]]
"""The lines of each figure."""


def facts(options: Options) -> dict[str, Any]:
    """Return what the figures depend on: versions, settings, the machine and how busy it is."""
    driver = make_url(options.database).get_driver_name()
    with TemporaryDirectory() as folder, fresh(options.database, Path(folder)) as database:
        stored = database.facts()
    return {
        "versions": {"python": platform.python_version()} | {name: version(name) for name in (*PACKAGES, driver)},
        "database": {"driver": driver} | stored,
        "settings": {name: value for name, value in vars(options).items() if name != "database"},
        "machine": {"cpus": os.cpu_count(), "load before": os.getloadavg()},
    }


def as_json(told: Mapping[str, Any], figures: Figures) -> dict[str, Any]:
    """Return all of it as plain JSON."""
    return {**told, "figures": {name: [line.as_json() for line in lines] for name, lines in figures.items()}}


def show(told: Mapping[str, Any], figures: Figures) -> None:
    """Print all of it as tables."""
    console = Console()
    lines = [line for figure in figures.values() for line in figure]
    console.print(_measured(lines), "", _used(lines), "")
    for name, facts_of in told.items():
        console.print(f"[dim]{name}: {', '.join(f'{key} {value}' for key, value in facts_of.items())}[/]")


def _measured(lines: Sequence[Line]) -> Table:
    table = Table("", "median (min-max)", "beside", "quotient", "target", box=None, pad_edge=False, title="Figures")
    for line in lines:
        mark = {True: "[green]reached[/]", False: "[bold red]missed[/]", None: ""}[line.reached]
        beside = f"{line.beside}: {_written(line.limit)}" if line.limit else ""
        quotient = _written(line.quotient) if line.quotient else ""
        table.add_row(line.what, _written(line.measured), beside, quotient, f"{line.target or ''} {mark}")
    return table


def _used(lines: Sequence[Line]) -> Table:
    names = list(dict.fromkeys(name for line in lines for name in line.cores))
    table = Table("", *names, "", box=None, pad_edge=False, title="Cores used meanwhile, of each process")
    for line in lines:
        used = (f"{line.cores[name]:.2f}" if name in line.cores else "" for name in names)
        table.add_row(line.what, *used, line.note)
    return table


def _written(series: Series) -> str:
    """Write the median with the spread behind it."""
    low, middle, high = (_number(value) for value in (min(series.values), series.middle, max(series.values)))
    unit = series.unit if series.unit == "x" else f" {series.unit}"
    return f"{middle}{unit} ({low}-{high})"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
