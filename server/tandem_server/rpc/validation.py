"""The contract's field rules, applied to a request: every wrong field is named at once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import protovalidate
from google.protobuf.message import Message

from tandem_proto.errors import FieldViolation, InvalidArgument
from tandem_server.rpc.masks import check_mask, masked_fields, output_only, resource_field

VALIDATOR = protovalidate.Validator()


def validate(request: Message) -> None:
    """Raise InvalidArgument, naming every wrong field, where *request* breaks a rule of the contract."""
    if wrong := list(_wrong_fields(request)):
        shown = ", ".join(f"{violation.field or 'request'}: {violation.description}" for violation in wrong[:5])
        more = f" and {len(wrong) - 5} more" if len(wrong) > 5 else ""
        raise InvalidArgument(shown + more, reason="INVALID_FIELDS", fields=wrong)


def _wrong_fields(request: Any) -> Iterator[FieldViolation]:
    broken = [_violation(v.proto) for v in VALIDATOR.collect_violations(request)]
    resource = resource_field(request.DESCRIPTOR)
    if resource is None:
        yield from broken
        yield from output_only(request)
        return
    yield from check_mask(request, resource)
    changed = tuple(f"{resource.name}.{name}" for name in masked_fields(request))
    for violation in broken:
        if not violation.field.startswith(f"{resource.name}.") or _is_within(violation.field, changed):
            yield violation


def _is_within(path: str, fields: tuple[str, ...]) -> bool:
    return any(path == field or path.startswith((f"{field}.", f"{field}[")) for field in fields)


def _violation(proto: Any) -> FieldViolation:
    return FieldViolation(_path(proto.field), proto.message or proto.rule_id)


def _path(field: Any) -> str:
    """Write a field path as people do: `order.lines[3].quantity`, `attributes["colour"]`."""
    text = ""
    for element in field.elements if field is not None else ():
        text += f".{element.field_name}" if text else element.field_name
        text += _subscript(element.subscript)
    return text


def _subscript(subscript: Any) -> str:
    if subscript is None:
        return ""
    return f'["{subscript.value}"]' if subscript.field == "string_key" else f"[{subscript.value}]"
