"""REST requests that anybody might make: more or less as the contract wants them, and not at all."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

from google.api.http_pb2 import HttpRule
from google.protobuf.descriptor import FieldDescriptor
from hypothesis import strategies as st

from contract.samples import BAD, GOOD, is_plain, valid
from tandem_proto.catalogue import Method, methods
from tandem_proto.json.encoding import encoder

ROUTES = [(method, rule) for method in methods() if not method.descriptor.client_streaming for rule in method.http]
HEADERS = ("if-match", "idempotency-key", "x-request-id", "traceparent", "accept", "content-type", "content-encoding")
ODD = [
    "",
    "-1",
    "999999999999999.9999",
    "1e400",
    "NaN",
    "2011-02-29",
    "0001-01-01T00:00:00Z",
    "é",
    "🦆",
    "\0",
    "'",
    "%",
    "x" * 300,
]

words = st.sampled_from([*GOOD.values(), *GOOD.values(), "A", "1", "https://example.com", "NEW", *BAD.values(), *ODD])
texts = words | st.text(max_size=20)
numbers = st.sampled_from([0, 1, 2, 50, 1000, 1001, -1, 2**31 - 1])
scalars = st.none() | st.booleans() | st.integers() | st.floats() | texts
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3))


@dataclass(frozen=True)
class Guess:
    """A request, and the scope that its caller had better have."""

    verb: str
    target: str
    body: bytes
    headers: dict[str, str]
    scope: str


@st.composite
def a_guess(draw: st.DrawFn) -> Guess:
    method, rule = draw(st.sampled_from(ROUTES))
    verb = str(rule.WhichOneof("pattern")).upper()
    headers = {}
    if rarely(draw):
        plain = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=30)
        headers = draw(st.dictionaries(st.sampled_from(HEADERS), plain | words.filter(str.isascii), max_size=2))
        headers = {name: value.replace("\0", "").replace("\x07", "") for name, value in headers.items()}
    body = a_body(draw, method, rule) if rule.body or rarely(draw) else b""
    return Guess(verb, a_target(draw, method, rule), body, headers, method.required_scope)


def rarely(draw: st.DrawFn) -> bool:
    return draw(st.integers(0, 9)) == 9


def a_body(draw: st.DrawFn, method: Method, rule: HttpRule) -> bytes:
    if rarely(draw):
        return draw(st.binary(max_size=50))
    message: Any = valid(method.request.DESCRIPTOR)
    part = message if rule.body in ("", "*") else getattr(message, rule.body)
    if isinstance(part, bytes):
        return draw(st.binary(max_size=50) | values.map(lambda value: json.dumps(value).encode()))
    fill(draw, part, depth=2)
    document = json.loads(json.dumps(encoder(part.DESCRIPTOR)(part), default=str))
    if method.name.startswith("Update"):
        document = {name: document[name] for name in draw(st.lists(st.sampled_from(sorted(document)), max_size=3))}
    else:
        document = {name: value for name, value in document.items() if value}
    if rarely(draw) or rarely(draw):
        spoil(draw, document)
    return json.dumps(draw(values) if rarely(draw) else document).encode()


def fill(draw: st.DrawFn, message: Any, depth: int) -> None:
    """Set a few fields of *message* to what is of their type."""
    fields = [field for field in message.DESCRIPTOR.fields if is_plain(field) or field.message_type is None]
    for field in draw(st.lists(st.sampled_from(fields), max_size=3)) if fields else ():
        if not is_plain(field):
            put(draw, message, field)
        elif depth:
            held = getattr(message, field.name)
            fill(draw, held.add() if field.is_repeated else held, depth - 1)


def put(draw: st.DrawFn, message: Any, field: FieldDescriptor) -> None:
    if field.type == FieldDescriptor.TYPE_STRING:
        value: Any = draw(texts)
    elif field.enum_type is not None:
        value = draw(st.sampled_from([each.number for each in field.enum_type.values]))
    elif field.type == FieldDescriptor.TYPE_BOOL:
        value = draw(st.booleans())
    elif field.type == FieldDescriptor.TYPE_BYTES:
        value = draw(st.binary(max_size=20))
    else:
        value = draw(numbers)
    if field.is_repeated:
        getattr(message, field.name).append(value)
    else:
        setattr(message, field.name, value)


def spoil(draw: st.DrawFn, document: Any) -> None:
    """Put anything somewhere into *document*, or in place of what is there."""
    place = draw(st.sampled_from([document, *containers(document)]))
    if isinstance(place, list):
        place.insert(draw(st.integers(0, len(place))), draw(values))
    elif place and draw(st.booleans()):
        place[draw(st.sampled_from(sorted(place)))] = draw(values)
    else:
        place[draw(texts)] = draw(values)


def containers(document: Any) -> Iterator[Any]:
    for each in document.values() if isinstance(document, dict) else document:
        if isinstance(each, dict | list):
            yield each
            yield from containers(each)


def a_target(draw: st.DrawFn, method: Method, rule: HttpRule) -> str:
    template = str(getattr(rule, str(rule.WhichOneof("pattern"))))
    path = re.sub(r"\{[^}]*\}", lambda _: quote(draw(texts), safe="", errors="replace"), template)
    names = [field.name for field in method.descriptor.input_type.fields if not is_plain(field)]
    if rule.body == "*" or not names:
        return path
    asked = draw(st.lists(st.tuples(st.sampled_from(names), texts | numbers.map(str)), max_size=2))
    if rarely(draw):
        asked.append((draw(texts), draw(texts)))
    return f"{path}?{urlencode(asked, errors='replace')}" if asked else path
