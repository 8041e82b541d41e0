"""Everybody who works while faults come: a CRM, an ERP with two workers, and whoever looks after them."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress

import aiohttp

from soaking.callers import Client, Rest
from soaking.crm import Crm
from soaking.erp import Erp, Worker
from soaking.ledger import Ledger
from soaking.site import Site
from tandem_client import TandemError

WORKERS = 2
REPLY_SECONDS = 12
REPLAY_SECONDS = 2.0

Work = Callable[[], Awaitable[None]]


class Load:
    """What goes on, each kind of it by so many at one time, with a pause in between."""

    def __init__(self, crm: Crm, erp: Erp, workers: list[Worker]) -> None:
        self._crm, self._erp, self._workers = crm, erp, workers
        self._enough = asyncio.Event()
        self._work: list[tuple[Work, int, float]] = [
            (crm.create, 8, 0.8),
            (crm.amend, 3, 1.0),
            (crm.cancel, 1, 2.0),
            (crm.import_, 1, 15.0),
            (erp.tell, 1, 1.0),
            (erp.send, 2, 1.0),
        ]

    async def run(self) -> None:
        """Work until told that it is enough, and until everything that was begun is known to be done."""
        await self._crm.begin()
        async with asyncio.TaskGroup() as tasks:
            for work, count, pause in self._work:
                for _ in range(count):
                    tasks.create_task(self._repeat(work, pause))

    async def serve(self) -> None:
        """Take orders over, and replay dead ones, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for worker in self._workers:
                tasks.create_task(worker.work())
            tasks.create_task(self._repeat(self._erp.replay, REPLAY_SECONDS))

    def finish(self) -> None:
        """Begin nothing new."""
        self._enough.set()

    async def _repeat(self, work: Work, pause: float) -> None:
        """Do *work* again and again; how it fails is in the ledger, and the checker's to judge."""
        while not self._enough.is_set() or work == self._erp.replay:
            with suppress(TandemError):
                await work()
            await asyncio.sleep(pause * random.uniform(0.5, 1.5))


@asynccontextmanager
async def load(site: Site, ledger: Ledger, seed: int) -> AsyncIterator[Load]:
    """Give the load of *site*, all of it by *seed*."""

    def client(key: str, who: str) -> Client:
        return Client(site.target, site.keys[key], ledger, who)

    def hired(who: str) -> Client:
        return client("TANDEM_ERP_KEY", who)

    async with AsyncExitStack() as stack:
        timeout = aiohttp.ClientTimeout(total=REPLY_SECONDS)
        session = await stack.enter_async_context(aiohttp.ClientSession(timeout=timeout))
        selling, booking = client("TANDEM_CRM_KEY", "crm"), hired("erp")
        for each in (selling, booking):
            stack.push_async_callback(each.close)
        crm_rest = Rest(session, site.gateways, site.keys["TANDEM_CRM_KEY"], ledger)
        crm = Crm(selling, crm_rest, ledger, random.Random(f"crm {seed}"))
        erp = Erp(
            booking, Rest(session, site.gateways, "", ledger), site.secret, crm.recent, random.Random(f"e {seed}")
        )
        names = [f"w{number}" for number in range(WORKERS)]
        yield Load(crm, erp, [Worker(name, hired, random.Random(f"{name} {seed}")) for name in names])
