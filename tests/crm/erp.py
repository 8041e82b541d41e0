"""What an ERP does with the orders of these tests, in a few words each."""

from __future__ import annotations

from typing import Any

from tandem.crm.v1.order_event_pb2 import OrderEventType
from tandem.crm.v1.order_pb2 import Order
from tandem.crm.v1.order_progress_pb2 import OrderStatus
from tandem.erp.v1.delivery_pb2 import Delivery
from tandem.erp.v1.delivery_requests_pb2 import Acknowledgement, AcknowledgementOutcome, Rejection, RejectionOutcome
from tandem.erp.v1.status_update_pb2 import StatusUpdate
from tandem_client import Tandem


async def lease_one(worker: Tandem, lease_seconds: int = 60) -> Delivery:
    """Lease the only order that waits."""
    (delivery,) = await worker.erp.lease("w", lease_seconds=lease_seconds, wait_seconds=5)
    return delivery


async def acknowledge(worker: Tandem, delivery: Delivery) -> str:
    """Acknowledge *delivery*, with a document where it may be the first, and return the outcome."""
    document = "" if delivery.acked_revision or delivery.order.HasField("cancel_requested_at") else delivery.order.id
    told = Acknowledgement(order_id=delivery.order.id, lease_token=delivery.lease_token, erp_document=document)
    (result,) = await worker.erp.acknowledge([told])
    return AcknowledgementOutcome.Name(result.outcome).removeprefix("ACKNOWLEDGEMENT_OUTCOME_")


async def reject(worker: Tandem, delivery: Delivery, **told: Any) -> str:
    """Reject *delivery* and return the outcome."""
    ids = {"order_id": delivery.order.id, "lease_token": delivery.lease_token}
    (result,) = await worker.erp.reject([Rejection(**{"code": "NO", "reason": "it cannot be", **ids, **told})])
    return RejectionOutcome.Name(result.outcome).removeprefix("REJECTION_OUTCOME_")


async def tell_status(worker: Tandem, order: Order, status: str, reason: str = "") -> None:
    told = StatusUpdate(event_id=f"{order.id}-{status}", order_id=order.id, reason=reason)
    told.status = OrderStatus.Value(f"ORDER_STATUS_{status}")
    told.occurred_at.GetCurrentTime()
    await worker.erp.update_status([told])


async def names_of(crm: Tandem, order: Order) -> list[str]:
    """Return what happened to *order*, by name."""
    events = [event async for event in crm.orders.events(order.id)]
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    return [OrderEventType.Name(event.type).removeprefix("ORDER_EVENT_TYPE_") for event in events]
