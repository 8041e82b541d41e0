"""The soak: load and faults for so long, then a look at what became of all of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from soaking.checker import violations
from soaking.faults import KINDS, Faults, plan
from soaking.ledger import Ledger, Story, read
from soaking.load import Load, load
from soaking.mysqld import OwnMysql
from soaking.site import Site, throw_away
from soaking.state import settle, stored

FINISHING_SECONDS = 120
LEAVING_SECONDS = 30


@dataclass(frozen=True)
class Result:
    """What came of a soak: its figures by table and name, the promises that were not kept, and where the ledger is."""

    counts: dict[str, dict[str, int]]
    violations: list[str]
    ledger: Path | None = None

    def as_json(self) -> dict[str, Any]:
        """Return it as plain JSON."""
        ledger = str(self.ledger) if self.ledger else None
        return {"counts": self.counts, "violations": self.violations, "ledger": ledger}


Say = Callable[[str], None]


@contextmanager
def own_mysql(folder: Path) -> Iterator[OwnMysql]:
    """Give a MySQL of our own, whose data is in *folder* for as long."""
    mysql = OwnMysql(folder)
    try:
        yield mysql
    finally:
        throw_away(mysql, folder)


@dataclass(frozen=True)
class Plan:
    """For how many seconds to soak, by which seed, with a fault of *kinds* every *pause* seconds in the mean."""

    seed: int
    seconds: float
    pause: float
    kinds: Sequence[str] = tuple(KINDS)


async def soak(mysql: OwnMysql, folder: Path, how: Plan, say: Say) -> Result:
    """Soak as planned; logs and ledger are kept in *folder*."""
    ledger = Ledger(folder / "ledger.jsonl")
    site = Site(mysql, folder, ledger)
    await site.start()
    say(f"up; faults by seed {how.seed} for {how.seconds:.0f} s; logs and ledger in {folder}")
    keeping = asyncio.create_task(site.keep_up())
    try:
        async with load(site, ledger, how.seed) as at_work:
            await _under_faults(site, ledger, at_work, how, say)
        state = await stored(site)
    finally:
        keeping.cancel()
        await site.stop()
        ledger.close()
    with ledger.path.open("rb") as lines:
        story = read(lines)
    errors = [f"a process logged: {line}" for line in site.logged_errors()]
    return Result(
        {"soak": {"seed": how.seed, "seconds": round(how.seconds)}, **counts(story)},
        [*errors, *violations(story, state)],
        ledger.path,
    )


async def _under_faults(site: Site, ledger: Ledger, at_work: Load, how: Plan, say: Say) -> None:
    working, serving = asyncio.create_task(at_work.run()), asyncio.create_task(at_work.serve())
    faults = Faults(site, ledger)
    await _strike(faults, how, say)
    say(f"{faults.done} faults done; no more of them, and nothing new is begun")
    await site.recover()
    at_work.finish()
    async with asyncio.timeout(FINISHING_SECONDS):
        await working
    say("what was begun is done; waiting until everything is delivered")
    say(f"{await settle(site)} orders left")
    serving.cancel()
    await asyncio.wait({serving}, timeout=LEAVING_SECONDS)
    if serving.done() and not serving.cancelled():
        serving.result()


async def _strike(faults: Faults, how: Plan, say: Say) -> None:
    """Do faults as planned, at times several at once, and return when all are over."""
    ends, told = time.monotonic() + how.seconds, time.monotonic()
    async with asyncio.TaskGroup() as tasks:
        for wait, fault in plan(how.seed, how.pause, how.kinds):
            if time.monotonic() + wait > ends:
                break
            await asyncio.sleep(wait)
            tasks.create_task(faults.strike(fault))
            if time.monotonic() - told > 30:
                told = time.monotonic()
                say(f"{ends - told:5.0f} s left, {faults.done} faults done; now {fault}")


def counts(story: Story) -> dict[str, dict[str, int]]:
    """Return how often what was done, and came of it."""
    tables: dict[str, dict[str, int]] = {"faults": {}, "calls": {}, "failures": {}, "items": {}}

    def add(table: str, name: str, number: int = 1) -> None:
        tables[table][name] = tables[table].get(name, 0) + number

    for note in story.noted("fault"):
        add("faults", note["fault"])
    stops = [note["took"] for note in story.noted("stopped")]
    add("items", "longest stop in ms", round(1000 * max(stops, default=0)))
    add("faults", "deadlocks met", sum(note["deadlocks"] for note in story.noted("deadlocks")))
    for call in story.calls:
        add("calls", call.method)
        if call.failure:
            add("failures", f"{call.failure.code} {call.failure.reason}")
        for _, reply in call.replies:
            for result in reply.get("results", ()):
                add("items", f"{call.method} {result['outcome']}")
            add("items", "deliveries", len(reply.get("deliveries", ())))
    return {name: dict(sorted(table.items())) for name, table in tables.items()}
