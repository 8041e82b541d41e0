"""What the demo shows while it runs, and how fast it was."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

T = TypeVar("T")


def bars() -> Progress:
    """Return progress bars for people; where nobody looks they show nothing."""
    columns = (TextColumn("{task.description:<22}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty())


class Pace:
    """One kind of work: its bar, how much of it was done, and how fast."""

    def __init__(self, progress: Progress, what: str, total: int | None = None) -> None:
        self._progress = progress
        self._bar: TaskID = progress.add_task(what, total=total)
        self._started = self._last = 0.0
        self.done = 0

    def start(self) -> None:
        """Count the time from now, unless it counts already."""
        self._started = self._started or time.monotonic()

    def expect(self, total: int) -> None:
        """Say how much there will be."""
        self._progress.update(self._bar, total=total)

    def advance(self, steps: int = 1) -> None:
        """Count *steps* done."""
        self._last = time.monotonic()
        self.done += steps
        self._progress.advance(self._bar, steps)

    @property
    def rate(self) -> float:
        """How much was done a second."""
        return self.done / (self._last - self._started) if self._last > self._started else 0.0


async def each(items: Iterable[T], work: Callable[[T], Awaitable[None]], at_once: int) -> None:
    """Do *work* with each item, *at_once* at one time."""
    remaining = iter(items)

    async def hand() -> None:
        for item in remaining:
            await work(item)

    async with asyncio.TaskGroup() as group:
        for _ in range(at_once):
            group.create_task(hand())
