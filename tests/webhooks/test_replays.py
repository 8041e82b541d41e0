"""Events are listed, and those that had no effect are tried again."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import aiohttp
import pytest
from behind import connected
from conftest import Party, new_party
from known_keys import REPORTS, Holder
from retail import hand_over
from sqlalchemy import update

from tandem.integration.v1.erp_event_pb2 import ErpEvent
from tandem_client import OrderStatus, PermissionDenied, Tandem
from tandem_server.storage.tables import orders

from .sender import WHEN, Sender, operator, outcome_of, sending

pytestmark = pytest.mark.usefixtures("deadline")

NOBODY = "cus_01h455vb4pex5vsknk084sn02q"


async def listed(overseer: Tandem, **filters: Any) -> list[ErpEvent]:
    return [event async for event in overseer.webhooks.list(**filters)]


async def refused(sender: Sender, number: int) -> None:
    """Send events about nobody's customer."""
    data = {"id": NOBODY, "erp_number": "K"}
    sent = (sender.outcome(f"e{each}", "customer.linked", data) for each in range(number))
    assert set(await asyncio.gather(*sent)) == {"REFUSED NOT_FOUND"}


async def test_a_refused_event_is_replayed_when_the_world_is_right(
    sender: Sender, crm: Tandem, worker: Tandem, overseer: Tandem
) -> None:
    """The ERP says that it has what it was not given yet."""
    (order,) = await hand_over(crm, 1)
    data = {"order_id": order.id, "erp_document": "SO-1", "revision": 1}
    assert await sender.outcome("e1", "order.acknowledged", data) == "REFUSED NOT_FOUND"
    await worker.erp.lease("w", lease_seconds=600)
    (event,) = await listed(overseer, outcome=["ERP_EVENT_OUTCOME_REFUSED"])
    assert (event.erp, event.event_id, event.type) == (sender.erp, "e1", "order.acknowledged")
    assert (event.code, json.loads(event.body)["data"]) == ("NOT_FOUND", data)
    assert event.occurred_at.ToJsonString() == WHEN
    (replayed,) = await overseer.webhooks.replay([event.id])
    assert (replayed.id, replayed.outcome, outcome_of(replayed.event_outcome)) == (event.id, 1, "APPLIED")
    assert (await crm.orders.get(order.id)).status == OrderStatus.ORDER_STATUS_ACKNOWLEDGED
    (again,) = await overseer.webhooks.replay([event.id])
    assert (again.outcome, outcome_of(again.event_outcome)) == (2, "APPLIED")  # settled
    *_, last = [entry async for entry in crm.orders.events(order.id)]
    assert last.actor == f"operator:{sender.erp}"
    assert await sender.outcome("e1", "order.acknowledged", data) == "DUPLICATE"


async def test_a_parked_event_is_replayed_once_somebody_owns_its_document(
    sender: Sender, crm: Tandem, overseer: Tandem, party: Party
) -> None:
    """Even where the acknowledgement did not see it, as if it had been long ago on another node."""
    (order,) = await hand_over(crm, 1)
    assert await sender.outcome("e1", "order.status_changed", {"erp_document": "X", "status": "SHIPPED"}) == "PARKED"
    with connected(party.stack.environment["TANDEM_DATABASE_URL"]) as behind:
        behind.execute(update(orders).where(orders.c.id == order.id).values(erp_document="X"))
    results = await overseer.webhooks.replay(type="order.status_changed")
    outcomes = {outcome_of(result.event_outcome) for result in results}
    assert outcomes == {"APPLIED"} or results == []  # the housekeeping may have been faster
    (event,) = await listed(overseer, order_id=order.id)
    assert outcome_of(event.outcome) == "APPLIED"
    assert (await crm.orders.get(order.id)).status == OrderStatus.ORDER_STATUS_SHIPPED


async def test_all_that_is_open_is_replayed_page_by_page(sender: Sender, overseer: Tandem) -> None:
    await refused(sender, 120)
    assert await sender.outcome("x", "lunch.served", {}) == "UNKNOWN_TYPE"
    results = await overseer.webhooks.replay()
    assert [outcome_of(result.event_outcome) for result in results] == [*["REFUSED"] * 120, "UNKNOWN_TYPE"]
    ids = [event.id for event in await listed(overseer)]
    assert [result.id for result in results] == ids
    assert len(await overseer.webhooks.replay(ids)) == 121
    assert len(await overseer.webhooks.replay(type="lunch.served")) == 1
    assert await overseer.webhooks.replay([]) == []


async def test_the_list_is_filtered_paged_and_sorted(sender: Sender, overseer: Tandem) -> None:
    for each in range(3):
        await sender.tell(f"e{each}", "customer.linked", {"id": NOBODY, "erp_number": "K"})
    await sender.tell("x", "lunch.served", {})
    await sender.tell("y", "order.status_changed", {})
    first, *_ = events = await listed(overseer)
    assert [event.event_id for event in events] == ["e0", "e1", "e2", "x", "y"]
    assert [event.event_id for event in await listed(overseer, page_size=2, order_by="received_at desc")] == [
        *("y", "x", "e2", "e1", "e0"),
    ]
    assert await listed(overseer, type="lunch.served") == [events[3]]
    assert await listed(overseer, event_id="e1") == [events[1]]
    assert await listed(overseer, received_after=first.received_at) == events[1:]
    assert await listed(overseer, received_before=first.received_at) == []
    assert await listed(overseer, outcome=["ERP_EVENT_OUTCOME_INVALID", "ERP_EVENT_OUTCOME_UNKNOWN_TYPE"]) == events[3:]


async def test_a_page_ends_at_1_mib(sender: Sender, overseer: Tandem, party: Party) -> None:
    for each in range(4):
        await sender.tell(f"e{each}", "lunch.served", {"menu": "x" * 400_000})
    assert len(await overseer.webhooks.replay([event.id for event in await listed(overseer)])) == 4
    assert len(await overseer.webhooks.replay()) == 4
    async with aiohttp.ClientSession(party.stack.http) as http:
        headers = {"authorization": f"Bearer {party.operator_key}"}
        async with http.get("/v1/erp-events", headers=headers) as reply:
            page = await reply.json()
    assert [event["event_id"] for event in page["events"]] == ["e0", "e1"]
    assert page["next_page_token"]
    assert [event.event_id for event in await listed(overseer)] == ["e0", "e1", "e2", "e3"]


async def test_events_belong_to_their_erp(sender: Sender, party: Party) -> None:
    await refused(sender, 1)
    stranger = new_party(party.stack)
    async with operator(party) as ours, operator(stranger) as theirs:
        (event,) = await listed(ours)
        assert await listed(theirs) == []
        (result,) = await theirs.webhooks.replay([event.id])
        assert result.outcome == 3  # not found
    for each, seen in ((party, [event]), (stranger, [])):
        async with Tandem(party.stack.grpc, key=Holder("integration", source=each.source).key) as tandem:
            assert await listed(tandem) == seen


async def test_who_may_not(party: Party) -> None:
    async with sending(party) as sender:
        await refused(sender, 1)
    for key in (party.crm_key, party.erp_key, REPORTS.key):
        async with Tandem(party.stack.grpc, key=key) as tandem:
            with pytest.raises(PermissionDenied):
                await listed(tandem)
            with pytest.raises(PermissionDenied):
                await tandem.webhooks.replay()
