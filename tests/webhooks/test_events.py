"""What an ERP tells by webhook does what its own call of the same meaning does, once."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from conftest import Party, new_party
from google.protobuf.timestamp_pb2 import Timestamp
from retail import an_order, hand_over

from tandem.erp.v1.delivery_pb2 import Delivery
from tandem.erp.v1.delivery_requests_pb2 import Acknowledgement, AcknowledgementOutcome
from tandem.erp.v1.status_update_pb2 import StatusUpdate, StatusUpdateOutcome
from tandem.integration.v1.erp_event_pb2 import ErpEventOutcome
from tandem_client import OrderStatus, Tandem, webhooks

from .sender import WHEN, Sender, outcome_of, sending

pytestmark = pytest.mark.usefixtures("deadline")

STATUS, ACKNOWLEDGED, LINKED = "order.status_changed", "order.acknowledged", "customer.linked"
NOBODYS_ORDER, NOBODYS_CUSTOMER = "ord_01h455vb4pex5vsknk084sn02q", "cus_01h455vb4pex5vsknk084sn02q"


async def leased(crm: Tandem, worker: Tandem) -> Delivery:
    """Hand an order over and lease it."""
    await hand_over(crm, 1)
    (delivery,) = await worker.erp.lease("w", lease_seconds=600)
    return delivery


async def told(overseer: Tandem, **filters: Any) -> dict[str, str]:
    """Return what became of each event, by the ERP's id."""
    events = [event async for event in overseer.webhooks.list(**filters)]
    return {event.event_id: outcome_of(event.outcome) for event in events}


async def test_a_status_is_the_furthest_told(sender: Sender, crm: Tandem, overseer: Tandem) -> None:
    (order,) = await hand_over(crm, 1)
    shipment = {"shipment_id": "s1", "lines": [{"line_number": 1, "quantity": "1", "colour": "red"}]}
    data = {"order_id": order.id, "status": "SHIPPED", "shipments": [shipment], "sequence": 7, "unheard_of": {"a": []}}
    assert await sender.outcome("e1", STATUS, data, unheard_of=1) == "APPLIED"
    assert await sender.outcome("e2", STATUS, {"order_id": order.id, "status": "PROCESSING"}) == "STALE"
    assert await sender.outcome("e1", STATUS, data, unheard_of=1) == "DUPLICATE"
    stored = await crm.orders.get(order.id)
    assert (stored.status, stored.shipments[0].shipment_id) == (OrderStatus.ORDER_STATUS_SHIPPED, "s1")
    *_, first, second = [event async for event in crm.orders.events(order.id)]
    assert (first.actor, first.detail["occurred_at"]) == (f"webhook:{sender.erp}", "2010-12-02T09:00:00.000000+00:00")
    assert (first.outcome, second.outcome) == ("APPLIED", "STALE")
    assert await told(overseer, order_id=order.id) == {"e1": "APPLIED", "e2": "STALE"}


async def test_what_comes_early_is_parked_until_its_document_is_acknowledged(
    sender: Sender, crm: Tandem, worker: Tandem, overseer: Tandem
) -> None:
    delivery = await leased(crm, worker)
    assert await sender.outcome("e1", STATUS, {"erp_document": "SO-1", "status": "DELIVERED"}) == "PARKED"
    assert await sender.outcome("e2", STATUS, {"erp_document": "SO-2", "status": "DELIVERED"}) == "PARKED"
    (one, other) = await overseer.webhooks.replay()
    assert {outcome_of(one.event_outcome), outcome_of(other.event_outcome)} == {"PARKED"}
    acknowledgement = {"order_id": delivery.order.id, "erp_document": "SO-1", "revision": 1}
    assert await sender.outcome("e3", ACKNOWLEDGED, acknowledgement) == "APPLIED"
    assert (await crm.orders.get(delivery.order.id)).status == OrderStatus.ORDER_STATUS_DELIVERED
    assert await told(overseer) == {"e1": "APPLIED", "e2": "PARKED", "e3": "APPLIED"}
    assert await told(overseer, order_id=delivery.order.id) == {"e1": "APPLIED", "e3": "APPLIED"}


async def test_status_updates_are_unique_over_rpc_and_webhook(sender: Sender, crm: Tandem, worker: Tandem) -> None:
    (order,) = await hand_over(crm, 1)
    occurred_at = Timestamp()
    occurred_at.FromJsonString(WHEN)
    shipped, delivered = OrderStatus.ORDER_STATUS_SHIPPED, OrderStatus.ORDER_STATUS_DELIVERED
    by_rpc = StatusUpdate(event_id="e1", order_id=order.id, status=shipped, occurred_at=occurred_at)
    await worker.erp.update_status([by_rpc])
    assert await sender.outcome("e1", STATUS, {"order_id": order.id, "status": "SHIPPED"}) == "DUPLICATE"
    assert await sender.outcome("e2", STATUS, {"order_id": order.id, "status": "DELIVERED"}) == "APPLIED"
    same = StatusUpdate(event_id="e2", order_id=order.id, status=delivered, occurred_at=occurred_at)
    other = StatusUpdate(event_id="e2", order_id=order.id, status=shipped, occurred_at=occurred_at)
    results = await worker.erp.update_status([same, other])
    assert [result.outcome for result in results] == [
        StatusUpdateOutcome.STATUS_UPDATE_OUTCOME_DUPLICATE,
        StatusUpdateOutcome.STATUS_UPDATE_OUTCOME_EVENT_ID_REUSED,
    ]
    await worker.erp.update_status(
        [StatusUpdate(event_id="e3", order_id=order.id, status=shipped, occurred_at=occurred_at)]
    )
    status, problem = await sender.tell("e3", STATUS, {"order_id": order.id, "status": "RETURNED"})
    assert (status, problem["reason"]) == (409, "EVENT_ID_REUSED")
    assert (await crm.orders.get(order.id)).status == delivered


async def test_an_acknowledgement_counts_for_the_revision_leased_last(
    sender: Sender, crm: Tandem, worker: Tandem
) -> None:
    delivery = await leased(crm, worker)
    data = {"order_id": delivery.order.id, "erp_document": "SO-1", "revision": 1, "customer_number": "K-1"}
    assert await sender.outcome("e0", ACKNOWLEDGED, data | {"revision": 2}) == "REFUSED NOT_FOUND"
    assert await sender.outcome("e1", ACKNOWLEDGED, {k: v for k, v in data.items() if k != "erp_document"}) == (
        "REFUSED DOCUMENT_REQUIRED"
    )
    assert await sender.outcome("e2", ACKNOWLEDGED, data) == "APPLIED"
    assert await sender.outcome("e3", ACKNOWLEDGED, data) == "STALE"
    assert await sender.outcome("e4", ACKNOWLEDGED, data | {"erp_document": "SO-2"}) == "REFUSED DOCUMENT_CONFLICT"
    order = await crm.orders.get(delivery.order.id)
    assert (order.status, order.erp_document) == (OrderStatus.ORDER_STATUS_ACKNOWLEDGED, "SO-1")
    assert (await crm.customers.get(order.customer_id)).erp_number == "K-1"
    late = Acknowledgement(order_id=order.id, lease_token=delivery.lease_token, erp_document="SO-1")
    (result,) = await worker.erp.acknowledge([late])
    assert result.outcome == AcknowledgementOutcome.ACKNOWLEDGEMENT_OUTCOME_ALREADY_ACKNOWLEDGED
    assert await worker.erp.lease("w") == []


async def test_an_acknowledgement_of_an_older_revision_leaves_the_lease_alone(
    sender: Sender, crm: Tandem, worker: Tandem
) -> None:
    delivery = await leased(crm, worker)
    data = {"order_id": delivery.order.id, "erp_document": "SO-1", "revision": 1}
    assert await sender.outcome("e1", ACKNOWLEDGED, data) == "APPLIED"
    await crm.orders.amend(delivery.order.id, an_order(delivery.order.external_id, lines=2), fields=["lines"])
    (changed,) = await worker.erp.lease("w", lease_seconds=600)
    assert await sender.outcome("e2", ACKNOWLEDGED, data) == "STALE"
    assert (await crm.orders.get(delivery.order.id)).delivery.state == 2  # leased
    (result,) = await worker.erp.acknowledge(
        [Acknowledgement(order_id=changed.order.id, lease_token=changed.lease_token, erp_document="SO-1")]
    )
    assert result.outcome == AcknowledgementOutcome.ACKNOWLEDGEMENT_OUTCOME_ACKNOWLEDGED


async def test_a_stream_gets_room_when_a_webhook_acknowledges(sender: Sender, crm: Tandem, worker: Tandem) -> None:
    await hand_over(crm, 2)
    async with worker.orders.pull("w", max_outstanding=1) as deliveries:
        first = await anext(aiter(deliveries))
        data = {"order_id": first.order.id, "erp_document": "SO-1", "revision": 1}
        assert await sender.outcome("e1", ACKNOWLEDGED, data) == "APPLIED"
        async with asyncio.timeout(10):
            second = await anext(aiter(deliveries))
        assert second.order.id != first.order.id


async def test_a_customer_is_linked(sender: Sender, crm: Tandem, party: Party) -> None:
    (order,) = await hand_over(crm, 1)
    data = {"id": order.customer_id, "erp_number": "K-1"}
    assert await sender.outcome("e1", LINKED, data) == "APPLIED"
    assert await sender.outcome("e2", LINKED, data) == "STALE"
    assert (await crm.customers.get(order.customer_id)).erp_number == "K-1"
    async with sending(new_party(party.stack)) as stranger:
        assert await stranger.outcome("e1", LINKED, data | {"erp_number": "K-2"}) == "REFUSED NOT_FOUND"
        status = {"order_id": order.id, "status": "SHIPPED"}
        assert await stranger.outcome("e2", STATUS, status) == "REFUSED NOT_FOUND"
    assert (await crm.customers.get(order.customer_id)).erp_number == "K-1"


BAD_DATA: list[tuple[str, Any, str]] = [
    (STATUS, {"order_id": NOBODYS_ORDER, "status": "NEW"}, "data.status"),
    (STATUS, {"order_id": NOBODYS_ORDER, "status": "LOST"}, "data.status"),
    (STATUS, {"order_id": NOBODYS_ORDER, "status": "SHIPPED", "occurred_at": "yesterday"}, "data.occurred_at"),
    (STATUS, {"order_id": "1", "status": "SHIPPED"}, "data.order_id"),
    (STATUS, {"order_id": NOBODYS_ORDER, "shipments": [{"shipment_id": ""}]}, "data.shipments[0].shipment_id"),
    (STATUS, None, "data"),
    (STATUS, [], "data"),
    (ACKNOWLEDGED, {"order_id": NOBODYS_ORDER, "erp_document": "SO-1"}, "data.revision"),
    (LINKED, {"id": NOBODYS_CUSTOMER, "erp_number": 7}, "data.erp_number"),
    ("two words", {}, "type"),
    ("x" * 101, {}, "type"),
    ("", {}, "type"),
]


@pytest.mark.parametrize(("what", "data", "named"), BAD_DATA)
async def test_what_does_not_fit_is_400_and_recorded(
    sender: Sender, overseer: Tandem, what: str, data: Any, named: str
) -> None:
    for _ in range(2):
        status, problem = await sender.tell("e1", what, data)
        assert (status, named in {error["field"] for error in problem["errors"]}) == (400, True), problem
    assert await told(overseer, outcome=["ERP_EVENT_OUTCOME_INVALID"]) == {"e1": "INVALID"}
    assert (await sender.tell("e1", "fine", {}))[0] == 409


@pytest.mark.parametrize("timestamp", ["yesterday", 7, "2010-13-01T00:00:00Z"])
async def test_a_timestamp_is_an_instant(sender: Sender, timestamp: Any) -> None:
    data = {"order_id": NOBODYS_ORDER, "status": "SHIPPED"}
    status, problem = await sender.tell("e1", STATUS, data, timestamp=timestamp)
    assert (status, problem["errors"][0]["field"]) == (400, "timestamp")


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b"null", b'{"type":"\\ud800"}', b"[" * 5000, b'{"a":' * 5000])
async def test_a_body_that_is_no_object_is_400(sender: Sender, overseer: Tandem, raw: bytes) -> None:
    assert (await sender.post(raw, webhooks.sign(sender.secret, "e1", raw)))[0] == 400
    (event,) = [event async for event in overseer.webhooks.list()]
    assert (event.outcome, event.body) == (ErpEventOutcome.ERP_EVENT_OUTCOME_INVALID, raw.decode())


async def test_a_body_of_1_mib_passes_and_one_byte_more_does_not(sender: Sender) -> None:
    frame = b'{"type":"lunch.served","menu":"%s"}'
    whole = frame % (b"x" * ((1 << 20) - len(frame) + 2))
    assert len(whole) == 1 << 20
    for raw, expected in ((whole, 200), (whole + b" ", 413)):
        assert (await sender.post(raw, webhooks.sign(sender.secret, "e1", raw)))[0] == expected
