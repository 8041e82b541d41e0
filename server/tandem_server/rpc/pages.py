"""Page tokens (AIP-158): opaque, and bound to the filters they were made for."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Sequence
from typing import Any, TypeVar

from google.protobuf.message import Message

from tandem_proto.errors import FieldViolation, InvalidArgument

M = TypeVar("M", bound=Message)

DEFAULT_SIZE = 50
MAX_BYTES = 1 << 20


def size_of(request: Any) -> int:
    """Return how many items a page of *request* has at most."""
    return int(request.page_size) or DEFAULT_SIZE


def token_after(request: Any, last_id: str) -> str:
    """Return the token of the page behind *last_id* in the list that *request* asks for."""
    return base64.urlsafe_b64encode(f"{_fingerprint(request)}:{last_id}".encode()).decode()


def start_of(request: Any) -> str:
    """Return the id behind which the page of *request* starts, empty for the first page.

    Raises InvalidArgument where the token is none of ours, or belongs to other filters.
    """
    if not request.page_token:
        return ""
    try:
        fingerprint, _, last_id = base64.urlsafe_b64decode(request.page_token).decode("ascii").partition(":")
    except (binascii.Error, ValueError):
        fingerprint, last_id = "", ""
    if fingerprint != _fingerprint(request) or not last_id:
        raise _foreign()
    return last_id


def start_number_of(request: Any) -> int:
    """Return the number behind which the page of *request* starts, 0 for the first page; raises as `start_of`."""
    text = start_of(request) or "0"
    if not text.isdecimal() or len(text) > 9:
        raise _foreign()
    return int(text)


def fitting(messages: Sequence[M]) -> tuple[list[M], bool]:
    """Return the first of *messages* that together stay within 1 MiB, one at least, and whether any are left out."""
    total = 0
    for count, message in enumerate(messages):
        total += message.ByteSize()
        if total > MAX_BYTES and count:
            return list(messages[:count]), True
    return list(messages), False


def _foreign() -> InvalidArgument:
    wrong = FieldViolation("page_token", "is not a token of this list with these filters: start again without one")
    return InvalidArgument(wrong.description, fields=[wrong])


def _fingerprint(request: Any) -> str:
    filters = type(request)()
    filters.CopyFrom(request)
    filters.ClearField("page_token")
    filters.ClearField("page_size")
    return hashlib.sha256(filters.SerializeToString(deterministic=True)).hexdigest()[:16]
