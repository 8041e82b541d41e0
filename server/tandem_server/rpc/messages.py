"""Rows as protobuf."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from operator import attrgetter
from typing import Any, TypeVar

from google.protobuf.timestamp_pb2 import Timestamp

from tandem.crm.v1 import address_pb2, customer_pb2, order_pb2, order_progress_pb2, shipment_pb2
from tandem.erp.v1 import dead_letter_pb2
from tandem_server.domain.etags import etag
from tandem_server.domain.money import written_amount, written_price, written_quantity
from tandem_server.storage.orders import StoredOrder
from tandem_server.turns import others_first

T = TypeVar("T")
M = TypeVar("M")

AT_ONCE = 8
"""Messages that are made in one piece of long work, in a third of a millisecond."""


class Columns:
    """Columns that fill a message's fields of the same names."""

    def __init__(self, *names: str) -> None:
        self._names = names
        self._values = attrgetter(*names)

    def texts(self, row: Any) -> dict[str, Any]:
        """Return what *row* says in them; what is empty is a message's default, and to set it takes time."""
        return {name: value for name, value in zip(self._names, self._values(row), strict=True) if value}

    def amounts(self, row: Any, currency: str) -> dict[str, Any]:
        """Return the amounts that *row* has in them, as written in *currency*."""
        return {
            name: written_amount(value, currency) for name, value in zip(self._names, self._values(row), strict=True)
        }


CUSTOMER_TYPES = {"": 0, "COMPANY": 1, "PERSON": 2}
CUSTOMER_TEXTS = Columns(
    *("id", "source", "external_id", "name", "email", "phone", "tax_id", "currency", "payment_terms", "note"),
    *("inactive", "attributes", "erp_number"),
)
ORDER_TEXTS = Columns(
    *("id", "source", "external_id", "number", "customer_id", "customer_external_id", "customer_reference", "currency"),
    *("requested_delivery_date", "shipping_method", "prices_include_tax", "payment_terms", "payment_reference", "note"),
    *("attributes", "revision", "erp", "invoice_numbers"),
)
ORDER_AMOUNTS = Columns(
    *("shipping_amount", "shipping_tax_amount", "discount_amount", "paid_amount", "subtotal", "tax_amount", "total"),
)
LINE_TEXTS = Columns(
    *("line_number", "external_id", "sku", "description", "unit", "tax_code", "warehouse", "note", "attributes"),
)
LINE_AMOUNTS = Columns("discount_amount", "tax_amount", "amount")

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


async def each(make: Callable[[T], M], items: Sequence[T]) -> list[M]:
    """Return what *make* makes of each of *items*. Others get on meanwhile; a caller may leave in between."""
    made: list[M] = []
    for start in range(0, len(items), AT_ONCE):
        if start:
            await others_first()
        made += map(make, items[start : start + AT_ONCE])
    return made


def timestamp(instant: datetime | None) -> Timestamp | None:
    """Return *instant* as protobuf; None stays unset."""
    if instant is None:
        return None
    since = instant - EPOCH
    return Timestamp(seconds=since.days * 86_400 + since.seconds, nanos=since.microseconds * 1000)


def address(values: Mapping[str, str] | None) -> address_pb2.Address | None:
    """Return a stored address; None stays unset."""
    return None if values is None else address_pb2.Address(**values)


def customer(row: Any) -> customer_pb2.Customer:
    """Return a customer's row as message."""
    return customer_pb2.Customer(
        **CUSTOMER_TEXTS.texts(row),
        type=CUSTOMER_TYPES[row.type],  # type: ignore[arg-type]  # an enum's number
        billing_address=address(row.billing_address),
        shipping_address=address(row.shipping_address),
        etag=etag(row.version),
        created_at=timestamp(row.created_at),
        updated_at=timestamp(row.updated_at),
        erased_at=timestamp(row.erased_at),
    )


def order(stored: StoredOrder, now: datetime) -> order_pb2.Order:
    """Return an order as message; *now* decides between what waits, is leased or backs off."""
    return order_pb2.Order(**order_fields(stored, now))


def order_fields(stored: StoredOrder, now: datetime) -> dict[str, Any]:
    """Return the fields of `order`, for a message that holds it: a message within another would be made twice."""
    row = stored.order
    shipments = sorted(row.shipments.values(), key=lambda shipment: str(shipment["shipment_id"]))
    shipped = _shipped(shipments)
    return {
        **ORDER_TEXTS.texts(row),
        **ORDER_AMOUNTS.amounts(row, row.currency),
        "ordered_at": timestamp(row.ordered_at),
        "billing_address": row.billing_address,
        "shipping_address": row.shipping_address,
        "attachments": row.attachments,
        "lines": [_line(line, row.currency, shipped) for line in stored.lines],
        "status": order_progress_pb2.OrderStatus.Value(f"ORDER_STATUS_{row.status}"),
        "erp_document": row.erp_document or "",
        "shipments": [_shipment(shipment) for shipment in shipments],
        "delivery": progress(stored.delivery, now),
        "cancel_requested_at": timestamp(row.cancel_requested_at),
        "etag": etag(row.version),
        "created_at": timestamp(row.created_at),
        "updated_at": timestamp(row.updated_at),
        "erased_at": timestamp(row.erased_at),
    }


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


def _line(row: Any, currency: str, shipped: Mapping[int, Decimal]) -> dict[str, Any]:
    return {
        **LINE_TEXTS.texts(row),
        **LINE_AMOUNTS.amounts(row, currency),
        "quantity": written_quantity(row.quantity),
        "unit_price": written_price(row.unit_price, currency),
        "shipped_quantity": written_quantity(shipped[row.line_number]),
    }


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
