"""Status updates: protobuf as what use cases know, and back."""

from __future__ import annotations

from typing import Any

from tandem.crm.v1.order_progress_pb2 import OrderStatus
from tandem.crm.v1.shipment_pb2 import Shipment
from tandem.erp.v1 import status_update_pb2 as status_pb
from tandem_proto.errors import AlreadyExists, NotFound
from tandem_server.domain.money import decimal, written_quantity
from tandem_server.rpc import contents
from tandem_server.usecases import statuses


def told(message: status_pb.StatusUpdate) -> statuses.StatusUpdate:
    """Return what an ERP tells, as use cases know it."""
    return statuses.StatusUpdate(
        event_id=message.event_id,
        order_id=message.order_id,
        erp_document=message.erp_document,
        status=OrderStatus.Name(message.status).removeprefix("ORDER_STATUS_") if message.status else "",
        occurred_at=contents.instant(message.occurred_at),
        sequence=message.sequence,
        reason=message.reason,
        invoice_number=message.invoice_number,
        shipments=[_shipment(shipment) for shipment in message.shipments],
    )


def check_single(told: statuses.StatusUpdate, result: statuses.Result) -> None:
    """Raise what went wrong with an update that was told alone: NotFound or AlreadyExists."""
    if result.outcome is statuses.Outcome.NOT_FOUND:
        raise NotFound(f"there is no order {told.order_id or told.erp_document}")
    if result.outcome is statuses.Outcome.EVENT_ID_REUSED:
        message = f"event_id {told.event_id} was told before with other content"
        raise AlreadyExists(message, reason="EVENT_ID_REUSED")


def result(told: statuses.StatusUpdate, result: statuses.Result) -> status_pb.StatusUpdateResult:
    """Return what became of an update, as message."""
    return status_pb.StatusUpdateResult(
        event_id=told.event_id,
        order_id=result.order_id,
        outcome=status_pb.StatusUpdateOutcome.Value(f"STATUS_UPDATE_OUTCOME_{result.outcome}"),
        status=OrderStatus.Value(f"ORDER_STATUS_{result.status or 'UNSPECIFIED'}"),
        parked=result.parked,
    )


def _shipment(message: Shipment) -> dict[str, Any]:
    return {
        "shipment_id": message.shipment_id,
        "shipped_at": message.shipped_at.ToJsonString() if message.HasField("shipped_at") else None,
        "carrier": message.carrier,
        "tracking_number": message.tracking_number,
        "tracking_url": message.tracking_url,
        "lines": [
            {"line_number": line.line_number, "quantity": written_quantity(decimal(line.quantity))}
            for line in message.lines
        ],
    }
