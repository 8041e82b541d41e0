"""Background work that has an owner: nothing is left behind when it closes."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from contextvars import Context
from typing import Any, TypeVar

T = TypeVar("T")

CLOSE_SECONDS = 2.0


class Tasks:
    """The tasks of one owner."""

    def __init__(self) -> None:
        self._running: set[asyncio.Task[Any]] = set()

    def spawn(self, work: Coroutine[Any, Any, T], context: Context | None = None) -> asyncio.Task[T]:
        """Start *work* and hold on to it until it is done; in the call that *context* is of, by default the current."""
        task = asyncio.create_task(work, context=context)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return task

    async def close(self) -> None:
        """Let what runs end, for 2 s; then cancel it."""
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_SECONDS):
                while self._running:
                    await asyncio.wait(self._running)
        self.cancel()

    def cancel(self) -> None:
        """Cancel what runs."""
        for task in self._running:
            task.cancel()
