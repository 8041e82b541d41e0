"""Customers and orders for the tests, with the untidiness of real ones."""

from __future__ import annotations

import secrets

from tandem.crm.v1.customer_pb2 import Customer
from tandem.crm.v1.order_line_pb2 import OrderLine
from tandem.crm.v1.order_pb2 import Order
from tandem_client import Tandem


def a_customer(external_id: str = "17850") -> Customer:
    return Customer(external_id=external_id, name=f"Customer {external_id}", email=f"{external_id}@example.com")


def an_order(external_id: str = "", *, customer: str = "17850", lines: int = 2) -> Order:
    """Return an order of *lines* lines; the same product stands on several, as it does in life."""
    return Order(
        external_id=external_id or secrets.token_hex(8),
        customer_external_id=customer,
        currency="GBP",
        lines=[
            OrderLine(sku=f"8512{n % 7}A", description="white hanging heart", quantity=str(n + 1), unit_price="2.55")
            for n in range(lines)
        ],
    )


async def hand_over(crm: Tandem, count: int, *, lines: int = 1) -> list[Order]:
    """Create the customer and *count* orders, and return the orders as stored."""
    await crm.customers.upsert(a_customer())
    return [await crm.orders.create(an_order(f"{n}-{secrets.token_hex(4)}", lines=lines)) for n in range(count)]
