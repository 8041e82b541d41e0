"""The rows of the status table that need something to go wrong."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable

import aiohttp
import pytest
from conftest import Party, new_party
from known_keys import OPERATOR, STRANGE_CRM
from stack import Stack

pytestmark = pytest.mark.usefixtures("deadline")


@pytest.fixture(scope="module")
def own(database: str, make_database: Callable[[str], str], make_stack: Callable[..., Stack]) -> Stack:
    """A stack of our own, to break; its gateway gives a call one second."""
    return make_stack(make_database(database), http_call_seconds="1")


@pytest.fixture
async def caller(own: Stack) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(own.http, headers={"authorization": f"Bearer {OPERATOR.key}"}) as session:
        yield session


async def problem(reply: aiohttp.ClientResponse, status: int) -> dict[str, object]:
    body: dict[str, object] = await reply.json(content_type="application/problem+json")
    assert (reply.status, body["status"]) == (status, status)
    return body


async def test_409_where_no_erp_is_set(http: aiohttp.ClientSession) -> None:
    stranger = {"authorization": f"Bearer {STRANGE_CRM.key}"}
    order = {
        "external_id": "1",
        "customer_external_id": "17850",
        "currency": "GBP",
        "lines": [{"sku": "85123A", "quantity": "1", "unit_price": "1"}],
    }
    async with http.post("/v1/orders", json=order, headers=stranger) as reply:
        assert (await problem(reply, 409))["reason"] == "NO_ROUTE"


async def test_504_where_time_runs_out(own: Stack, caller: aiohttp.ClientSession) -> None:
    party: Party = new_party(own)
    headers = {"authorization": f"Bearer {party.erp_key}"}
    body = {"worker": "w", "wait_seconds": 20}
    started = time.monotonic()
    async with caller.post("/v1/erp/orders:lease", json=body, headers=headers) as reply:
        await problem(reply, 504)
    assert time.monotonic() - started < 5


async def test_503_while_the_server_is_away_and_readiness_follows(own: Stack, caller: aiohttp.ClientSession) -> None:
    async with caller.get("/readyz") as reply:
        assert reply.status == 200
    own.server.stop()
    async with caller.get("/v1/orders") as reply:
        status, retry_after = reply.status, reply.headers.get("retry-after")
    assert (status, retry_after) in {(503, "1"), (504, None)}
    await readiness(caller, 503)
    async with caller.get("/healthz") as reply:
        assert reply.status == 200
    own.server.start()
    await readiness(caller, 200)
    async with caller.get("/v1/orders") as reply:
        assert reply.status == 200


async def readiness(caller: aiohttp.ClientSession, expected: int) -> None:
    """Wait at most 8 s, which is what a server takes to start here and 5 s."""
    async with asyncio.timeout(8):
        while True:
            async with caller.get("/readyz") as reply:
                if reply.status == expected:
                    return
            await asyncio.sleep(0.1)
