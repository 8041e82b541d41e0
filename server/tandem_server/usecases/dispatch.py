"""Who waits for orders, and how each gets its turn: one dispatcher a process, one queue an ERP."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections import defaultdict
from collections.abc import AsyncGenerator
from contextvars import Context
from dataclasses import dataclass, field, replace

from tandem_proto.errors import TandemError, Unavailable
from tandem_proto.tracing import link, working
from tandem_server.domain.principals import Caller
from tandem_server.instruments import CLAIM_SECONDS
from tandem_server.storage.database import Database
from tandem_server.storage.deliveries import anything_claimable, outstanding
from tandem_server.usecases.deliveries import Demand, claim
from tandem_server.usecases.leases import give_back
from tandem_server.usecases.queues import Batch, Queue, Waiter, happens
from tandem_server.usecases.tasks import Tasks

log = logging.getLogger(__name__)

POLL_SECONDS = 0.25
"""How often, while anybody waits, the database is asked for work that nobody in this process told of."""
HEARTBEAT_SECONDS = 15.0
FULL_SECONDS = 0.5
"""How often a stream that holds all it may looks again: leases may have run out, or ended on another server."""
LINGER_SECONDS = 0.02
"""How long a stream that is all but full waits for more room, so that single acks do not make single deliveries."""
RETRY_SECONDS = 1.0
"""The pause after the database failed."""


@dataclass
class Stream:
    """What a worker asks of a stream: batches as *demand* says, at most *max_outstanding* orders held at one time."""

    demand: Demand
    max_outstanding: int
    until_empty: bool = False
    held: int = field(default=0, init=False)  # at most: what was sent since the database was asked counts as held
    claimed_at: float = field(default=0.0, init=False)  # the newest batch, by this process's clock

    @property
    def run_down(self) -> bool:
        """Whether a quarter of the newest batch's lease is over, since a slow reader let it wait."""
        return time.monotonic() - self.claimed_at > self.demand.lease_seconds / 4


class Dispatcher:
    """Claims orders for whoever waits for them, in turn, and hands them out after the commit."""

    def __init__(self, database: Database, *, max_failures: int) -> None:
        self._database = database
        self._max_failures = max_failures
        self._queues: defaultdict[str, Queue] = defaultdict(Queue)
        self._tasks = Tasks()
        self._draining = False

    def wake(self) -> None:
        """Say that something may be claimable."""
        for queue in self._queues.values():
            queue.news.set()

    def make_room(self) -> None:
        """Say that somebody may hold less than before."""
        for queue in self._queues.values():
            queue.tell_room()

    async def drain(self) -> None:
        """End every stream and every wait; what was claimed and not yet sent goes back."""
        self._draining = True
        for queue in self._queues.values():
            queue.answer(everybody=True)
            queue.tell_room()

    async def close(self) -> None:
        """Drain, and end the background work."""
        await self.drain()
        await self._tasks.close()

    async def lease(self, caller: Caller, demand: Demand, wait_seconds: float | None) -> Batch:
        """Lease one batch; where nothing waits, wait for a first order: 0 not at all, None for ever."""
        if self._draining:
            return []
        waiter = Waiter(caller, demand, wait_seconds != 0, asyncio.get_running_loop().create_future())
        queue = self._join(waiter)
        taken = False
        try:
            async with asyncio.timeout(wait_seconds or None):
                batch = await waiter.batch
            taken = True
        except TimeoutError:
            return []
        finally:
            if not taken:
                queue.leave(waiter)
                self._return(caller, waiter.batch)
        return batch

    async def stream(self, caller: Caller, stream: Stream) -> AsyncGenerator[Batch]:
        """Yield batches, and an empty one at the start and after every 15 s of silence.

        Ends as `until_empty` says; raises Unavailable when the server stops. What was yielded stays with the worker
        until its leases end.
        """
        leased_by = f"{stream.demand.worker}/{secrets.token_hex(8)}"
        stream = replace(stream, demand=replace(stream.demand, leased_by=leased_by))
        yield []
        coming = self._tasks.spawn(self._next(caller, stream))
        try:
            while True:
                while not (await asyncio.wait({coming}, timeout=HEARTBEAT_SECONDS))[0]:
                    yield []
                if self._draining:
                    raise Unavailable("the server is stopping", reason="DRAINING", retry_after=1)
                batch = coming.result()
                if not batch:
                    return
                if stream.run_down:
                    # Before the next claim: what is not back yet would not be found.
                    await asyncio.wait({self._tasks.spawn(self._release(caller, batch))})
                    batch = []
                # The next one is claimed while this one is on its way: the database works while this process does.
                coming = self._tasks.spawn(self._next(caller, stream))
                if batch:
                    yield batch
        finally:
            # Cut off in between, nothing can be awaited here: the task ends on its own.
            coming.cancel()
            self._return(caller, coming)

    async def _next(self, caller: Caller, stream: Stream) -> Batch:
        """Return the next batch of *stream*; none when the server stops, or nothing waits and it does not either."""
        room = await self._room(stream)
        demand = replace(stream.demand, limit=min(room, stream.demand.limit))
        batch = await self.lease(caller, demand, 0 if stream.until_empty else None)
        stream.held += len(batch)
        stream.claimed_at = time.monotonic()
        return batch

    async def _room(self, stream: Stream) -> int:
        """Wait until *stream* may hold more, and return how much; the database is asked only where that may be news."""
        most, lingered = stream.max_outstanding, False
        enough = min(stream.demand.limit, most)
        while not self._draining:
            told = self._queues[stream.demand.erp].room
            if most - stream.held < enough:
                stream.held = await self._outstanding(stream)
            room = most - stream.held
            if room >= enough or (room > 0 and lingered):
                return room
            lingered = room > 0
            await (asyncio.sleep(LINGER_SECONDS) if lingered else happens(told, FULL_SECONDS))
        return 1

    async def _outstanding(self, stream: Stream) -> int:
        try:
            return await self._database.read(lambda tx: outstanding(tx, stream.demand.leased_by))
        except TandemError:
            log.warning("cannot tell how much %s holds", stream.demand.leased_by, exc_info=True)
            return stream.max_outstanding

    def _join(self, waiter: Waiter) -> Queue:
        queue = self._queues[waiter.demand.erp]
        queue.waiters.append(waiter)
        queue.news.set()
        if queue.server is None or queue.server.done():
            queue.server = self._tasks.spawn(self._serve(waiter.demand.erp, queue), Context())
        return queue

    async def _serve(self, erp: str, queue: Queue) -> None:
        """Claim for the first in the queue, until nobody waits."""
        while queue.waiters:
            queue.news.clear()
            try:
                await self._serve_first(erp, queue)
            except Exception as error:  # the one loop that must go on
                log.warning("claiming for %s failed, trying again", erp, exc_info=True)
                queue.answer(everybody=False, error=error)
                await asyncio.sleep(RETRY_SECONDS)

    async def _serve_first(self, erp: str, queue: Queue) -> None:
        first = queue.waiters[0]
        if first.batch.done():  # it is about to leave
            queue.waiters.popleft()
            return
        batch = await self._tasks.spawn(self._claim(first), first.context)
        if first.batch.done():
            self.give_back_unsent(first.caller, batch)
        elif batch:
            queue.waiters.remove(first)
            first.batch.set_result(batch)
        else:
            queue.answer(everybody=False)
            await self._work(erp, queue)

    async def _claim(self, waiter: Waiter) -> Batch:
        """Claim a batch in the call of *waiter*: a span of its own, linked to those that the orders came by."""
        started, erp = time.perf_counter(), {"tandem.erp": waiter.demand.erp}
        with working("claim", erp):
            batch = await self._database.write(
                lambda tx: claim(tx, waiter.caller, waiter.demand, max_failures=self._max_failures)
            )
            link(delivery.stored.order.traceparent for delivery in batch)
            CLAIM_SECONDS.record(time.perf_counter() - started, erp)
            return batch

    async def _work(self, erp: str, queue: Queue) -> None:
        """Return when something may be claimable, or nobody waits any more."""
        while queue.waiters and not await happens(queue.news, POLL_SECONDS):
            claimable = bool(queue.waiters) and await self._database.watch(lambda tx: anything_claimable(tx, erp))
            if claimable:
                return

    def _return(self, caller: Caller, batch: asyncio.Future[Batch]) -> None:
        """Give back what *batch* holds, or will hold, since nobody takes it."""

        def done(future: asyncio.Future[Batch]) -> None:
            if not future.cancelled() and future.exception() is None:
                self.give_back_unsent(caller, future.result())

        batch.add_done_callback(done)

    def give_back_unsent(self, caller: Caller, batch: Batch) -> None:
        """Release what was claimed and will not be sent; returns at once."""
        if batch:
            self._tasks.spawn(self._release(caller, batch))

    async def _release(self, caller: Caller, batch: Batch) -> None:
        try:
            await self._database.write(lambda tx: give_back(tx, caller, batch))
        except TandemError:
            log.warning("%d orders come back only when their leases end", len(batch), exc_info=True)
        else:
            self.wake()
