"""Units of work: each runs as a task of its own, in one short transaction, and no cancel ever reaches a driver."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, TypeVar

from sqlalchemy import CursorResult, Executable, select
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from tandem_server.domain.erasure import OFF, Marks
from tandem_server.instruments import CONNECTION_WAIT
from tandem_server.storage import refusals
from tandem_server.storage.dialects import DatabaseClock, Fault, engine_options, fault_of, prepare, watcher_options
from tandem_server.storage.endings import discard, kill
from tandem_server.storage.reach import Reach
from tandem_server.storage.tracing import spanning
from tandem_server.turns import IN_THE_WAY, others_first

log = logging.getLogger(__name__)
T = TypeVar("T")

ATTEMPTS = 5
"""How often a unit runs before a conflict with others becomes ABORTED."""
AT_ONCE = 32
"""Rows that become objects in one piece of long work."""

Record = SimpleNamespace
"""A row: its columns are attributes, which a plain object gives ten times as fast as SQLAlchemy's Row."""
CLOCK = DatabaseClock().label("now")
"""The column that tells a transaction the time."""
NOW = select(CLOCK)


class Transaction:
    """One transaction: what a unit of work may do to the database, which knows erased keys by *marks*."""

    def __init__(self, connection: AsyncConnection, marks: Marks) -> None:
        self._connection = connection
        self.marks = marks
        self._left: asyncio.Event | None = None
        self._now: datetime | None = None
        self._after_commit: list[Callable[[], None]] = []

    async def execute(
        self, statement: Executable, rows: Mapping[str, Any] | Sequence[dict[str, Any]] | None = None
    ) -> CursorResult[Any]:
        """Execute *statement*, once for each of *rows* if given. Raises DBAPIError, which the unit must not catch."""
        self._require_wanted()
        with spanning(statement, self._connection.dialect.name) as told:
            result = await self._connection.execute(statement, rows)
            told.text = result.context.statement
        return result

    async def rows(self, statement: Executable, **values: Any) -> Sequence[Record]:
        """Return every row of *statement* as an object with its columns; *values* are those of its bind parameters.

        A statement that is made once, with parameters, takes a third of the time of one that is made for each call. One
        that selects CLOCK too spares a round trip: the time is known then.
        """
        result = await self.execute(statement, values or None)
        names = tuple(result.keys())
        rows: list[Record] = []
        for some in result.partitions(AT_ONCE):
            if rows:
                await others_first()
                self._require_wanted()
            rows += [Record(**dict(zip(names, row, strict=True))) for row in some]
        if rows and CLOCK.name in names and self._now is None and self._connection.dialect.name != "sqlite":
            self._now = rows[0].now.replace(tzinfo=UTC)
        return rows

    async def now(self) -> datetime:
        """Return the database's clock as this transaction first read it; SQLite has the process's."""
        if self._now is None and self._connection.dialect.name == "sqlite":
            self._now = datetime.now(UTC)
        if self._now is None:
            await self.rows(NOW)
        assert self._now
        return self._now

    def stop_after(self, left: asyncio.Event) -> None:
        """Go no further once the caller has *left*: this only reads, and is in nobody's way. CancelledError ends it."""
        self._left = left
        IN_THE_WAY.set(False)

    def _require_wanted(self) -> None:
        if self._left is not None and self._left.is_set():
            raise asyncio.CancelledError

    def after_commit(self, callback: Callable[[], None]) -> None:
        """Call *callback*, which must not fail or wait, once the transaction is committed."""
        self._after_commit.append(callback)

    async def commit(self) -> None:
        """Commit; only the database calls this."""
        with spanning("COMMIT", self._connection.dialect.name):
            await self._connection.commit()


Unit = Callable[[Transaction], Awaitable[T]]
"""A unit of work. It may run several times, so it must have no effect but through its transaction."""


class Database:
    """The engine, and the only place that commits.

    A caller that is cancelled abandons its unit: one that writes goes on to its end, one that reads stops soon, one
    that still waits for a connection is dropped. At most *pool_size* units run at once, first come, first served;
    SQLite has one writer and *pool_size* readers. *marks* are what erased keys are known by.
    """

    def __init__(self, url: str, *, pool_size: int = 5, transaction_seconds: float = 10, marks: Marks = OFF) -> None:
        self.marks = marks
        self._seconds = transaction_seconds
        parsed = make_url(url)
        self._writer = create_async_engine(parsed, **engine_options(parsed, pool_size))
        prepare(self._writer, writer=True)
        self._write_slots = asyncio.Semaphore(pool_size)
        self._reader, self._read_slots = self._writer, self._write_slots
        if self.dialect == "sqlite":
            self._reader = create_async_engine(parsed, **engine_options(parsed, pool_size))
            prepare(self._reader, writer=False)
            self._write_slots, self._read_slots = asyncio.Semaphore(1), asyncio.Semaphore(pool_size)
        self._watcher, self._watch_slots = create_async_engine(parsed, **watcher_options(parsed)), asyncio.Semaphore(1)
        prepare(self._watcher, writer=False)
        self._spare = create_async_engine(parsed, poolclass=NullPool)
        self._units: set[asyncio.Task[Any]] = set()
        self.reach = Reach()

    @property
    def busy(self) -> int:
        """How many connections are in use."""
        return len(self._units)

    @property
    def dialect(self) -> str:
        """The dialect's name: "mysql", "mariadb" or "sqlite"."""
        return str(self._writer.dialect.name)

    async def read(self, unit: Unit[T]) -> T:
        """Run *unit*, which only reads, and goes no further once its caller leaves; raises like `write`."""
        left = asyncio.Event()

        async def wanted(tx: Transaction) -> T:
            tx.stop_after(left)
            return await unit(tx)

        try:
            return await self._queue(self._reader, self._read_slots, wanted)
        except asyncio.CancelledError:
            left.set()
            raise

    async def watch(self, unit: Unit[T]) -> T:
        """Run *unit*, one reading statement, on a connection of its own: what asks all the time costs that alone."""
        return await self._queue(self._watcher, self._watch_slots, unit)

    async def write(self, unit: Unit[T]) -> T:
        """Run *unit* and commit what it did.

        Raises Aborted where others always came first, AlreadyExists where a unique key stays taken, Unavailable where
        the database is out of reach or too slow, and whatever TandemError the unit raises; then nothing is stored,
        unless the connection broke during COMMIT: the message says so.
        """
        return await self._queue(self._writer, self._write_slots, unit)

    async def close(self) -> None:
        """Let running units end, then close every connection."""
        if self._units:
            await asyncio.wait(self._units, timeout=self._seconds)
        for engine in {self._writer, self._reader, self._watcher, self._spare}:
            await engine.dispose()

    async def _queue(self, engine: AsyncEngine, slots: asyncio.Semaphore, unit: Unit[T]) -> T:
        if engine is not self._watcher:
            self.reach.require()
        started = time.perf_counter()
        try:
            async with asyncio.timeout(self._seconds / 2):
                await slots.acquire()
        except TimeoutError:
            raise refusals.busy() from None
        finally:
            CONNECTION_WAIT.record(time.perf_counter() - started)
        task = asyncio.create_task(self._run(engine, unit))
        self._units.add(task)
        task.add_done_callback(lambda done: self._finished(slots, done))
        return await asyncio.shield(task)

    def _finished(self, slots: asyncio.Semaphore, task: asyncio.Task[Any]) -> None:
        slots.release()
        self._units.discard(task)
        if not task.cancelled():
            task.exception()

    async def _run(self, engine: AsyncEngine, unit: Unit[T]) -> T:
        IN_THE_WAY.set(True)  # in a task of its own
        deadline = asyncio.get_running_loop().time() + self._seconds
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return await self._once(engine, unit, deadline)
            except DBAPIError as error:
                fault = fault_of(error)
                if fault is Fault.OTHER:
                    raise
                if attempt == ATTEMPTS:
                    raise refusals.given_up(fault) from error
                log.info("unit of work runs again: %s", fault.name, extra={"attempt": attempt})
            await asyncio.sleep(0 if fault is Fault.DUPLICATE else random.uniform(0.5, 1.5) * 0.01 * 2**attempt)
        raise AssertionError

    async def _once(self, engine: AsyncEngine, unit: Unit[T], deadline: float) -> T:
        committing = False
        transaction: Transaction | None = None
        connection = engine.connect()
        try:
            async with asyncio.timeout_at(deadline):
                await connection.start()
                transaction = Transaction(connection, self.marks)
                result = await unit(transaction)
                committing = engine is not self._watcher
                if committing:
                    await transaction.commit()
        except TimeoutError:
            await kill(connection, self._spare)
            raise refusals.outcome_unknown() if committing else refusals.slow() from None
        except DBAPIError as error:
            await discard(connection)
            if committing and fault_of(error) is Fault.LOST:
                raise refusals.outcome_unknown() from error
            raise
        except BaseException:
            await discard(connection)
            raise
        await connection.close()
        self.reach.note()
        for callback in transaction._after_commit:  # noqa: SLF001 - the two are one thing in two parts
            callback()
        return result
