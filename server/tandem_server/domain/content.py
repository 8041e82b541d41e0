"""What somebody asked for, in a normal form: equal requests have equal digests, whatever they leave to defaults."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import orjson

Content = Mapping[str, Any]
"""Values by field name, as they were given."""


def normal(value: Any) -> Any:
    """Return *value* with equal things written equally: decimals by value, instants in µs, None for what is empty."""
    if isinstance(value, str):  # which most are, and what is asked below takes its time
        return value or None
    if isinstance(value, Decimal):
        return f"{value.normalize():f}" if value else None
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="microseconds")
    if isinstance(value, Mapping):
        return {key: kept for key, item in value.items() if (kept := normal(item)) is not None} or None
    if isinstance(value, list):
        return [normal(item) or {} for item in value] or None
    return value or None


def digest(content: Content) -> str:
    """Return the SHA-256 of the normal form of *content*, in hexadecimal."""
    return hashlib.sha256(orjson.dumps(normal(content) or {}, option=orjson.OPT_SORT_KEYS)).hexdigest()


def differing(given: Content, stored: Content, defaulted: frozenset[str] = frozenset()) -> list[str]:
    """Name the fields in which *given* differs from *stored*; a *defaulted* field that is not given never differs."""
    return [
        field
        for field in stored
        if normal(given.get(field)) != normal(stored[field])
        and not (field in defaulted and normal(given.get(field)) is None)
    ]
