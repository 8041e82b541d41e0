"""Small writes that come at the same time share a transaction: its fixed cost is paid once for all of them."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from contextvars import Context, copy_context
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from tandem_proto.errors import Aborted, TandemError, Unavailable
from tandem_proto.tracing import link, traceparent
from tandem_server.usecases.tasks import Tasks

I = TypeVar("I")  # noqa: E741 - an item
R = TypeVar("R")

GROUP_ITEMS = 32
GROUP_BYTES = 256 << 10
PATIENCE_SECONDS = 20.0


@dataclass(eq=False)
class _Waiter(Generic[I, R]):
    item: I
    result: asyncio.Future[R]
    context: Context = field(default_factory=copy_context)


class Grouping(Generic[I, R]):
    """Does what comes one by one in groups: *work* takes the items of a group and gives a result for each.

    Nobody waits for company: the first item goes at once, and what comes while a group is under way is the next group,
    one at a time for each party. *size_of* tells an item's bytes.
    """

    def __init__(
        self, work: Callable[[Sequence[I]], Coroutine[Any, Any, Sequence[R | TandemError]]], size_of: Callable[[I], int]
    ) -> None:
        self._work = work
        self._size_of = size_of
        self._queues: dict[str, deque[_Waiter[I, R]]] = {}
        self._tasks = Tasks()

    async def add(self, party: str, item: I) -> R:
        """Return the result of *item*, or raise it where it is an error.

        Raises Unavailable where its turn takes too long. A caller that leaves before its turn takes its item along;
        one that leaves later abandons the result.
        """
        waiter: _Waiter[I, R] = _Waiter(item, asyncio.get_running_loop().create_future())
        queue = self._queue(party)
        queue.append(waiter)
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                return await waiter.result
        except TimeoutError:
            raise Unavailable("the database is busy", reason="DATABASE_BUSY", retry_after=1) from None
        finally:
            if waiter in queue:  # not for remove() to find out: its error would print a whole order
                queue.remove(waiter)

    def _queue(self, party: str) -> deque[_Waiter[I, R]]:
        if party not in self._queues:
            self._queues[party] = deque()
            self._tasks.spawn(self._serve(party), Context())
        return self._queues[party]

    async def _serve(self, party: str) -> None:
        queue = self._queues[party]
        while queue:
            await self._answer(self._group(queue))
        del self._queues[party]

    def _group(self, queue: deque[_Waiter[I, R]]) -> list[_Waiter[I, R]]:
        group = [queue.popleft()]
        size = self._size_of(group[0].item)
        while queue and len(group) < GROUP_ITEMS and (size := size + self._size_of(queue[0].item)) <= GROUP_BYTES:
            group.append(queue.popleft())
        return group

    async def _answer(self, group: Sequence[_Waiter[I, R]]) -> None:
        working = self._tasks.spawn(self._work([waiter.item for waiter in group]), group[0].context)
        _tell_traces(group)
        (results,) = await asyncio.gather(working, return_exceptions=True)
        if not isinstance(results, BaseException):
            for waiter, result in zip(group, results, strict=True):
                _settle(waiter.result, result)
        elif len(group) == 1 or isinstance(results, Unavailable | Aborted):
            for waiter in group:
                _settle(waiter.result, results)
        else:  # one of them may spoil the transaction of all
            for waiter in group:
                await self._answer([waiter])


def _tell_traces(group: Sequence[_Waiter[I, R]]) -> None:
    """Link the traces of the others to the first's, which has the statements of all."""
    first, *others = group
    told = [first.context.run(traceparent)] if others else []
    for waiter in others:
        waiter.context.run(link, told)


def _settle(future: asyncio.Future[R], result: R | BaseException) -> None:
    if future.done():
        return
    if isinstance(result, BaseException):
        future.set_exception(result)
    else:
        future.set_result(result)
