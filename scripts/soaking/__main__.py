"""Soaks Tandem: load on two servers and two gateways, while they, their MySQL and what joins them fail, by a seed.

At the end it looks whether every promise was kept: nothing acknowledged missing, nothing twice, no order held by two,
everything delivered as it is stored. A table for people, JSON for pipes; progress goes to standard error. The exit
status is 1 if a promise was not kept: the ledger, which has every request and reply, is then where to look.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import secrets
import signal
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from types import FrameType

from rich.console import Console
from rich.table import Table

from soaking.soak import Result, own_mysql, soak

PAUSE_SECONDS = 9
SHOWN = 20


def main() -> int:
    """Soak as the command line says, and return the exit status."""
    parser = argparse.ArgumentParser(prog="scripts/soak", description=__doc__)
    parser.add_argument("minutes", type=float, metavar="MINUTES")
    parser.add_argument("--seed", type=int, default=secrets.randbits(32), help="repeats a soak's faults")
    parser.add_argument("--pause", type=float, default=PAUSE_SECONDS, help="seconds between faults, in the mean")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, _interrupt)
    folder = Path(tempfile.mkdtemp(prefix="tandem-soak-"))
    seconds = 60 * arguments.minutes
    with own_mysql(folder / "mysql") as mysql:
        result = asyncio.run(soak(mysql, folder, arguments.seed, seconds, arguments.pause, say))
    _show(result)
    return int(bool(result.violations))


def say(text: str) -> None:
    """Tell people how far we are."""
    print(text, file=sys.stderr, flush=True)


def _show(result: Result) -> None:
    if not sys.stdout.isatty():
        print(json.dumps(asdict(result), default=str, indent=2))
        return
    console = Console()
    for name, counted in result.counts.items():
        table = Table(name, "", box=None, pad_edge=False)
        for what, number in counted.items():
            table.add_row(what, f"{number:,}")
        console.print(table, "")
    for violation in result.violations[:SHOWN]:
        console.print(f"[bold red]{violation}[/]", highlight=False)
    console.print(f"seed {result.seed}, {len(result.violations)} promises not kept, ledger {result.ledger}")


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit("stopped")
