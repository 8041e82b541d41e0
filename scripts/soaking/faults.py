"""Faults, by seed: which, to whom, when and for how long; and how each is done."""

from __future__ import annotations

import asyncio
import random
import signal
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

import pymysql

from soaking.ledger import Ledger
from soaking.mysqld import OwnMysql
from soaking.site import DATABASE, Site

PROCESSES = ("server 1", "server 2", "gateway 1", "gateway 2")
WAYS = (*(f"way to {name}" for name in PROCESSES), "way of server 1 to mysql", "way of server 2 to mysql")
MYSQL = ("mysql",)


@dataclass(frozen=True)
class Kind:
    """A kind of fault: whom it meets, how long it lasts (from, to, in seconds), how often it is chosen."""

    victims: tuple[str, ...]
    seconds: tuple[float, float] = (0, 0)
    weight: int = 1


KINDS = {
    "kill": Kind(PROCESSES, weight=3),
    "terminate": Kind(PROCESSES, weight=2),
    "freeze": Kind(PROCESSES, (1, 8), weight=2),
    "kill database": Kind(MYSQL, (0, 4), weight=2),
    "freeze database": Kind(MYSQL, (1, 8)),
    "kill connections": Kind(MYSQL),
    "deadlocks": Kind(MYSQL, (1, 3)),
    "delay": Kind(WAYS, (2, 10), weight=2),
    "cut": Kind(WAYS, weight=2),
    "reset": Kind(WAYS, weight=2),
    "half-open": Kind(WAYS, weight=2),
}
DELAY_SECONDS = 0.05


@dataclass(frozen=True)
class Fault:
    """A fault of a kind, its victim, and how long it lasts."""

    kind: str
    victim: str
    seconds: float

    def __str__(self) -> str:
        return f"{self.kind} {self.victim}"


def plan(seed: int, pause: float, kinds: Sequence[str]) -> Iterator[tuple[float, Fault]]:
    """Yield seconds to wait, *pause* in the mean, and the fault that follows: one of each kind, then whichever."""
    rng = random.Random(f"faults {seed}")
    first = rng.sample(kinds, len(kinds))
    while True:
        (kind,) = [first.pop()] if first else rng.choices(kinds, [KINDS[each].weight for each in kinds])
        how = KINDS[kind]
        yield rng.uniform(0.3, 1.7) * pause, Fault(kind, rng.choice(how.victims), rng.uniform(*how.seconds))


class Faults:
    """Does faults to a site, and notes each when it begins and when it has ended."""

    def __init__(self, site: Site, ledger: Ledger) -> None:
        self._site, self._ledger = site, ledger
        self.done = 0
        self._ways: dict[str, Callable[[Fault], Awaitable[None]]] = {
            "kill": self._kill,
            "terminate": self._terminate,
            "freeze": self._freeze,
            "kill database": self._kill_database,
            "freeze database": self._freeze_database,
            "kill connections": self._kill_connections,
            "deadlocks": self._deadlocks,
            "delay": self._delay,
            "cut": self._cut,
            "reset": self._reset,
            "half-open": self._half_open,
        }

    async def strike(self, fault: Fault) -> None:
        """Do *fault*, when its victim has nobody else at it; at the end all is as before."""
        async with self._site.turns[fault.victim]:
            self._ledger.note(fault=fault.kind, victim=fault.victim, seconds=fault.seconds)
            await self._ways[fault.kind](fault)
            self._ledger.note(over=fault.kind, victim=fault.victim)
            self.done += 1

    async def _kill(self, fault: Fault) -> None:
        kept = self._site.kept[fault.victim]
        await asyncio.to_thread(kept.process.stop, signal.SIGKILL)
        kept.start()

    async def _terminate(self, fault: Fault) -> None:
        """Only what is up can be asked to stop: before that, a signal is not expected."""
        kept = self._site.kept[fault.victim]
        with suppress(TimeoutError):
            await kept.wait_until_up()
        running, started = kept.process.exit_code is None, time.monotonic()
        code = await asyncio.to_thread(kept.process.stop)
        if running:
            self._ledger.note(stopped=fault.victim, code=code, took=time.monotonic() - started)
        kept.start()

    async def _freeze(self, fault: Fault) -> None:
        process = self._site.kept[fault.victim].process
        process.send(signal.SIGSTOP)
        try:
            await asyncio.sleep(fault.seconds)
        finally:
            process.send(signal.SIGCONT)

    async def _kill_database(self, fault: Fault) -> None:
        await asyncio.to_thread(self._site.mysql.kill)
        await asyncio.sleep(fault.seconds)
        await asyncio.to_thread(self._site.mysql.start)

    async def _freeze_database(self, fault: Fault) -> None:
        self._site.mysql.freeze()
        try:
            await asyncio.sleep(fault.seconds)
        finally:
            self._site.mysql.thaw()

    async def _kill_connections(self, _: Fault) -> None:
        with suppress(pymysql.err.MySQLError):
            await asyncio.to_thread(self._site.mysql.kill_connections)

    async def _deadlocks(self, fault: Fault) -> None:
        met = await asyncio.to_thread(force_deadlocks, self._site.mysql, fault.seconds)
        self._ledger.note(deadlocks=met)

    async def _delay(self, fault: Fault) -> None:
        proxy = self._site.proxies[fault.victim]
        proxy.delay = DELAY_SECONDS
        await asyncio.sleep(fault.seconds)
        proxy.delay = 0

    async def _cut(self, fault: Fault) -> None:
        self._site.proxies[fault.victim].cut()

    async def _reset(self, fault: Fault) -> None:
        self._site.proxies[fault.victim].reset()

    async def _half_open(self, fault: Fault) -> None:
        self._site.proxies[fault.victim].silence()


def force_deadlocks(mysql: OwnMysql, seconds: float) -> int:
    """Lock orders that are leased the wrong way round, again and again, and return how many deadlocks that made."""
    count = "SELECT count FROM information_schema.innodb_metrics WHERE name = 'lock_deadlocks'"
    leased = "SELECT order_id FROM deliveries WHERE lease_token IS NOT NULL LIMIT 50"
    before, ends = mysql.ask(count)[0][0], time.monotonic() + seconds
    while time.monotonic() < ends:
        time.sleep(0.02)
        if ids := [order_id for (order_id,) in mysql.ask(leased, DATABASE)]:
            lock_backwards(mysql, ids, 0.2)
    return int(mysql.ask(count)[0][0] - before)


def lock_backwards(mysql: OwnMysql, ids: Sequence[str], seconds: float, database: str = DATABASE) -> None:
    """Lock orders, and after a while their deliveries, which is the wrong way round."""
    where = {"host": mysql.url.host, "port": mysql.url.port or 0, "user": "root", "database": database}
    with (
        pymysql.connect(**where, init_command="SET innodb_lock_wait_timeout = 2") as connection,
        connection.cursor() as cursor,
        suppress(pymysql.err.OperationalError),
    ):
        cursor.execute("SELECT 1 FROM orders WHERE id IN %s ORDER BY id FOR UPDATE", (ids,))
        time.sleep(seconds)
        cursor.execute("SELECT 1 FROM deliveries WHERE order_id IN %s ORDER BY order_id FOR UPDATE", (ids,))
