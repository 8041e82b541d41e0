"""Bodies of webhooks as what use cases know, by the rules of the RPC that means the same."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from typing import Any, NamedTuple

import orjson
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from tandem.erp.v1.customer_requests_pb2 import LinkCustomerRequest
from tandem.erp.v1.status_update_pb2 import StatusUpdate
from tandem.integration.v1.erp_event_pb2 import OrderAcknowledged
from tandem_proto.errors import FieldViolation, Findings, InvalidArgument
from tandem_proto.json.decoding import decoder
from tandem_proto.json.values import read_instant
from tandem_server.domain.principals import Caller
from tandem_server.rpc import contents, status_updates
from tandem_server.rpc.validation import validate
from tandem_server.usecases.acknowledgements import Acknowledgement
from tandem_server.usecases.erp_events import Action, CustomerLink, Event

TYPE = re.compile(r"[!-~]{1,100}")
MORE_THAN_MICROSECONDS = re.compile(r"(?<=[.]\d{6})\d+")


class _Kind(NamedTuple):
    """A type of events: the message that its data is, and what that asks for."""

    message: type[Message]
    action: Callable[[Any], Action]


KINDS = {
    "order.status_changed": _Kind(StatusUpdate, status_updates.told),
    "order.acknowledged": _Kind(
        OrderAcknowledged, lambda x: Acknowledgement(x.order_id, "", x.erp_document, x.customer_number, x.revision)
    ),
    "customer.linked": _Kind(LinkCustomerRequest, lambda x: CustomerLink(x.id, x.erp_number)),
}


def event(caller: Caller, event_id: str, body: bytes) -> Event:
    """Return the event that *body* tells; where it does not fit, `error` names every wrong field, as in "body.type"."""
    found = Event(caller, event_id, body)
    try:
        document = _document(body)
        found = found._replace(type=_type(document))
        kind = KINDS.get(found.type)
        if kind is None:
            return found
        instant = _timestamp(document)
        found = found._replace(occurred_at=_written(instant))
        return found._replace(action=kind.action(_data(document, kind, event_id, instant)))
    except InvalidArgument as error:
        return found._replace(error=error.within("body"))


def _document(body: bytes) -> dict[str, Any]:
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise InvalidArgument(f"the body is not JSON: {error}", reason="NOT_JSON") from None
    if type(document) is not dict:
        raise InvalidArgument("the body must be a JSON object", reason="NOT_JSON")
    return document


def _type(document: dict[str, Any]) -> str:
    told = document.get("type")
    if type(told) is str and TYPE.fullmatch(told):
        return told
    raise _wrong("type", "must be the event's type, as in order.status_changed: at most 100 characters, no space")


def _timestamp(document: dict[str, Any]) -> Timestamp | None:
    told = document.get("timestamp")
    if told is None:
        return None
    try:
        # Senders' clocks are as exact as they are, and the body's frame is not of their choice.
        return read_instant(MORE_THAN_MICROSECONDS.sub("", told) if type(told) is str else told)
    except ValueError as error:
        raise _wrong("timestamp", str(error)) from None


def _written(instant: Timestamp | None) -> datetime | None:
    return contents.instant(instant) if instant else None


def _data(document: dict[str, Any], kind: _Kind, event_id: str, instant: Timestamp | None) -> Any:
    message: Any = kind.message()
    data, findings = document.get("data"), Findings(ignore_unknown=True)
    if type(data) is not dict:
        raise _wrong("data", "must be an object")
    try:
        decoder(message.DESCRIPTOR).read(message, data, findings)
        findings.check()
        if isinstance(message, StatusUpdate):
            message.event_id = event_id
            if instant and not message.HasField("occurred_at"):
                message.occurred_at.CopyFrom(instant)
        validate(message)
    except InvalidArgument as error:
        raise error.within("data") from None
    return message


def _wrong(field: str, description: str) -> InvalidArgument:
    return InvalidArgument(
        f"{field} {description}", reason="INVALID_FIELDS", fields=[FieldViolation(field, description)]
    )
