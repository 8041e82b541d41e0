"""Response messages to HTTP responses, as the method's `google.api.http` rule says."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from aiohttp import web
from google.api.http_pb2 import HttpRule
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from tandem_gateway.transcoding import json
from tandem_proto.catalogue import Method
from tandem_proto.json.encoding import encoder

NDJSON = "application/x-ndjson"
"""Content type of streams of messages: one JSON object a line, an empty line a heartbeat."""

BYTES = "application/octet-stream"
"""Content type of streams of bytes that do not tell theirs."""


class ResponseWriter:
    """Prints the responses of one binding of a method; raises ValueError or TypeError for a rule that does not fit."""

    def __init__(self, method: Method, rule: HttpRule) -> None:
        self._part = str(rule.response_body)
        descriptor = method.descriptor.output_type
        field = descriptor.fields_by_name.get(self._part)
        streams = bool(method.descriptor.server_streaming)
        self.raw = _is_file(field) and streams
        """Whether the response is a stream of bytes, passed on as they are, rather than of messages."""
        if self._part and not self.raw:
            if field is None or field.message_type is None or field.is_repeated is not streams:
                raise ValueError(
                    f"{method.path}: response_body must name a message, in a stream a repeated one, or bytes"
                )
            descriptor = field.message_type
        self._encode = encoder(descriptor)
        self._etag = _has_text(descriptor.fields_by_name.get("etag"))
        self._creates = method.name.startswith("Create") and _has_text(descriptor.fields_by_name.get("id"))

    def response(self, message: Message, path: str, headers: dict[str, str]) -> web.Response:
        """Return the reply to a request of the raw *path*: 201 with Location where something was created, else 200."""
        body: Any = getattr(message, self._part) if self._part else message
        if self._etag and body.etag:
            headers["ETag"] = f'"{body.etag}"'
        if self._creates:
            headers["Location"] = f"{path}/{quote(body.id, safe='')}"
        return web.Response(
            status=201 if self._creates else 200,
            body=json.dumps(self._encode(body)),
            content_type="application/json",
            headers=headers,
        )

    def content_type(self, message: object) -> str:
        """Return the content type of a stream, of which *message* is the first."""
        return (getattr(message, "content_type", "") or BYTES) if self.raw else NDJSON

    def chunk(self, message: Message) -> bytes:
        """Return one message of a stream as it goes into the body.

        Bytes go as they are; a message as lines, one for each of its parts, an empty one where it has none.
        """
        if self.raw:
            return bytes(getattr(message, self._part))
        parts = getattr(message, self._part) if self._part else (message,)
        return b"".join([json.dump_line(self._encode(part)) for part in parts]) or b"\n"


def _is_file(field: FieldDescriptor | None) -> bool:
    return field is not None and field.type == FieldDescriptor.TYPE_BYTES and not field.is_repeated


def _has_text(field: FieldDescriptor | None) -> bool:
    return field is not None and field.type == FieldDescriptor.TYPE_STRING and not field.is_repeated
