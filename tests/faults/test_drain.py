"""Promise 10: drain loses nothing, and no failure is visible after a client's retry."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress

import aiohttp
import grpc
import pytest
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub
from soaking.restarts import end, restart
from soaking.site import both

from tandem_client import Tandem

from .conftest import GRACE_SECONDS, Pair

pytestmark = pytest.mark.usefixtures("deadline")

ROUNDS = 2
NOTICE_SECONDS = 1


async def test_promise_10_no_failure_is_visible_while_servers_and_gateways_are_restarted(pair: Pair) -> None:
    """Under load, one after the other; and what the worker held stayed its own: every order came once."""
    done = await restart(pair.doors, both(pair.stacks[0]), ROUNDS)
    print(f"{len(done.created)} orders, {ROUNDS} restarts, the longest exit {max(done.took):.1f} s")  # noqa: T201
    assert max(done.took) <= GRACE_SECONDS + 2
    assert done.created - done.received.keys() == set()
    assert set(done.received.values()) == {1}


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
        took = await asyncio.gather(*map(end, both(stack)))
        assert await asyncio.gather(*polls) == [[]] * 5
        assert (await posted).status == 200
    assert max(took) <= GRACE_SECONDS + 2
