"""The report: tables for people, JSON for pipes."""

from __future__ import annotations

import json
import sys

from rich.console import Console
from rich.table import Table

from retailer.report import Report


def show(report: Report) -> None:
    """Print *report*."""
    if not sys.stdout.isatty():
        print(json.dumps(report.as_json(), indent=2))
        return
    console = Console()
    for table in (_totals(report), _refused(report), _numbers(report)):
        console.print(table)
    for check, holds in report.checks.items():
        console.print("[green]✔[/]" if holds else "[bold red]✘[/]", check)


def _totals(report: Report) -> Table:
    table = Table("", "orders", "lines", "customers", "GBP", title="What each side holds")
    for side, totals in report.totals.items():
        table.add_row(side, f"{totals.orders:,}", f"{totals.lines:,}", f"{totals.customers:,}", f"{totals.amount:,}")
    return table


def _refused(report: Report) -> Table:
    table = Table("orders", "", "why", "as in", title="What was refused")
    for refused in report.refused:
        number, says = next(iter(refused.examples.items()))
        table.add_row(f"{refused.orders:,}", refused.kind, refused.why, f"{number}: {says}")
    return table


def _numbers(report: Report) -> Table:
    table = Table("", "", title="This run")
    for what, count in report.this_run.items():
        table.add_row(what, f"{count:,}")
    for what, rate in report.rates.items():
        table.add_row(what, f"{rate:,.0f}/s")
    return table
