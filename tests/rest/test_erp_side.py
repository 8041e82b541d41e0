"""What the ERP does besides taking orders, over REST: numbers of customers, dead letters, updates that come early."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from conftest import Party, new_party
from known_keys import REPORTS
from retail import hand_over
from stack import Stack

from tandem.crm.v1.order_progress_pb2 import OrderStatus
from tandem.erp.v1.delivery_requests_pb2 import Rejection

pytestmark = pytest.mark.usefixtures("deadline")


async def ask(http: aiohttp.ClientSession, method: str, path: str, **arguments: Any) -> tuple[int, Any]:
    async with http.request(method, path, **arguments) as reply:
        return reply.status, await reply.json(content_type=None)


def session(stack: Stack, key: str) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(stack.http, headers={"authorization": f"Bearer {key}"})


@pytest.fixture
async def erp(stack: Stack, party: Party) -> AsyncIterator[aiohttp.ClientSession]:
    """A REST caller with the ERP's key."""
    async with session(stack, party.erp_key) as made:
        yield made


async def bury(party: Party, number: int, code: str = "UNKNOWN_SKU") -> list[str]:
    """Hand orders over and let them die; return their ids."""
    async with party.crm() as crm, party.worker() as worker:
        await hand_over(crm, number)
        leased = await worker.erp.lease("w")
        refusals = [
            Rejection(order_id=x.order.id, lease_token=x.lease_token, code=code, reason="no such thing", permanent=True)
            for x in leased
        ]
        await worker.erp.reject(refusals)
        return [delivery.order.id for delivery in leased]


async def test_a_customer_gets_the_erps_number(erp: aiohttp.ClientSession, party: Party) -> None:
    async with party.crm() as crm:
        (order,) = await hand_over(crm, 1)
    path = f"/v1/erp/customers/{order.customer_id}"
    for _ in range(2):
        status, customer = await ask(erp, "POST", f"{path}:link", json={"erp_number": "K-1"})
        assert (status, customer["erp_number"], customer["etag"]) == (200, "K-1", "v2")
    assert await ask(erp, "GET", path) == (200, customer)
    status, problem = await ask(erp, "POST", f"{path}:link", json={"erp_number": ""})
    assert (status, problem["errors"][0]["field"]) == (400, "erp_number")
    stranger = new_party(party.stack)
    async with session(party.stack, stranger.erp_key) as other:
        status, _ = await ask(other, "POST", f"{path}:link", json={"erp_number": "K-2"})
        assert status == 404


async def test_dead_letters_are_listed(erp: aiohttp.ClientSession, party: Party) -> None:
    ids = await bury(party, 3) + await bury(party, 1, "CLOSED")
    status, page = await ask(erp, "GET", "/v1/erp/orders:dead?page_size=3")
    assert (status, [dead["order"]["id"] for dead in page["dead_orders"]]) == (200, ids[:3])
    token = page["next_page_token"]
    status, rest = await ask(erp, "GET", f"/v1/erp/orders:dead?page_size=3&page_token={token}")
    (last,) = rest["dead_orders"]
    assert (last["order"]["id"], rest["next_page_token"]) == (ids[3], "")
    assert {name: last[name] for name in ("code", "reason", "failures", "attempts")} == {
        "code": "CLOSED",
        "reason": "no such thing",
        "failures": 1,
        "attempts": 1,
    }
    assert (last["order"]["delivery"]["state"], last["order"]["status"]) == ("DEAD", "NEW")
    status, found = await ask(erp, "GET", f"/v1/erp/orders:dead?code=CLOSED&dead_after={last['order']['created_at']}")
    assert found["dead_orders"] == [last]
    status, problem = await ask(erp, "GET", f"/v1/erp/orders:dead?code=CLOSED&page_token={token}")
    assert (status, problem["errors"][0]["field"]) == (400, "page_token")


async def test_an_operator_replays_and_a_waiting_worker_gets_them(stack: Stack, party: Party) -> None:
    ids = await bury(party, 2)
    async with session(stack, party.operator_key) as operator, party.worker() as worker:
        status, done = await ask(operator, "POST", "/v1/erp/orders:replay", json={"order_ids": ids[:1]})
        assert (status, done["replayed"], done["more"]) == (200, 1, False)
        assert done["results"] == [{"order_id": ids[0], "outcome": "REPLAYED"}]
        status, done = await ask(operator, "POST", "/v1/erp/orders:replay", json={"code": "UNKNOWN_SKU"})
        assert (status, done["replayed"], done["results"]) == (200, 1, [])
        status, done = await ask(operator, "POST", "/v1/erp/orders:replay", json={"order_ids": ids})
        assert [result["outcome"] for result in done["results"]] == ["NOT_DEAD", "NOT_DEAD"]
        leased = await worker.erp.lease("w", wait_seconds=5)
        assert {(delivery.order.id, delivery.attempt) for delivery in leased} == {(each, 2) for each in ids}


async def test_whoever_replays_says_what_and_may(stack: Stack, erp: aiohttp.ClientSession, party: Party) -> None:
    (dead,) = await bury(party, 1)
    for body in ({}, {"order_ids": [dead], "code": "UNKNOWN_SKU"}):
        status, problem = await ask(erp, "POST", "/v1/erp/orders:replay", json=body)
        assert (status, "order_ids" in problem["errors"][0]["description"]) == (400, True), problem
    for key in (party.crm_key, REPORTS.key):
        async with session(stack, key) as other:
            status, problem = await ask(other, "POST", "/v1/erp/orders:replay", json={"order_ids": [dead]})
            assert (status, problem["metadata"]["required_scope"]) == (403, "deliveries:replay")


async def test_an_early_update_says_that_it_is_parked(erp: aiohttp.ClientSession, party: Party) -> None:
    async with party.crm() as crm, party.worker() as worker:
        (order,) = await hand_over(crm, 1)
        update = {
            "event_id": "e1",
            "erp_document": "SO-1",
            "status": "SHIPPED",
            "occurred_at": "2024-01-01T00:00:00Z",
        }
        seen = []
        for _ in range(2):
            status, reply = await ask(erp, "POST", "/v1/erp/orders:updateStatus", json={"updates": [update]})
            (result,) = reply["results"]
            seen.append((status, result["outcome"], result["parked"], result["order_id"]))
        assert seen == [(200, "PARKED", True, ""), (200, "DUPLICATE", True, "")]
        async with worker.orders.pull("w") as orders:
            delivery = await anext(aiter(orders))
            await delivery.acknowledge("SO-1")
        events = [event async for event in crm.orders.events(order.id)]
        assert (await crm.orders.get(order.id)).status == OrderStatus.ORDER_STATUS_SHIPPED
        assert (events[-1].outcome, "parked_at" in events[-1].detail) == ("APPLIED", True)
