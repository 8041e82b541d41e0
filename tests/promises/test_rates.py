"""Promise 22: a key gets its share of a server and no more, and nobody else notices."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

import aiohttp
import grpc
import pytest
from conftest import Party, new_party
from stack import Stack

from tandem.erp.v1.delivery_requests_pb2 import LeaseOrdersRequest, PullOrdersRequest
from tandem.erp.v1.erp_service_pb2_grpc import ErpServiceStub
from tandem_client import ResourceExhausted

pytestmark = pytest.mark.usefixtures("deadline")

RATE, CALLS, STREAMS, SECONDS = 20, 10, 3, 5


@pytest.fixture(scope="module")
def own(make_database: Callable[[str], str], make_stack: Callable[..., Stack]) -> Stack:
    """A stack that gives each key little."""
    limits = {"key_requests_per_second": RATE, "key_calls": CALLS, "key_streams": STREAMS, "grpc_call_seconds": SECONDS}
    return make_stack(make_database("sqlite"), **{name: str(limit) for name, limit in limits.items()})


@pytest.fixture
def party(own: Stack) -> Party:
    return new_party(own)


@asynccontextmanager
async def rest(party: Party) -> AsyncIterator[aiohttp.ClientSession]:
    headers = {"authorization": f"Bearer {party.crm_key}"}
    async with aiohttp.ClientSession(party.stack.http, headers=headers) as session:
        yield session


async def ask(session: aiohttp.ClientSession) -> tuple[int, float]:
    started = time.monotonic()
    async with session.get("/v1/orders") as reply:
        await reply.read()
        return reply.status, time.monotonic() - started


async def keep_asking(session: aiohttp.ClientSession, count: int) -> list[float]:
    """Ask ten times a second, and return how long each reply took, sorted."""
    times = []
    for _ in range(count):
        status, taken = await ask(session)
        assert status == 200
        times.append(taken)
        await asyncio.sleep(0.1)
    return sorted(times)


async def test_a_key_over_its_rate_is_refused_and_another_key_notices_nothing(party: Party, own: Stack) -> None:
    """At about twice its rate; a tenth of a second is what the machine may do besides."""
    async with rest(party) as greedy, rest(new_party(own)) as honest:
        alone = await keep_asking(honest, 30)
        started, replies = time.monotonic(), []
        async with asyncio.TaskGroup() as group:
            others = group.create_task(keep_asking(honest, 30))
            while not others.done():
                replies.append(group.create_task(ask(greedy)))
                await asyncio.sleep(1 / (2 * RATE))
        statuses = [reply.result()[0] for reply in replies]
        during, taken = others.result(), time.monotonic() - started
        slowest = f"{alone[-1]:.4f} s alone, {during[-1]:.4f} s"
        print(f"refused {statuses.count(429)} of {len(statuses)} in {taken:.1f} s; slowest {slowest}")  # noqa: T201
        assert set(statuses) == {200, 429}
        assert statuses.count(200) <= RATE * (taken + 1) + 1  # one second's worth was saved up
        assert during[15] < 2 * alone[15] + 0.1


async def test_who_comes_again_when_told_to_is_served(party: Party) -> None:
    async with rest(party) as session:
        for _ in range(3):
            reply = await session.get("/v1/orders")
            while reply.status == 200:
                assert reply.headers["ratelimit-policy"] == f'"key";q={RATE};w=1'
                replies = await asyncio.gather(*(session.get("/v1/orders") for _ in range(CALLS - 1)))
                reply = max(replies, key=lambda each: each.status)
            problem = await reply.json(content_type="application/problem+json")
            assert (reply.status, problem["reason"]) == (429, "TOO_MANY_REQUESTS")
            assert reply.headers["ratelimit"] == '"key";r=0;t=1'
            await asyncio.sleep(int(reply.headers["retry-after"]))
            assert (await ask(session))[0] == 200


async def test_calls_under_way_are_limited_a_key(party: Party, own: Stack) -> None:
    """Those of other keys are not in the way, and what has ended, or left, makes room."""
    request = LeaseOrdersRequest(worker="w", wait_seconds=20)
    metadata = (("authorization", f"Bearer {party.erp_key}"),)
    async with grpc.aio.insecure_channel(own.grpc) as channel:
        for _ in range(3):
            stub = ErpServiceStub(channel)
            waiting = [stub.LeaseOrders(request, metadata=metadata) for _ in range(CALLS)]
            await asyncio.sleep(0.3)
            async with party.worker() as worker, new_party(own).worker() as other:
                with pytest.raises(ResourceExhausted) as refused:
                    await worker.erp.lease("w", max_orders=1)
                assert (refused.value.reason, refused.value.retry_after) == ("TOO_MANY_CALLS", 1)
                assert await other.erp.lease("w", max_orders=1) == []
            for call in waiting:
                call.cancel()
            await asyncio.sleep(0.3)


async def test_streams_are_limited_a_key_and_every_one_that_ends_makes_room(party: Party) -> None:
    """Reconnecting counts for nothing, however a stream has ended."""
    request = PullOrdersRequest(worker="w")
    metadata = (("authorization", f"Bearer {party.erp_key}"),)
    async with grpc.aio.insecure_channel(party.stack.grpc) as channel:
        stub = ErpServiceStub(channel)
        for _ in range(10):
            calls = [stub.PullOrders(request, metadata=metadata) for _ in range(STREAMS)]
            for call in calls:
                await call.read()
            with pytest.raises(grpc.aio.AioRpcError) as failure:
                await stub.PullOrders(request, metadata=metadata).read()
            assert failure.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
            for call in calls:
                call.cancel()
            await asyncio.sleep(0.2)


async def test_a_pull_waits_until_there_is_room_for_its_stream(party: Party) -> None:
    async with AsyncExitStack() as stack:
        worker = await stack.enter_async_context(party.worker())
        streams = AsyncExitStack()
        for number in range(STREAMS):
            await streams.enter_async_context(worker.orders.pull(f"w{number}"))
        await asyncio.sleep(0.3)
        async with worker.orders.pull("late", until_empty=True) as deliveries:
            coming = asyncio.ensure_future(anext(deliveries, None))
            await asyncio.wait({coming}, timeout=1)
            assert not coming.done()
            await streams.aclose()
            async with asyncio.timeout(10):
                assert await coming is None


async def test_health_is_exempt_and_needs_no_key(party: Party) -> None:
    async with rest(party) as session:
        for _ in range(4 * RATE):
            async with session.get("/readyz") as reply:
                assert reply.status == 200


async def test_a_call_without_a_deadline_ends(party: Party) -> None:
    metadata = (("authorization", f"Bearer {party.erp_key}"),)
    async with grpc.aio.insecure_channel(party.stack.grpc) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as failure:
            await ErpServiceStub(channel).LeaseOrders(
                LeaseOrdersRequest(worker="w", wait_seconds=20), metadata=metadata
            )
    assert failure.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
