"""Protobuf as contents: the values that a caller may set, by field name, as use cases take them."""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import UTC, datetime
from operator import attrgetter
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from tandem.crm.v1 import address_pb2, customer_pb2, order_line_pb2, order_pb2
from tandem_server.domain.money import decimal
from tandem_server.domain.orders import numbered

CUSTOMER_TYPES = {0: "", 1: "COMPANY", 2: "PERSON"}
CUSTOMER_TEXTS = (
    *("external_id", "name", "email", "phone", "tax_id", "currency", "payment_terms", "note", "inactive"),
)
CUSTOMER_FIELDS: dict[str, Callable[[Any], Any]] = {name: attrgetter(name) for name in CUSTOMER_TEXTS} | {
    "type": lambda message: CUSTOMER_TYPES[message.type],
    "attributes": lambda message: dict(message.attributes) if message.attributes else {},
    "billing_address": lambda message: _address(message, "billing_address"),
    "shipping_address": lambda message: _address(message, "shipping_address"),
}
"""How each field is read that a caller may set."""
ADDRESS_TEXTS = tuple(field.name for field in address_pb2.Address.DESCRIPTOR.fields)
ORDER_TEXTS = (
    *("external_id", "number", "customer_id", "customer_external_id", "customer_reference", "currency"),
    *("requested_delivery_date", "shipping_method", "prices_include_tax", "payment_terms", "payment_reference", "note"),
)
ORDER_AMOUNTS = ("shipping_amount", "shipping_tax_amount", "discount_amount", "paid_amount")
LINE_TEXTS = ("line_number", "external_id", "sku", "description", "unit", "tax_code", "warehouse", "note")
LINE_AMOUNTS = ("quantity", "unit_price", "discount_amount", "tax_amount")


def instant(message: Timestamp) -> datetime:
    """Return *message* as an aware datetime in UTC, to the microsecond."""
    return message.ToDatetime(tzinfo=UTC)


def instant_of(message: Any, field: str) -> datetime | None:
    """Return the instant in *field* of *message*, None where it is not set."""
    return instant(getattr(message, field)) if message.HasField(field) else None


def customer(message: customer_pb2.Customer, names: Collection[str] = tuple(CUSTOMER_FIELDS)) -> dict[str, Any]:
    """Return what the caller says of a customer in the fields with *names*; those that are ours say nothing."""
    return {name: CUSTOMER_FIELDS[name](message) for name in names if name in CUSTOMER_FIELDS}


def order(message: order_pb2.Order) -> dict[str, Any]:
    """Return what the caller says of an order; lines without a number get their position."""
    texts = {name: getattr(message, name) for name in ORDER_TEXTS}
    amounts = {name: decimal(getattr(message, name)) for name in ORDER_AMOUNTS}
    return {
        **texts,
        **amounts,
        "total": decimal(message.total) if message.total else None,
        "ordered_at": instant_of(message, "ordered_at"),
        "billing_address": _address(message, "billing_address"),
        "shipping_address": _address(message, "shipping_address"),
        "attachments": [{"name": x.name, "url": x.url, "media_type": x.media_type} for x in message.attachments],
        "attributes": dict(message.attributes),
        "lines": numbered([_line(line) for line in message.lines]),
    }


def _line(message: order_line_pb2.OrderLine) -> dict[str, Any]:
    texts = {name: getattr(message, name) for name in LINE_TEXTS}
    amounts = {name: decimal(getattr(message, name)) for name in LINE_AMOUNTS}
    return {**texts, **amounts, "attributes": dict(message.attributes)}


def _address(message: Any, field: str) -> dict[str, str] | None:
    if not message.HasField(field):
        return None
    address: address_pb2.Address = getattr(message, field)
    return {name: text for name in ADDRESS_TEXTS if (text := getattr(address, name))}
