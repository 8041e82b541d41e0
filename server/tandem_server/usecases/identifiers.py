"""Ids: a UUIDv7 in base32 with a type prefix (TypeID 0.3), so that they sort by creation."""

from __future__ import annotations

import secrets
from base64 import b32encode

from typeid import TypeID


def new_order_id() -> str:
    """Return a fresh id of an order."""
    return _new("ord")


def new_customer_id() -> str:
    """Return a fresh id of a customer."""
    return _new("cus")


def new_erp_event_id() -> str:
    """Return a fresh id of an event that an ERP told."""
    return _new("evt")


def new_import_id() -> str:
    """Return a fresh id of an import."""
    return _new("imp")


def new_key_id() -> str:
    """Return a fresh id of a key."""
    return _new("key")


def new_secret() -> str:
    """Return 160 random bits, in 32 small letters and digits (base32, RFC 4648)."""
    return b32encode(secrets.token_bytes(20)).decode().lower()


def new_export_id() -> str:
    """Return a fresh id of an export."""
    return _new("exp")


def _new(prefix: str) -> str:
    """Return a fresh id with *prefix*, which is right: to let the library look at it doubles the time."""
    return f"{prefix}_{TypeID().suffix}"
