"""The contract's field rules, item by item where there are many: to name the wrong ones must not take for ever."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import astuple
from itertools import islice
from typing import Any

import protovalidate
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from tandem_proto.errors import FieldViolation
from tandem_server.rpc.patterns import keeps_rules

VALIDATOR = protovalidate.Validator()

MOST_TOLD = 1000
"""Wrong fields that are looked for: a request of a few kilobytes can have thousands, and each takes 0.1 ms."""


def broken(message: Message) -> list[FieldViolation]:
    """Return which fields of *message* break a rule, and how: the first thousand."""
    if keeps_rules(message):
        return []
    found = list(islice(_broken(message, ""), MOST_TOLD))
    # What only shows with all items of a list there is not found item by item.
    return found or [_violation(v.proto, "") for v in VALIDATOR.collect_violations(message)]


def broken_items(message: Message) -> dict[int, list[FieldViolation]]:
    """Return what is wrong with the items of the one list that *message* has, by their position."""
    found: dict[int, list[FieldViolation]] = {}
    if keeps_rules(message):
        return found
    for violation in VALIDATOR.collect_violations(message):
        field, description = astuple(_violation(violation.proto, ""))
        item, _, inside = field.partition("].")
        found.setdefault(int(item.partition("[")[2]), []).append(FieldViolation(inside, description))
    return found


def _broken(message: Any, prefix: str) -> Iterator[FieldViolation]:
    shell = type(message)()
    shell.CopyFrom(message)
    _shorten(shell)
    for violation in VALIDATOR.collect_violations(shell):
        if not any(map(_is_item, _elements(violation.proto))):
            yield _violation(violation.proto, prefix)
    for path, items in _lists(message, prefix):
        for position, item in enumerate(items):
            yield from _broken(item, f"{path}[{position}].")


def _shorten(message: Message) -> None:
    """Leave one item of each list of messages: those are looked at one by one."""
    for field, value in message.ListFields():
        if _holds_messages(field):
            del value[1:]
            _shorten(value[0])
        elif _is_message(field):
            _shorten(value)


def _lists(message: Message, prefix: str) -> Iterator[tuple[str, Any]]:
    """Yield the lists of messages in *message*, but not those in items of another list, each with its path."""
    for field, value in message.ListFields():
        if _holds_messages(field):
            yield prefix + field.name, value
        elif _is_message(field):
            yield from _lists(value, f"{prefix}{field.name}.")


def _is_message(field: FieldDescriptor) -> bool:
    return field.message_type is not None and not field.message_type.GetOptions().map_entry


def _holds_messages(field: FieldDescriptor) -> bool:
    return field.is_repeated and _is_message(field)


def _is_item(element: Any) -> bool:
    """Tell whether a path goes through *element* into an item of a list of messages."""
    indexed = element.subscript is not None and element.subscript.field == "index"
    return indexed and element.field_type == FieldDescriptor.TYPE_MESSAGE


def _violation(proto: Any, prefix: str) -> FieldViolation:
    return FieldViolation((prefix + _path(proto)).rstrip("."), proto.message or proto.rule_id)


def _path(proto: Any) -> str:
    """Write a field path as people do: `order.lines[3].quantity`, `attributes["colour"]`; empty for a whole message."""
    return ".".join(f"{element.field_name}{_subscript(element.subscript)}" for element in _elements(proto))


def _elements(proto: Any) -> Sequence[Any]:
    return proto.field.elements if proto.field is not None else ()


def _subscript(subscript: Any) -> str:
    if subscript is None:
        return ""
    return f'["{subscript.value}"]' if subscript.field == "string_key" else f"[{subscript.value}]"
