"""HTTP requests to request messages, as the method's `google.api.http` rule says.

A path variable fills the field it names, the body the field that `body` names (or, with "*", the whole message), query
parameters every other field. Nothing wins silently: a field that is told twice is told the same, or refused.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from google.api.http_pb2 import HttpRule
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from tandem_gateway.transcoding import json
from tandem_gateway.transcoding.negotiation import Formats
from tandem_gateway.transcoding.template import Template, decode
from tandem_proto.catalogue import Method
from tandem_proto.errors import Findings, InvalidArgument
from tandem_proto.json.decoding import Decoder, Field, decoder

_ENTITY_TAG = re.compile(r'(?:W/)?"([\x21\x23-\x7e]*)"|([\x21\x23-\x2b\x2d-\x7e]+)')


@dataclass(frozen=True, slots=True)
class Incoming:
    """What an HTTP request tells: the path's variables (decoded), the raw query, the body, three of its headers."""

    variables: Mapping[str, str]
    query: str
    body: bytes
    if_match: str | None
    accept: str | None = None
    content_type: str = ""


class RequestReader:
    """Makes request messages for one binding of one method; raises ValueError for a rule that does not fit it."""

    def __init__(self, method: Method, rule: HttpRule, verb: str, template: Template) -> None:
        self._message = method.request
        self._decoder = decoder(method.descriptor.input_type)
        self._body = str(rule.body)
        self._file = method.descriptor.client_streaming
        self._patch = verb == "PATCH" and "update_mask" in self._decoder.fields and self._body not in ("", "*")
        self._etag = self._takes_etag(template.variables)
        self._safe = method.safe
        self._formats = Formats(method.descriptor.input_type, template)
        self._bound = {self._body, *template.variables} - {""}
        for path in self._bound - {"*"}:
            if _walk(method.request(), self._decoder, path) is None:
                raise ValueError(f"{method.path}: {path} is not a field of the request")
        self._check_body(method)

    def read(self, incoming: Incoming) -> Message:
        """Return the request message, of an upload the first; raises InvalidArgument that names every wrong field."""
        request, findings = self._message(), Findings()
        told = self._read_body(request, incoming.body, findings)
        self._read_query(request, incoming.query, findings)
        if self._patch and not request.HasField("update_mask"):
            request.update_mask.paths.extend(told)  # type: ignore[attr-defined]  # seen in the descriptor
        for path, text in incoming.variables.items():
            self._bind(request, path, text, "the path", findings)
        self._read_if_match(request, incoming.if_match, findings)
        if self._file:
            self._read_sent_format(request, incoming.content_type, findings)
        else:
            self._read_format(request, incoming.accept, findings)
        findings.check()
        return request

    def piece(self, data: bytes) -> Message:
        """Return a further message of an upload: a piece of its file."""
        return self._message(**{self._body: data})

    def _check_body(self, method: Method) -> None:
        field = self._decoder.fields.get(self._body)
        if self._file and (field is None or field.descriptor.type != FieldDescriptor.TYPE_BYTES):
            raise ValueError(f"{method.path}: the body of an upload must be bytes")
        if not self._file and field is not None and field.below is None:
            raise ValueError(f"{method.path}: the body must be a message")

    def _takes_etag(self, variables: tuple[str, ...]) -> bool:
        etag = self._decoder.fields.get("etag")
        if etag is None or self._body == "*" or "etag" in variables:
            return False
        return bool(etag.descriptor.type == FieldDescriptor.TYPE_STRING and not etag.descriptor.is_repeated)

    def _read_body(self, request: Message, body: bytes, findings: Findings) -> list[str]:
        """Fill what the body fills, and return the names of the fields that it has."""
        if self._file:
            return []
        if not self._body:
            if body:
                raise InvalidArgument("This request takes no body.", reason="NO_BODY_EXPECTED")
            return []
        document = json.loads(body)
        message, fields = request, self._decoder
        if self._body != "*":
            field = self._decoder.fields[self._body]
            message, fields = getattr(request, field.name), field.below or self._decoder
            message.SetInParent()
        fields.read(message, document, findings)
        if not findings:
            for name in sorted(json.names_twice(body, findings.names)):
                findings.add(name, "is there twice in one object")
        names = document if isinstance(document, dict) else ()  # what is no object is a finding by now
        return [fields.fields[name].name for name in names if name in fields.fields]

    def _read_query(self, request: Message, query: str, findings: Findings) -> None:
        given: dict[str, list[str]] = {}
        for pair in filter(None, query.split("&")):
            name, _, text = pair.replace("+", " ").partition("=")
            found = _walk(request, self._decoder, decode(name))
            given.setdefault(found[2] if found else decode(name), []).append(
                decode(text)
            )  # both names of a field count
        for name, texts in given.items():
            self._read_parameter(request, name, texts, findings)

    def _read_parameter(self, request: Message, name: str, texts: list[str], findings: Findings) -> None:
        found = _walk(request, self._decoder, name)
        if found is None or "*" in self._bound:
            findings.add(name, "is not a query parameter of this request")
            return
        parent, field, path = found
        if any(f"{path}.".startswith(f"{bound}.") for bound in self._bound):
            findings.add(name, "must be told by the path or the body, not by the query")
        elif field.descriptor.is_repeated:
            field.fill(parent, [_plain(field, text) for text in texts], path, findings)
        elif len(texts) > 1:
            findings.add(name, "must be there once only")
        else:
            field.fill(parent, _plain(field, texts[0]), path, findings)

    def _read_if_match(self, request: Message, header: str | None, findings: Findings) -> None:
        if header is None or (self._safe and not self._etag):
            return
        tag = _ENTITY_TAG.fullmatch(header.strip())
        if not self._etag:  # RFC 9110, 13.1.1: to do it anyway would break the caller's condition
            findings.add("If-Match", "is not supported by this request")
        elif tag is None:
            findings.add("If-Match", "must be one entity tag or *")
        elif header.strip() != "*":
            self._bind(request, "etag", tag[1] if tag[1] is not None else tag[2], "If-Match", findings)

    def _read_format(self, request: Message, accept: str | None, findings: Findings) -> None:
        """Fill the format: what path and query tell of it counts more than what `Accept` likes."""
        field = self._formats.field
        if self._formats.of_path:
            self._bind(request, field, self._formats.of_path, "the path", findings)
        elif field and not getattr(request, field) and (liked := self._formats.accepted(accept)):
            self._bind(request, field, liked, "Accept", findings)

    def _read_sent_format(self, request: Message, content_type: str, findings: Findings) -> None:
        """Fill the format of an upload; the query tells it only where no header does."""
        field = self._formats.field
        if field and (content_type or not getattr(request, field)):
            self._bind(request, field, self._formats.sent(content_type), "Content-Type", findings)

    def _bind(self, request: Message, path: str, text: str, origin: str, findings: Findings) -> None:
        """Fill the field at *path* from *text*; whoever told it before must have told the same."""
        found = _walk(request, self._decoder, path)
        if found is None:
            return  # cannot be: looked up when the reader was made
        parent, field, _ = found
        name = path.removeprefix(f"{self._body}.")
        before = getattr(parent, field.name)
        field.fill(parent, _plain(field, text), name, findings)
        if before and before != getattr(parent, field.name):
            findings.add(name, f"is told differently by {origin}")


def _walk(request: Any, fields: Decoder, path: str) -> tuple[Message, Field, str] | None:
    """Follow "a.b.c" from *request*: return the message that holds the last field, that field, and the path's own form.

    Return None if there is no such field.
    """
    names = []
    *parents, last = path.split(".")
    for parent in parents:
        field = fields.fields.get(parent)
        if field is None or field.below is None:
            return None
        request, fields = getattr(request, field.name), field.below
        names.append(field.name)
    leaf = fields.fields.get(last)
    return (request, leaf, ".".join([*names, leaf.name])) if leaf else None


def _plain(field: Field, text: str) -> str | bool:
    """Return what JSON would hold for *text*, which readers understand but for true and false."""
    if field.descriptor.type == FieldDescriptor.TYPE_BOOL and text in ("true", "false"):
        return text == "true"
    return text
