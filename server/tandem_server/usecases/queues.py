"""Queues of those who wait for orders."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress
from contextvars import Context, copy_context
from dataclasses import dataclass, field

from tandem_server.domain.principals import Caller
from tandem_server.usecases.deliveries import Delivery, Demand

Batch = list[Delivery]


@dataclass(eq=False)
class Waiter:
    """Somebody in the queue, until `batch` is done: with what was claimed, or empty where there is nothing.

    `context` is of the call that it waits in.
    """

    caller: Caller
    demand: Demand
    patient: bool
    batch: asyncio.Future[Batch]
    context: Context = field(default_factory=copy_context)


class Queue:
    """Those who wait for orders of one ERP: first come, first served."""

    def __init__(self) -> None:
        self.waiters: deque[Waiter] = deque()
        self.news = asyncio.Event()  # something may be claimable
        self.room = asyncio.Event()  # somebody may hold less
        self.server: asyncio.Task[None] | None = None

    def leave(self, waiter: Waiter) -> None:
        """Let *waiter* go without an answer."""
        if waiter in self.waiters:
            self.waiters.remove(waiter)
        waiter.batch.cancel()

    def answer(self, *, everybody: bool, error: Exception | None = None) -> None:
        """Tell those who do not wait, or everybody, that there is nothing, or why there is not."""
        for waiter in [each for each in self.waiters if everybody or not each.patient]:
            self.waiters.remove(waiter)
            if waiter.batch.done():
                continue  # it is about to leave
            if error is not None:
                waiter.batch.set_exception(error)
            else:
                waiter.batch.set_result([])

    def tell_room(self) -> None:
        """Say that somebody may hold less than before."""
        told, self.room = self.room, asyncio.Event()
        told.set()


async def happens(event: asyncio.Event, seconds: float) -> bool:
    """Tell whether *event* happens within *seconds*."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
    return event.is_set()
