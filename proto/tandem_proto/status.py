"""Errors on the wire: `google.rpc.Status` with ErrorInfo, BadRequest and RetryInfo (AIP-193)."""

from __future__ import annotations

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

METADATA_KEY = "grpc-status-details-bin"
"""Trailing metadata that carries the serialized Status."""


def to_status(error: TandemError) -> Status:
    """Return *error* as `google.rpc.Status`, with its details."""
    status = Status(code=Code.Value(error.code), message=str(error))
    status.details.append(_packed(ErrorInfo(reason=error.reason, domain=DOMAIN, metadata=error.metadata)))
    if error.fields:
        violations = [BadRequest.FieldViolation(field=f.field, description=f.description) for f in error.fields]
        status.details.append(_packed(BadRequest(field_violations=violations)))
    if error.retry_after is not None:
        info = RetryInfo()
        info.retry_delay.FromNanoseconds(int(error.retry_after * 1_000_000_000))
        status.details.append(_packed(info))
    return status


def from_status(code: str, message: str, details: bytes | None) -> TandemError:
    """Return the error that a status with *code* (its name, as in "NOT_FOUND") and serialized *details* tells of.

    A status that is not ours, or cannot be read, becomes the class of its code with that code as reason.
    """
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


def _packed(message: Message) -> Any:
    packed = Any()
    packed.Pack(message)
    return packed


def _unpacked(status: Status, message: M) -> M | None:
    return message if any(detail.Unpack(message) for detail in status.details) else None
