"""Connections are limited, and those that only take room give way."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress

import aiohttp
import grpc
import pytest
from conftest import Party, new_party
from grpc_health.v1.health_pb2 import HealthCheckRequest
from grpc_health.v1.health_pb2_grpc import HealthStub
from retail import a_customer, an_order
from stack import Stack

from .conftest import CONNECTIONS, WRITE_SECONDS

pytestmark = pytest.mark.usefixtures("deadline")

REPLIES = 30


@pytest.fixture
def party(narrow: Stack) -> Party:
    return new_party(narrow)


@pytest.fixture
async def patient(party: Party) -> AsyncIterator[aiohttp.ClientSession]:
    """Somebody who keeps a connection of their own."""
    async with aiohttp.ClientSession(party.stack.http, headers={"authorization": f"Bearer {party.erp_key}"}) as session:
        yield session


async def connect(stack: Stack) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    host, port = stack.http.removeprefix("http://").split(":")
    return await asyncio.open_connection(host, int(port))


async def test_half_sent_heads_give_way_to_those_who_ask(narrow: Stack, patient: aiohttp.ClientSession) -> None:
    """Five times as many as there may be: the oldest are closed, nobody who asks for something is refused."""
    async with AsyncExitStack() as stack:
        readers = []
        for number in range(5 * CONNECTIONS):
            reader, writer = await connect(narrow)
            stack.callback(writer.close)
            writer.write(b"GET /v1/orders HTTP/1.1\r\nAutho")
            readers.append(reader)
            if number % 10 == 0:
                async with patient.get("/healthz") as reply:
                    assert reply.status == 200
                async with aiohttp.ClientSession(narrow.http) as session, session.get("/healthz") as reply:
                    assert reply.status == 200
        async with asyncio.timeout(5):
            assert await asyncio.gather(*(reader.read() for reader in readers[:CONNECTIONS])) == [b""] * CONNECTIONS


async def test_where_all_are_at_work_the_next_is_told_to_come_again(
    narrow: Stack, patient: aiohttp.ClientSession
) -> None:
    """A reply that is waited for is never cut for a newcomer."""
    body = {"worker": "w", "wait_seconds": 3}
    async with aiohttp.ClientSession(narrow.http) as other:
        waiting = [asyncio.ensure_future(patient.post("/v1/erp/orders:lease", json=body)) for _ in range(CONNECTIONS)]
        await asyncio.sleep(1)
        async with other.get("/v1/orders") as reply:
            assert (reply.status, reply.headers["retry-after"]) == (503, "1")
            assert (await reply.json(content_type="application/problem+json"))["reason"] == "TOO_MANY_CONNECTIONS"
        assert {(await each).status for each in waiting} == {200}
        async with other.get("/healthz") as reply:
            assert reply.status == 200


async def test_who_asks_and_takes_no_reply_is_cut(party: Party, patient: aiohttp.ClientSession) -> None:
    async with party.crm() as crm:
        await crm.customers.upsert(a_customer())
        for number in range(3):
            await crm.orders.create(an_order(f"{number}", lines=1500))
    async with patient.get("/v1/orders", headers={"authorization": f"Bearer {party.crm_key}"}) as reply:
        page = len(await reply.read())
    raw = socket.socket()
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    raw.setblocking(False)
    host, port = party.stack.http.removeprefix("http://").split(":")
    loop = asyncio.get_running_loop()
    await loop.sock_connect(raw, (host, int(port)))
    request = f"GET /v1/orders HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {party.crm_key}\r\n\r\n".encode()
    await loop.sock_sendall(raw, request * REPLIES)
    await asyncio.sleep(2 * WRITE_SECONDS + 2)
    received = 0
    with suppress(ConnectionResetError):
        while part := await loop.sock_recv(raw, 1 << 20):
            received += len(part)
    raw.close()
    assert received < REPLIES * page


async def test_connections_to_the_server_are_limited_too(narrow: Stack) -> None:
    """Who is there already notices nothing."""
    host, port = narrow.grpc.split(":")
    async with another_channel(narrow) as channel, AsyncExitStack() as stack:
        await HealthStub(channel).Check(HealthCheckRequest())
        for _ in range(2 * CONNECTIONS):
            _, writer = await asyncio.open_connection(host, int(port))
            stack.callback(writer.close)
        async with another_channel(narrow) as late:
            with pytest.raises(grpc.aio.AioRpcError) as failure:
                await HealthStub(late).Check(HealthCheckRequest())
            assert failure.value.code() is grpc.StatusCode.UNAVAILABLE
        await HealthStub(channel).Check(HealthCheckRequest())
        await stack.aclose()
        async with another_channel(narrow) as late:
            await HealthStub(late).Check(HealthCheckRequest(), wait_for_ready=True, timeout=10)


def another_channel(stack: Stack) -> grpc.aio.Channel:
    """Return a channel with connections of its own."""
    return grpc.aio.insecure_channel(stack.grpc, [("grpc.use_local_subchannel_pool", 1)])
