"""Rows as protobuf."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from tandem.crm.v1 import address_pb2, customer_pb2, order_line_pb2, order_pb2, order_progress_pb2, shipment_pb2
from tandem.erp.v1 import dead_letter_pb2
from tandem_server.domain.etags import etag
from tandem_server.domain.money import written_amount, written_price, written_quantity
from tandem_server.storage.orders import StoredOrder

CUSTOMER_TYPES = {"": 0, "COMPANY": 1, "PERSON": 2}
CUSTOMER_TEXTS = (
    *("id", "source", "external_id", "name", "email", "phone", "tax_id", "currency", "payment_terms", "note"),
    *("inactive", "attributes", "erp_number"),
)
ORDER_TEXTS = (
    *("id", "source", "external_id", "number", "customer_id", "customer_external_id", "customer_reference", "currency"),
    *("requested_delivery_date", "shipping_method", "prices_include_tax", "payment_terms", "payment_reference", "note"),
    *("attributes", "revision", "erp", "invoice_numbers"),
)
ORDER_AMOUNTS = (
    *("shipping_amount", "shipping_tax_amount", "discount_amount", "paid_amount", "subtotal", "tax_amount", "total"),
)
LINE_TEXTS = ("line_number", "external_id", "sku", "description", "unit", "tax_code", "warehouse", "note", "attributes")
LINE_AMOUNTS = ("discount_amount", "tax_amount", "amount")


def timestamp(instant: datetime | None) -> Timestamp | None:
    """Return *instant* as protobuf; None stays unset."""
    if instant is None:
        return None
    message = Timestamp()
    message.FromDatetime(instant)
    return message


def address(values: Mapping[str, str] | None) -> address_pb2.Address | None:
    """Return a stored address; None stays unset."""
    return None if values is None else address_pb2.Address(**values)


def customer(row: Any) -> customer_pb2.Customer:
    """Return a customer's row as message."""
    return customer_pb2.Customer(
        **{name: getattr(row, name) for name in CUSTOMER_TEXTS},
        type=CUSTOMER_TYPES[row.type],  # type: ignore[arg-type]  # an enum's number
        billing_address=address(row.billing_address),
        shipping_address=address(row.shipping_address),
        etag=etag(row.version),
        created_at=timestamp(row.created_at),
        updated_at=timestamp(row.updated_at),
    )


def order(stored: StoredOrder, now: datetime) -> order_pb2.Order:
    """Return an order as message; *now* decides between what waits, is leased or backs off."""
    row = stored.order
    shipments = sorted(row.shipments.values(), key=lambda shipment: str(shipment["shipment_id"]))
    shipped = _shipped(shipments)
    return order_pb2.Order(
        **{name: getattr(row, name) for name in ORDER_TEXTS},
        **_amounts(row, ORDER_AMOUNTS, row.currency),
        ordered_at=timestamp(row.ordered_at),
        billing_address=address(row.billing_address),
        shipping_address=address(row.shipping_address),
        attachments=[order_pb2.Attachment(**attachment) for attachment in row.attachments],
        lines=[_line(line, row.currency, shipped) for line in stored.lines],
        status=order_progress_pb2.OrderStatus.Value(f"ORDER_STATUS_{row.status}"),
        erp_document=row.erp_document or "",
        shipments=[_shipment(shipment) for shipment in shipments],
        delivery=progress(stored.delivery, now),
        cancel_requested_at=timestamp(row.cancel_requested_at),
        etag=etag(row.version),
        created_at=timestamp(row.created_at),
        updated_at=timestamp(row.updated_at),
    )


def progress(row: Any, now: datetime) -> order_progress_pb2.DeliveryProgress:
    """Return where a delivery row stands at *now*."""
    waits = row.dead_at is None and row.available_at is not None
    return order_progress_pb2.DeliveryProgress(
        state=_state(row, now),
        attempts=row.attempts,
        last_code=row.last_code,
        last_error=row.last_error,
        next_attempt_at=timestamp(row.available_at) if waits else None,
    )


def dead_order(stored: StoredOrder, now: datetime) -> dead_letter_pb2.DeadOrder:
    """Return a dead letter."""
    row = stored.delivery
    return dead_letter_pb2.DeadOrder(
        order=order(stored, now),
        dead_at=timestamp(row.dead_at),
        code=row.last_code,
        reason=row.last_error,
        failures=row.failures,
        attempts=row.attempts,
    )


def _state(row: Any, now: datetime) -> order_progress_pb2.DeliveryState.ValueType:
    if row.dead_at is not None:
        return order_progress_pb2.DELIVERY_STATE_DEAD
    if row.available_at is None:
        return order_progress_pb2.DELIVERY_STATE_DONE
    if row.available_at <= now:
        return order_progress_pb2.DELIVERY_STATE_WAITING
    if row.lease_token is not None and row.lease_expires_at > now:
        return order_progress_pb2.DELIVERY_STATE_LEASED
    return order_progress_pb2.DELIVERY_STATE_BACKING_OFF


def _line(row: Any, currency: str, shipped: Mapping[int, Decimal]) -> order_line_pb2.OrderLine:
    return order_line_pb2.OrderLine(
        **{name: getattr(row, name) for name in LINE_TEXTS},
        **_amounts(row, LINE_AMOUNTS, currency),
        quantity=written_quantity(row.quantity),
        unit_price=written_price(row.unit_price, currency),
        shipped_quantity=written_quantity(shipped[row.line_number]),
    )


def _amounts(row: Any, names: Iterable[str], currency: str) -> dict[str, Any]:
    return {name: written_amount(getattr(row, name), currency) for name in names}


def _shipped(shipments: Iterable[Mapping[str, Any]]) -> Mapping[int, Decimal]:
    """Return how much of each line number *shipments* hold together."""
    shipped: dict[int, Decimal] = defaultdict(Decimal)
    for shipment in shipments:
        for line in shipment["lines"]:
            shipped[line["line_number"]] += Decimal(line["quantity"])
    return shipped


def _shipment(values: Mapping[str, Any]) -> shipment_pb2.Shipment:
    message = shipment_pb2.Shipment(
        shipment_id=values["shipment_id"],
        carrier=values["carrier"],
        tracking_number=values["tracking_number"],
        tracking_url=values["tracking_url"],
        lines=[shipment_pb2.ShippedLine(**line) for line in values["lines"]],
    )
    if values["shipped_at"]:
        message.shipped_at.FromJsonString(values["shipped_at"])
    return message
