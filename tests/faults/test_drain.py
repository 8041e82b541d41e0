"""Promise 10: drain loses nothing, and no failure is visible after a client's retry."""

from __future__ import annotations

import asyncio
import itertools
import random
import secrets
import signal
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress

import aiohttp
import grpc
import pytest
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub
from retail import a_customer, an_order
from stack import Process

from tandem_client import Tandem

from .conftest import GRACE_SECONDS, Pair, wait_until_up

pytestmark = pytest.mark.usefixtures("deadline")

ROUNDS = 2
NOTICE_SECONDS = 1


class Load:
    """Creates over gRPC and REST, and a worker; `finish` raises what any of them could not hide by trying again."""

    def __init__(self, pair: Pair) -> None:
        self._pair, self._party = pair, pair.party
        self.created: set[str] = set()
        self.received: Counter[str] = Counter()
        self._acknowledging: list[asyncio.Future[None]] = []
        self._enough = asyncio.Event()
        self._numbers = itertools.count()

    async def run(self) -> None:
        async with Tandem(self._pair.target, key=self._party.crm_key) as crm:
            await crm.customers.upsert(a_customer())
        async with asyncio.TaskGroup() as tasks:
            pulling = tasks.create_task(self._pull())
            creating = [tasks.create_task(way()) for way in (self._create, self._create, self._post, self._post)]
            await asyncio.wait(creating)
            with suppress(TimeoutError):  # what is missing then is told by the test
                async with asyncio.timeout(30):
                    while self.created - self.received.keys():  # noqa: ASYNC110 - they come one by one
                        await asyncio.sleep(0.1)
                    await asyncio.gather(*self._acknowledging)
            pulling.cancel()

    def finish(self) -> None:
        self._enough.set()

    async def _create(self) -> None:
        async with Tandem(self._pair.target, key=self._party.crm_key) as crm:
            while not self._enough.is_set():
                order = await crm.orders.create(an_order(f"{next(self._numbers)}", lines=1))
                self.created.add(order.id)

    async def _post(self) -> None:
        """Use one gateway and, where it does not answer or says 503, the other."""
        headers = {"authorization": f"Bearer {self._party.crm_key}"}
        async with aiohttp.ClientSession(headers=headers) as session:
            while not self._enough.is_set():
                await self._post_one(session, f"{next(self._numbers)}")

    async def _post_one(self, session: aiohttp.ClientSession, number: str) -> None:
        line = {"sku": "85123A", "quantity": "1", "unit_price": "2.55"}
        body = {"external_id": number, "customer_external_id": "17850", "currency": "GBP", "lines": [line]}
        status = 0
        for stack in random.sample(self._pair.stacks, 2) * 2:
            with suppress(aiohttp.ClientConnectionError):
                async with session.post(f"{stack.http}/v1/orders", json=body) as reply:
                    status = reply.status
                    if status == 201:
                        self.created.add((await reply.json())["id"])
                        return
                    assert status == 503, await reply.text()
        raise AssertionError(f"{number}: refused four times, at last with {status}")

    async def _pull(self) -> None:
        async with Tandem(self._pair.target, key=self._party.erp_key) as worker, worker.orders.pull("w") as deliveries:
            async for delivery in deliveries:
                self.received[delivery.order.id] += 1
                self._acknowledging.append(asyncio.ensure_future(delivery.acknowledge(erp_document=delivery.order.id)))


async def end(process: Process) -> float:
    """Send SIGTERM, and return how long the process took to end."""
    started = time.monotonic()
    assert await asyncio.to_thread(process.stop) == 0, process.command
    return time.monotonic() - started


async def test_promise_10_no_failure_is_visible_while_servers_and_gateways_are_restarted(pair: Pair) -> None:
    """Under load, one after the other; and what the worker held stayed its own: every order came once."""
    seed = secrets.randbits(32)
    print(f"seed {seed}")  # noqa: T201
    random.seed(seed)
    load, took = Load(pair), []
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(load.run())
        await asyncio.sleep(1)
        for number in range(ROUNDS):
            stack = pair.stacks[number // 2 % 2]
            process = (stack.server, stack.gateway)[number % 2]
            took.append(await end(process))
            process.start()
            await asyncio.to_thread(wait_until_up, stack)
        load.finish()
    print(f"{len(load.created)} orders, {ROUNDS} restarts, the longest exit {max(took):.1f} s")  # noqa: T201
    assert max(took) <= GRACE_SECONDS + 2
    assert load.created - load.received.keys() == set()
    assert set(load.received.values()) == {1}


async def told_before_the_end(serves: Callable[[], Awaitable[bool]]) -> tuple[float, float]:
    """Ask *serves* until nobody answers; return when it first said no, and when the answers ended."""
    told = 0.0
    with suppress(grpc.aio.AioRpcError, aiohttp.ClientConnectionError):
        while True:
            if not await serves():
                told = told or time.monotonic()
            await asyncio.sleep(0.02)
    return told, time.monotonic()


async def test_health_says_so_a_second_before_the_port_closes(pair: Pair) -> None:
    stack = pair.stacks[0]
    async with (
        grpc.aio.insecure_channel(stack.grpc, [("grpc.enable_retries", 0)]) as channel,
        aiohttp.ClientSession(stack.http) as http,
    ):
        health = HealthStub(channel)

        async def server_serves() -> bool:
            return bool((await health.Check(HealthCheckRequest())).status == HealthCheckResponse.SERVING)

        async def gateway_serves() -> bool:
            async with http.get("/readyz") as reply:
                checks = (await reply.json())["checks"]
                assert (reply.status, checks) in [(200, {"server": "SERVING"}), (503, {"gateway": "NOT_SERVING"})]
                return reply.status == 200

        assert await server_serves()
        assert await gateway_serves()
        for process in (stack.server, stack.gateway):
            process.send(signal.SIGTERM)
        stopped = time.monotonic()
        for told, ended in await asyncio.gather(*map(told_before_the_end, (server_serves, gateway_serves))):
            assert stopped < told < stopped + 1
            assert ended - told >= NOTICE_SECONDS - 0.2


async def test_a_call_under_way_finishes_and_a_long_poll_is_answered(pair: Pair) -> None:
    stack = pair.stacks[0]
    async with Tandem(stack.grpc, key=pair.party.erp_key) as worker, aiohttp.ClientSession(stack.http) as http:
        polls = [asyncio.ensure_future(worker.erp.lease(f"w{n}", max_orders=1, wait_seconds=20)) for n in range(5)]
        headers = {"authorization": f"Bearer {pair.party.erp_key}"}
        body = {"worker": "w", "wait_seconds": 2}
        posted = asyncio.ensure_future(http.post("/v1/erp/orders:lease", json=body, headers=headers))
        await asyncio.sleep(0.5)
        took = await asyncio.gather(end(stack.server), end(stack.gateway))
        assert await asyncio.gather(*polls) == [[]] * 5
        assert (await posted).status == 200
    assert max(took) <= GRACE_SECONDS + 2
