"""Few large calls made of many small ones."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from tandem_proto.errors import InvalidArgument

Item = TypeVar("Item")
Result = TypeVar("Result")

LIMIT = 500
"""Items a call at most."""


@dataclass
class _Batch(Generic[Item, Result]):
    items: list[Item]
    results: asyncio.Task[Sequence[Result | InvalidArgument]]


class Coalesced(Generic[Item, Result]):
    """A call for many items, asked for one item at a time.

    The first item goes out at once; those that come while a call is under way go together with the next one.
    """

    def __init__(self, call: Callable[[Sequence[Item]], Awaitable[Sequence[Result]]]) -> None:
        self._call = call
        self._turn = asyncio.Lock()
        self._open: _Batch[Item, Result] | None = None
        self._tasks: set[asyncio.Task[Sequence[Result | InvalidArgument]]] = set()

    async def __call__(self, item: Item) -> Result:
        """Return the result of *item*, or raise why there is none. An item is sent even if nobody waits any more."""
        batch = self._collecting()
        position = len(batch.items)
        batch.items.append(item)
        result = (await asyncio.shield(batch.results))[position]
        if isinstance(result, InvalidArgument):
            raise result
        return result

    async def close(self) -> None:
        """Wait until the calls under way have ended; cancel them if there is no time for that."""
        try:
            if self._tasks:
                await asyncio.wait(self._tasks)
        finally:
            for task in self._tasks:
                task.cancel()

    def _collecting(self) -> _Batch[Item, Result]:
        if self._open is None or len(self._open.items) == LIMIT:
            items: list[Item] = []
            task = asyncio.create_task(self._send(items))
            self._tasks.add(task)
            task.add_done_callback(self._ended)
            self._open = _Batch(items, task)
        return self._open

    def _ended(self, task: asyncio.Task[Sequence[Result | InvalidArgument]]) -> None:
        self._tasks.discard(task)
        task.cancelled() or task.exception()  # whoever still waits is told; of the others asyncio would complain

    async def _send(self, items: list[Item]) -> Sequence[Result | InvalidArgument]:
        async with self._turn:
            if self._open and self._open.items is items:
                self._open = None
            return await self._results(items)

    async def _results(self, items: Sequence[Item]) -> Sequence[Result | InvalidArgument]:
        try:
            return await self._call(items)
        except InvalidArgument as error:
            if len(items) == 1:
                return [error]
            return [(await self._results([item]))[0] for item in items]  # one wrong item must not spoil the others
