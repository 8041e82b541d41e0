"""Errors on the wire: `google.rpc.Status` with ErrorInfo, BadRequest and RetryInfo (AIP-193)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from google.protobuf.any_pb2 import Any
from google.protobuf.message import DecodeError, Message
from google.rpc.code_pb2 import Code
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status

from tandem_proto.errors import BY_CODE, BY_REASON, FieldViolation, TandemError, Unknown

M = TypeVar("M", bound=Message)

DOMAIN = "tandem"
"""`ErrorInfo.domain` of every error of ours."""

FIELDS_BYTES = 4_500
"""How much of the wrong fields is told: gRPC clients take 8 KiB of metadata, in which bytes travel as base64."""

MESSAGE_LENGTH = 300
"""Characters of a message; it travels twice, once percent-encoded."""

BROKEN = "Internal error from Core"
"""What gRPC's aio client says, as INTERNAL, where a connection broke while it sent a message of an upload."""

METADATA_KEY = "grpc-status-details-bin"
"""Trailing metadata that carries the serialized Status."""


def to_status(error: TandemError) -> Status:
    """Return *error* as `google.rpc.Status`, with its details."""
    status = Status(code=Code.Value(error.code), message=short_message(error))
    named = _fitting(error.fields)
    omitted = {"omitted_fields": str(len(error.fields) - len(named))} if len(named) < len(error.fields) else {}
    info = ErrorInfo(reason=error.reason, domain=DOMAIN, metadata=error.metadata | omitted)
    status.details.append(_packed(info))
    if named:
        status.details.append(_packed(BadRequest(field_violations=named)))
    if error.retry_after is not None:
        info = RetryInfo()
        info.retry_delay.FromNanoseconds(int(error.retry_after * 1_000_000_000))
        status.details.append(_packed(info))
    return status


def from_status(code: str, message: str, details: bytes | None) -> TandemError:
    """Return the error that a status with *code* (its name, as in "NOT_FOUND") and serialized *details* tells of.

    A status that is not ours, or cannot be read, becomes the class of its code with that code as reason.
    """
    if details is None and message == BROKEN:
        code = "UNAVAILABLE"
    status = Status()
    try:
        status.ParseFromString(details or b"")
    except DecodeError:
        status.Clear()
    info = _unpacked(status, ErrorInfo())
    bad = _unpacked(status, BadRequest())
    retry = _unpacked(status, RetryInfo())
    reason = info.reason if info else code
    kind = BY_REASON.get(reason) or BY_CODE.get(code, Unknown)
    return kind(
        message,
        reason=reason,
        fields=[FieldViolation(v.field, v.description) for v in bad.field_violations] if bad else (),
        retry_after=retry.retry_delay.ToNanoseconds() / 1_000_000_000 if retry else None,
        metadata=dict(info.metadata) if info else None,
    )


def short_message(error: TandemError) -> str:
    """Return the error's message, cut to what every client takes."""
    text = str(error)
    return text if len(text) <= MESSAGE_LENGTH else text[: MESSAGE_LENGTH - 1] + "…"


def _fitting(fields: Iterable[FieldViolation]) -> list[BadRequest.FieldViolation]:
    """Return the first of *fields*, as many as fit into a reply's metadata."""
    violations: list[BadRequest.FieldViolation] = []
    size = 0
    for field in fields:
        violation = BadRequest.FieldViolation(field=field.field, description=field.description)
        size += violation.ByteSize()
        if size > FIELDS_BYTES:
            break
        violations.append(violation)
    return violations


def _packed(message: Message) -> Any:
    packed = Any()
    packed.Pack(message)
    return packed


def _unpacked(status: Status, message: M) -> M | None:
    return message if any(detail.Unpack(message) for detail in status.details) else None
