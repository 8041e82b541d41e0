"""Ids: a UUIDv7 in base32 with a type prefix (TypeID 0.3), so that they sort by creation."""

from __future__ import annotations

from typeid import TypeID


def new_order_id() -> str:
    """Return a fresh id of an order."""
    return str(TypeID("ord"))


def new_customer_id() -> str:
    """Return a fresh id of a customer."""
    return str(TypeID("cus"))
