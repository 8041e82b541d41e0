"""Soaks Tandem: load on two servers and two gateways, while they, their MySQL and what joins them fail, by a seed.

At the end it looks whether every promise was kept: nothing acknowledged missing, nothing twice, no order held by two,
everything delivered as it is stored. Or it does one thing at length: `--restarts` stops and starts processes in turn,
which no client may notice; `--outages` stops, freezes and cuts off the database for so many seconds each. Tables for
people, JSON for pipes; progress goes to standard error. The exit status is 1 if a promise was not kept: the ledger,
which has every request and reply, is then where to look.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import secrets
import signal
import sys
import tempfile
from pathlib import Path
from types import FrameType

from rich.console import Console
from rich.table import Table

from soaking.at_length import outages, restarts
from soaking.mysqld import OwnMysql
from soaking.soak import Plan, Result, own_mysql, soak

PAUSE_SECONDS = 9
SHOWN = 20


def main() -> int:
    """Soak as the command line says, and return the exit status."""
    arguments = _arguments()
    signal.signal(signal.SIGTERM, _interrupt)
    folder = Path(tempfile.mkdtemp(prefix="tandem-soak-"))
    with own_mysql(folder / "mysql") as mysql:
        result = asyncio.run(_run(arguments, mysql, folder))
    _show(result)
    return int(bool(result.violations))


async def _run(arguments: argparse.Namespace, mysql: OwnMysql, folder: Path) -> Result:
    if arguments.restarts:
        return await restarts(mysql, folder, arguments.restarts)
    if arguments.outages:
        return await outages(mysql, folder, arguments.outages)
    return await soak(mysql, folder, Plan(arguments.seed, 60 * arguments.minutes, arguments.pause), say)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/soak", description=__doc__)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("minutes", type=float, metavar="MINUTES", nargs="?", help="how long faults come")
    what.add_argument("--restarts", type=int, metavar="ROUNDS", help="restart processes so often instead")
    what.add_argument("--outages", type=float, metavar="SECONDS", help="take the database away so long instead")
    parser.add_argument("--seed", type=int, default=secrets.randbits(32), help="repeats a soak's faults")
    parser.add_argument("--pause", type=float, default=PAUSE_SECONDS, help="seconds between faults, in the mean")
    return parser.parse_args()


def say(text: str) -> None:
    """Tell people how far we are."""
    print(text, file=sys.stderr, flush=True)


def _show(result: Result) -> None:
    if not sys.stdout.isatty():
        print(json.dumps(result.as_json(), indent=2))
        return
    console = Console()
    for name, counted in result.counts.items():
        table = Table(name, "", box=None, pad_edge=False)
        for what, number in counted.items():
            table.add_row(what, f"{number:,}")
        console.print(table, "")
    for violation in result.violations[:SHOWN]:
        console.print(violation, style="bold red", highlight=False, markup=False)
    where = f"; ledger: {result.ledger}" if result.ledger else ""
    console.print(f"{len(result.violations)} promises not kept{where}", highlight=False)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit("stopped")
