"""Servers and gateways that are stopped and started again under load: nobody is to notice but who restarts them."""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import aiohttp

from soaking.site import Kept
from tandem_client import Customer, Order, OrderLine, Tandem

CUSTOMER = "17850"
DELIVERED_SECONDS = 30


@dataclass(frozen=True)
class Doors:
    """Where clients knock: what gRPC dials, the gateways' addresses, and keys of one source and its ERP."""

    target: str
    gateways: Sequence[str]
    crm_key: str
    erp_key: str


@dataclass
class Restarts:
    """What came of it: the orders created, how often each was received, and how long each process took to end."""

    created: set[str] = field(default_factory=set)
    received: Counter[str] = field(default_factory=Counter)
    took: list[float] = field(default_factory=list)


async def restart(doors: Doors, processes: Sequence[Kept], rounds: int) -> Restarts:
    """Restart *processes* in turn, *rounds* times; raises what no client could hide by trying again."""
    done = Restarts()
    load = _Load(doors, done)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(load.run())
        await asyncio.sleep(1)
        for number in range(rounds):
            kept = processes[number % len(processes)]
            done.took.append(await end(kept))
            kept.start()
            await kept.wait_until_serving()
        load.finish()
    return done


async def end(kept: Kept) -> float:
    """Send SIGTERM, and return how long the process took to end."""
    started = time.monotonic()
    assert await asyncio.to_thread(kept.process.stop) == 0, kept.process.command
    return time.monotonic() - started


class _Load:
    """Creates over gRPC and REST, and a worker."""

    def __init__(self, doors: Doors, done: Restarts) -> None:
        self._doors, self._done = doors, done
        self._acknowledging: list[asyncio.Future[None]] = []
        self._enough = asyncio.Event()
        self._numbers = itertools.count()

    async def run(self) -> None:
        async with Tandem(self._doors.target, key=self._doors.crm_key) as crm:
            await crm.customers.upsert(Customer(external_id=CUSTOMER, name="Ada"))
        async with asyncio.TaskGroup() as tasks:
            pulling = tasks.create_task(self._pull())
            creating = [tasks.create_task(way()) for way in (self._create, self._create, self._post, self._post)]
            await asyncio.wait(creating)
            with suppress(TimeoutError):  # what is missing then, whoever asked for all this will see
                async with asyncio.timeout(DELIVERED_SECONDS):
                    while self._done.created - self._done.received.keys():  # noqa: ASYNC110 - they come one by one
                        await asyncio.sleep(0.1)
                    await asyncio.gather(*self._acknowledging)
            pulling.cancel()

    def finish(self) -> None:
        self._enough.set()

    async def _create(self) -> None:
        line = OrderLine(sku="85123A", quantity="1", unit_price="2.55")
        async with Tandem(self._doors.target, key=self._doors.crm_key) as crm:
            while not self._enough.is_set():
                told = Order(customer_external_id=CUSTOMER, currency="GBP", lines=[line])
                told.external_id = f"{next(self._numbers)}"
                self._done.created.add((await crm.orders.create(told)).id)

    async def _post(self) -> None:
        """Use one gateway and, where it does not answer or says 503, the other."""
        headers = {"authorization": f"Bearer {self._doors.crm_key}"}
        async with aiohttp.ClientSession(headers=headers) as session:
            while not self._enough.is_set():
                await self._post_one(session, f"{next(self._numbers)}")

    async def _post_one(self, session: aiohttp.ClientSession, number: str) -> None:
        line = {"sku": "85123A", "quantity": "1", "unit_price": "2.55"}
        body = {"external_id": number, "customer_external_id": CUSTOMER, "currency": "GBP", "lines": [line]}
        status = 0
        for gateway in random.sample(list(self._doors.gateways), len(self._doors.gateways)) * 2:
            with suppress(aiohttp.ClientConnectionError):
                async with session.post(f"{gateway}/v1/orders", json=body) as reply:
                    status = reply.status
                    if status == 201:
                        self._done.created.add((await reply.json())["id"])
                        return
                    assert status == 503, await reply.text()
        raise AssertionError(f"{number}: refused four times, at last with {status}")

    async def _pull(self) -> None:
        async with Tandem(self._doors.target, key=self._doors.erp_key) as worker, worker.orders.pull("w") as deliveries:
            async for delivery in deliveries:
                self._done.received[delivery.order.id] += 1
                self._acknowledging.append(asyncio.ensure_future(delivery.acknowledge(delivery.order.id)))
