"""The quick look at a message says what the contract says."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import protovalidate
from buf.validate import validate_pb2
from google.protobuf.message import Message
from hypothesis import given, settings
from hypothesis import strategies as st

from contract.samples import BAD, GOOD, valid
from tandem_proto.catalogue import methods
from tandem_server.rpc import patterns

REQUESTS = sorted({method.request for method in methods()}, key=str)
CONTRACT = protovalidate.Validator()

edges = st.sampled_from(["", "\n", "\r", "\t", " ", "\x00", "\x1f", "\x7f", "\u2028", "é", "🦆"])
words = st.sampled_from([*map(str, GOOD.values()), *map(str, BAD.values())]) | st.text(max_size=4)
texts = st.tuples(edges, words, edges).map("".join)


def strings(message: Any) -> Iterator[tuple[Any, str]]:
    """Yield every field of text in *message* that has one value, and what it is in."""
    for field in message.DESCRIPTOR.fields:
        if field.type == field.TYPE_STRING and not field.is_repeated:
            yield message, field.name
    for field, value in message.ListFields():
        if field.message_type is not None and not field.message_type.GetOptions().map_entry:
            for each in value if field.is_repeated else [value]:
                yield from strings(each)


@st.composite
def a_request(draw: st.DrawFn) -> Message:
    request = valid(draw(st.sampled_from(REQUESTS)).DESCRIPTOR)
    if places := list(strings(request)):
        owner, name = draw(st.sampled_from(places))
        setattr(owner, name, draw(texts))
    return request


@given(a_request())
@settings(max_examples=1000)
def test_a_request_passes_where_the_contract_lets_it_pass(request: Message) -> None:
    assert patterns.keeps_rules(request) is not bool(CONTRACT.collect_violations(request))


def types(kind: Any, seen: dict[str, Any]) -> dict[str, Any]:
    """Return *kind* and every type that it is made of, by name."""
    if kind.full_name not in seen:
        seen[kind.full_name] = kind
        for field in kind.fields:
            if field.message_type is not None:
                types(field.message_type, seen)
    return seen


def test_most_rules_are_patterns_to_the_twins() -> None:
    found: dict[str, Any] = {}
    for request in REQUESTS:
        types(patterns._twin(request.DESCRIPTOR).DESCRIPTOR, found)  # noqa: SLF001 - nobody else has to see them
    fields = [field for kind in found.values() for field in kind.fields]
    told = [field.GetOptions().Extensions[validate_pb2.field].string for field in fields]
    ours = {rule.name for rules in told for rule, _ in rules.ListFields() if rule.is_extension}
    assert ours == {"quantity"}
    assert sum(rules.HasField("pattern") for rules in told) > 50
