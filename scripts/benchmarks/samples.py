"""The order that is created again and again: three lines, as a message and as JSON."""

from __future__ import annotations

import itertools
import json
import secrets
from typing import Any

from google.protobuf.json_format import MessageToDict

from tandem_client import Address, Customer, Order, OrderLine

CUSTOMER = "17850"
LINES = (
    ("85123A", "WHITE HANGING HEART T-LIGHT HOLDER", "6", "2.55"),
    ("71053", "WHITE METAL LANTERN", "6", "3.39"),
    ("84406B", "CREAM CUPID HEARTS COAT HANGER", "8", "2.75"),
)

_names = (f"B{secrets.token_hex(4)}-{number}" for number in itertools.count())


def customer() -> Customer:
    """Return the customer of every sample."""
    address = Address(recipient="Ada", line1="1 High Street", city="London", postal_code="N1 9GU", country="GB")
    return Customer(external_id=CUSTOMER, name="Ada", email="ada@example.com", currency="GBP", billing_address=address)


def order() -> Order:
    """Return an order that was not there before."""
    return Order(
        external_id=next(_names),
        customer_external_id=CUSTOMER,
        currency="GBP",
        lines=[
            OrderLine(sku=sku, description=description, quantity=quantity, unit_price=price)
            for sku, description, quantity, price in LINES
        ],
    )


def order_json() -> bytes:
    """Return an order that was not there before, as the body of a request."""
    told: dict[str, Any] = MessageToDict(order(), preserving_proto_field_name=True)
    return json.dumps(told).encode()
