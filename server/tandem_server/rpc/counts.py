"""The lengths of a request's lists, told before anything else is looked at: to judge a million items takes minutes."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from tandem_proto.errors import FieldViolation
from tandem_proto.lists import most_items, too_many


@cache
def _plan(descriptor: Descriptor) -> tuple[tuple[FieldDescriptor, int, bool], ...]:
    """Return the fields that hold a list, or one further in: each with the most items and whether to look inside."""
    found = []
    for field in descriptor.fields:
        kind = field.message_type
        inside = kind is not None and not kind.GetOptions().map_entry and bool(_plan(kind))
        if field.is_repeated or inside:
            found.append((field, most_items(field) if field.is_repeated else 0, inside))
    return tuple(found)


def too_long(message: Message, prefix: str = "") -> Iterator[FieldViolation]:
    """Yield every list in *message*, at any depth, that is too long."""
    for field, most, inside in _plan(message.DESCRIPTOR):
        value: Any = getattr(message, field.name)
        path = prefix + field.name
        if field.is_repeated and len(value) > most:
            yield FieldViolation(path, too_many(field))
        elif inside and field.is_repeated:
            for position, item in enumerate(value):
                yield from too_long(item, f"{path}[{position}].")
        elif inside and message.HasField(field.name):
            yield from too_long(value, f"{path}.")
