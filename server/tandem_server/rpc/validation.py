"""What the contract says of a request, applied to it: every wrong field is named at once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from google.protobuf.message import DecodeError, Message

from tandem_proto.catalogue import Method
from tandem_proto.errors import FieldViolation, InvalidArgument
from tandem_server.rpc.counts import too_long
from tandem_server.rpc.masks import check_mask, masked_fields, only_masked, output_only, resource_field
from tandem_server.rpc.rules import broken


def parsed(method: Method, request: bytes) -> Message:
    """Return the request message that *request* is. Raises InvalidArgument where it is none."""
    try:
        return method.request.FromString(request)
    except DecodeError:
        raise InvalidArgument(f"this is not a {method.request.DESCRIPTOR.name}", reason="NOT_A_MESSAGE") from None


def validate(request: Message) -> None:
    """Raise InvalidArgument, naming every wrong field, where *request* breaks a rule of the contract."""
    if wrong := list(too_long(request)) or list(_wrong_fields(request)):
        shown = ", ".join(f"{violation.field or 'request'}: {violation.description}" for violation in wrong[:5])
        more = f" and {len(wrong) - 5} more" if len(wrong) > 5 else ""
        raise InvalidArgument(shown + more, reason="INVALID_FIELDS", fields=wrong)


def _wrong_fields(request: Any) -> Iterator[FieldViolation]:
    resource = resource_field(request.DESCRIPTOR)
    if resource is None:
        yield from broken(request)
        yield from output_only(request)
        return
    yield from check_mask(request, resource)
    changed = tuple(f"{resource.name}.{name}" for name in masked_fields(request))
    for violation in broken(only_masked(request, resource)):
        if not violation.field.startswith(f"{resource.name}.") or _is_within(violation.field, changed):
            yield violation


def _is_within(path: str, fields: tuple[str, ...]) -> bool:
    return any(path == field or path.startswith((f"{field}.", f"{field}[")) for field in fields)
