"""Measures a real Tandem, every figure beside what bounds it in the same run: the median of all rounds, and the spread.

Servers, gateways and the load are processes of their own, on fresh databases of a throw-away MySQL. `core` measures the
main path of an order, `integration` imports and exports, `housekeeping` what would grow for ever, `telemetry` what it
costs to be watched, `storm` what rude callers do to others. A table for people, JSON for pipes; progress goes to
standard error. The exit status is 1 if a figure could not be taken; a target that is missed is told, no more.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path
from types import FrameType

from benchmarks.apart import WorkFailedError
from benchmarks.backlog import backlog
from benchmarks.creates import creates
from benchmarks.databases import told
from benchmarks.greedy import greedy
from benchmarks.growth import growth
from benchmarks.idle_streams import idle_streams
from benchmarks.intake import intake
from benchmarks.lists import lists
from benchmarks.observed import observed
from benchmarks.old_rows import old_rows
from benchmarks.outlet import outlet
from benchmarks.pushes import pushes
from benchmarks.reconnects import reconnects
from benchmarks.report import as_json, facts, show
from benchmarks.results import Line
from benchmarks.sites import Options, say
from benchmarks.statements import statements
from benchmarks.storm import storm
from benchmarks.twins import twins
from benchmarks.very_many import very_many

Figures = dict[str, Callable[[Options], Iterator[Line]]]

CORE: Figures = {
    "backlog": backlog,
    "lists": lists,
    "pushes": pushes,
    "idle-streams": idle_streams,
    "twins": twins,
    "creates": creates,
    "statements": statements,
    "growth": growth,
}
INTEGRATION: Figures = {"imports": intake, "exports": outlet, "very-many": very_many}
HOUSEKEEPING: Figures = {"old-rows": old_rows, "reconnects": reconnects}
TELEMETRY: Figures = {"telemetry": observed}
STORM: Figures = {"storm": storm, "greedy": greedy}


def main() -> int:
    """Measure what the command line says, and return the exit status."""
    arguments = _arguments()
    signal.signal(signal.SIGTERM, _interrupt)
    given = {field.name: getattr(arguments, field.name) for field in fields(Options) if field.name in arguments}
    options = Options(**given | {"database": told(arguments.database)})
    depends, figures, failed = facts(options), {}, False
    for name in arguments.only or arguments.figures:
        say(name)
        try:
            figures[name] = list(arguments.figures[name](options))
        except (WorkFailedError, RuntimeError, subprocess.SubprocessError) as error:
            say(f"  {error}")
            failed = True
    if not figures:
        return 1
    depends["machine"]["load after"] = os.getloadavg()
    result = json.dumps(as_json(depends, figures), indent=2)
    if arguments.json:
        arguments.json.write_text(f"{result}\n")
    if sys.stdout.isatty() or arguments.json:
        show(depends, figures)
    else:
        print(result)
    return int(failed)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    kinds = parser.add_subparsers(required=True)
    core = kinds.add_parser("core", help="the main path of an order")
    core.add_argument("--backlog", type=int, default=20_000, help="orders that wait to be pulled (default: 20,000)")
    core.add_argument("--batch", type=int, default=500, help="orders a claim and an acknowledgement (default: 500)")
    core.add_argument("--seconds", type=float, default=3, help="how long a throughput is watched (default: 3)")
    integration = kinds.add_parser("integration", help="imports and exports")
    integration.add_argument("--rows", type=int, default=100_000, help="rows that a rate is of (default: 100,000)")
    housekeeping = kinds.add_parser("housekeeping", help="what would grow for ever: old rows, memory")
    housekeeping.add_argument("--rows", type=int, default=100_000, help="old rows of each kind (default: 100,000)")
    housekeeping.add_argument("--reconnects", type=int, default=100_000, help="of streams (default: 100,000)")
    telemetry = kinds.add_parser("telemetry", help="what it costs to be watched")
    telemetry.add_argument("--seconds", type=float, default=3, help="how long a load is watched (default: 3)")
    cancelled = kinds.add_parser("storm", help="rude callers: they cancel, or ask too often")
    for kind in (core, integration):
        kind.add_argument("--orders", type=int, default=1_000_000, help="how many are very many (default: a million)")
    rounds_of = {
        core: (CORE, 5),
        integration: (INTEGRATION, 5),
        housekeeping: (HOUSEKEEPING, 1),
        telemetry: (TELEMETRY, 10),
        cancelled: (STORM, 1),
    }
    for kind, (figures, rounds) in rounds_of.items():
        kind.set_defaults(figures=figures)
        kind.add_argument("--database", default="mysql", help="sqlite, mysql (default) or the URL of a database server")
        kind.add_argument("--rounds", type=int, default=rounds)
        kind.add_argument("--only", choices=figures, action="append", help="only this figure; may be repeated")
        kind.add_argument("--json", metavar="FILE", type=Path, help="also write the result as JSON")
    return parser.parse_args()


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit("stopped")
