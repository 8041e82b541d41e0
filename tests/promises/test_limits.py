"""Promise 22: limits hold, whoever breaks one is told which, and an honest client notices nothing."""

from __future__ import annotations

import asyncio
import gzip
import io
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import grpc
import pytest
from conftest import Party, new_party
from stack import Process, Stack

from .conftest import IDLE_SECONDS

pytestmark = pytest.mark.usefixtures("deadline")

MEBIBYTE = 1 << 20
JSON = {"content-type": "application/json"}


@pytest.fixture
def hostile(narrow: Stack) -> Party:
    return new_party(narrow)


@pytest.fixture
async def caller(hostile: Party) -> AsyncIterator[aiohttp.ClientSession]:
    headers = {"authorization": f"Bearer {hostile.crm_key}"}
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(hostile.stack.http, headers=headers, connector=connector) as session:
        yield session


@pytest.fixture(autouse=True)
async def _honest(narrow: Stack) -> AsyncIterator[None]:
    """While a test does its worst, an honest client is served, and the processes stay small."""
    processes = narrow.server, narrow.gateway
    before = [peak_from_here(process) for process in processes]
    async with honest_client(new_party(narrow)) as times:
        yield
    grown = [memory(process, "VmHWM") - had for process, had in zip(processes, before, strict=True)]
    peaks = [f"{p.command} {had} + {more} MiB" for p, had, more in zip(processes, before, grown, strict=True)]
    print(f"an honest client's slowest of {len(times)}: {max(times):.3f} s; at the peak {', '.join(peaks)}")  # noqa: T201
    assert max(times) < 2
    assert max(grown) < 150


@asynccontextmanager
async def honest_client(party: Party) -> AsyncIterator[list[float]]:
    """Ask now and then, over a connection of its own and a new one in turn, and note how long each reply takes."""
    headers = {"authorization": f"Bearer {party.crm_key}"}
    times: list[float] = []

    async def ask(session: aiohttp.ClientSession) -> None:
        while True:
            started = time.monotonic()
            async with session.get("/v1/orders") as reply:
                assert reply.status == 200
            times.append(time.monotonic() - started)
            await asyncio.sleep(0.05)

    async with (
        aiohttp.ClientSession(party.stack.http, headers=headers) as session,
        aiohttp.ClientSession(party.stack.http, headers=headers | {"connection": "close"}) as new_each,
        asyncio.TaskGroup() as group,
    ):
        asking = [group.create_task(ask(each)) for each in (session, new_each)]
        yield times
        await asyncio.sleep(0.1)
        for task in asking:
            task.cancel()


def memory(process: Process, which: str = "VmRSS") -> int:
    """Return the resident memory of *process* in MiB, now or (VmHWM) at its peak."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    return int(status.split(f"{which}:")[1].split()[0]) // 1024


def peak_from_here(process: Process) -> int:
    """Forget the peak of *process* so far, and return what it has."""
    Path(f"/proc/{process.pid}/clear_refs").write_text("5")
    return memory(process)


async def refused(session: aiohttp.ClientSession, body: bytes, **headers: str) -> tuple[int, str]:
    async with session.post("/v1/orders", data=io.BytesIO(body), headers=JSON | headers) as reply:
        document = await reply.json(content_type="application/problem+json")
        assert document["status"] == reply.status
        return reply.status, document["reason"]


@asynccontextmanager
async def connection(stack: Stack) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    host, port = stack.http.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        yield reader, writer
    finally:
        writer.close()


async def test_a_message_above_4_mib_is_refused(hostile: Party) -> None:
    call_options = [("grpc.max_send_message_length", -1)]
    async with grpc.aio.insecure_channel(hostile.stack.grpc, call_options) as channel:
        create: Any = channel.unary_unary("/tandem.crm.v1.CrmService/CreateOrder")
        for _ in range(20):
            with pytest.raises(grpc.aio.AioRpcError) as failure:
                await create(bytes(4 * MEBIBYTE + 1))
            assert failure.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_a_body_above_4_mib_is_refused(caller: aiohttp.ClientSession) -> None:
    for _ in range(20):
        assert await refused(caller, b" " * (4 * MEBIBYTE + 1)) == (413, "BODY_TOO_LARGE")


async def test_an_endless_body_is_cut(hostile: Party) -> None:
    head = b"POST /v1/orders HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    async with connection(hostile.stack) as (reader, writer):
        writer.write(head)
        reply = asyncio.create_task(reader.readline())
        while not reply.done():
            writer.write(chunk)
            await writer.drain()
        assert (await reply).startswith(b"HTTP/1.1 413 ")


async def test_a_gzip_bomb_is_not_unpacked(caller: aiohttp.ClientSession) -> None:
    bomb = await asyncio.to_thread(gzip.compress, bytes(256 * MEBIBYTE))
    assert await refused(caller, bomb, **{"content-encoding": "gzip"}) == (415, "UNSUPPORTED_MEDIA_TYPE")


@pytest.mark.parametrize("depth", [1_000, 1_000_000])
@pytest.mark.parametrize("nest", [b"[", b'{"lines":', b'{"lines":['])
async def test_deep_json_is_refused(caller: aiohttp.ClientSession, nest: bytes, depth: int) -> None:
    assert (await refused(caller, (nest * depth)[: 4 * MEBIBYTE]))[0] == 400


async def test_wide_json_is_refused_in_flat_memory(caller: aiohttp.ClientSession) -> None:
    body = b'{"lines":[' + b",".join([b"{}"] * 1_000_000) + b"]}"
    assert await refused(caller, body) == (400, "INVALID_ARGUMENT")


async def test_a_page_of_a_thousand_million_is_refused(caller: aiohttp.ClientSession) -> None:
    async with caller.get("/v1/orders?page_size=1000000000") as reply:
        assert reply.status == 400
        assert [wrong["field"] for wrong in (await reply.json(content_type=None))["errors"]] == ["page_size"]


@pytest.mark.parametrize("drip", [b"", b"x"])
async def test_half_a_header_line_is_closed_in_time(hostile: Party, drip: bytes) -> None:
    """Also where another byte comes now and then. By default the time is 30 s."""
    started = time.monotonic()
    async with asyncio.timeout(IDLE_SECONDS + 5), connection(hostile.stack) as (reader, writer):
        writer.write(b"GET /v1/orders HTTP/1.1\r\nAutho")
        ending = asyncio.create_task(reader.read())
        while not ending.done():
            await asyncio.wait({ending}, timeout=0.1)
            writer.write(drip)
    assert time.monotonic() - started >= IDLE_SECONDS - 0.1  # timers count in milliseconds


async def test_many_large_bodies_at_one_time_stay_within_one_limit(caller: aiohttp.ClientSession) -> None:
    """64 bodies of almost 4 MiB, all but their last bytes: 16 MiB of them are kept, the others told to come again."""
    told: list[int] = []
    ready = asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        for _ in range(15):
            yield b" " * (MEBIBYTE // 4)
        await ready.wait()
        yield b"{}"

    async def send() -> None:
        async with caller.post("/v1/orders", data=body(), headers=JSON) as reply:
            told.append(reply.status)
            assert reply.status == 400 or reply.headers["retry-after"] == "1"

    async with asyncio.TaskGroup() as group:
        for _ in range(64):
            group.create_task(send())
        while len(told) < 55:  # noqa: ASYNC110 - they are told one by one
            await asyncio.sleep(0.05)
        ready.set()
    assert set(told) == {400, 503}
    assert await refused(caller, b" " * (4 * MEBIBYTE)) == (400, "NOT_JSON")
