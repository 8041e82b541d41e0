from __future__ import annotations

from typing import Any

from google.protobuf import json_format
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from hypothesis import given
from hypothesis import strategies as st
from zoo import ZOO, decoded, encoded

from tandem_gateway.transcoding import json
from tandem_proto.catalogue import methods
from tandem_proto.json import values

MESSAGES = [ZOO, *(kind for m in methods() for kind in (m.descriptor.input_type, m.descriptor.output_type))]
WORDS = st.from_regex(r"[a-z]+(_[a-z]+){0,2}", fullmatch=True)


def scalars(field: FieldDescriptor) -> st.SearchStrategy[Any]:
    if field.enum_type is not None:
        return st.sampled_from([value.number for value in field.enum_type.values])
    if field.cpp_type in (FieldDescriptor.CPPTYPE_INT32, FieldDescriptor.CPPTYPE_INT64):
        bits = 32 if field.cpp_type == FieldDescriptor.CPPTYPE_INT32 else 64
        return st.integers(-(1 << bits - 1), (1 << bits - 1) - 1)
    if field.cpp_type in (FieldDescriptor.CPPTYPE_UINT32, FieldDescriptor.CPPTYPE_UINT64):
        return st.integers(0, (1 << (32 if field.cpp_type == FieldDescriptor.CPPTYPE_UINT32 else 64)) - 1)
    if field.type == FieldDescriptor.TYPE_BYTES:
        return st.binary(max_size=5)
    return st.booleans() if field.type == FieldDescriptor.TYPE_BOOL else st.text(max_size=5)


def fill(draw: st.DrawFn, message: Any, depth: int) -> None:
    kind = message.DESCRIPTOR.full_name
    if kind == "google.protobuf.Timestamp":
        message.FromMicroseconds(draw(st.integers(-62_135_596_800 * 10**6, 253_402_300_800 * 10**6 - 1)))
        return
    if kind == "google.protobuf.FieldMask":
        message.paths.extend(draw(st.lists(WORDS, max_size=2)))
        return
    kinds = list(message.DESCRIPTOR.fields)
    fields = st.lists(st.sampled_from(kinds), max_size=4, unique_by=lambda field: field.name)
    for field in draw(fields) if depth and kinds else ():
        if values.is_map(field):
            held = scalars(field.message_type.fields_by_name["value"])
            getattr(message, field.name).update(draw(st.dictionaries(st.text(max_size=3), held, max_size=2)))
        elif field.message_type is None and field.is_repeated:
            getattr(message, field.name).extend(draw(st.lists(scalars(field), max_size=3)))
        elif field.message_type is None:
            setattr(message, field.name, draw(scalars(field)))
        elif field.is_repeated:
            for _ in range(draw(st.integers(1, 2))):
                fill(draw, getattr(message, field.name).add(), depth - 1)
        else:
            getattr(message, field.name).SetInParent()
            fill(draw, getattr(message, field.name), depth - 1)


@st.composite
def a_message(draw: st.DrawFn) -> Message:
    message: Message = GetMessageClass(draw(st.sampled_from(MESSAGES)))()
    fill(draw, message, 2)
    return message


def expected(kind: Any, oracle: dict[str, Any]) -> dict[str, Any]:
    """What google.protobuf.json_format printed, in our dialect: short enums, snake_case masks."""

    def one(field: FieldDescriptor, value: Any) -> Any:
        if field.enum_type is not None:
            return values.short_names(field.enum_type)[field.enum_type.values_by_name[value].number]
        if field.message_type is None:
            return value
        if field.message_type.full_name == "google.protobuf.FieldMask":
            return ",".join(values.read_mask(value).paths)
        if field.message_type.full_name in values.WELL_KNOWN:
            return value
        return expected(field.message_type, value)

    printed = {}
    for name, value in oracle.items():
        field = kind.fields_by_name[name]
        many = field.is_repeated and not values.is_map(field)
        printed[name] = (
            [one(field, item) for item in value] if many else value if values.is_map(field) else one(field, value)
        )
    return printed


def canonical(document: Any) -> Any:
    """Forget what differs harmlessly: how many zeros a fraction of a second has, and the case of masks."""
    if isinstance(document, dict):
        return {key: canonical(value) for key, value in document.items()}
    if isinstance(document, list):
        return [canonical(item) for item in document]
    try:
        return values.read_instant(document).ToJsonString()
    except ValueError:
        return document


@given(a_message())
def test_what_is_encoded_decodes_to_the_same(message: Message) -> None:
    document = json.loads(encoded(message))
    assert decoded(message.DESCRIPTOR, document) == message


@given(a_message(), st.booleans())
def test_what_the_oracle_prints_is_understood(message: Message, snake_case: bool) -> None:
    document = json_format.MessageToDict(message, preserving_proto_field_name=snake_case)
    assert decoded(message.DESCRIPTOR, document) == message


@given(a_message())
def test_we_print_what_the_oracle_prints_in_our_dialect(message: Message) -> None:
    printed = json.loads(encoded(message))
    oracle = json_format.MessageToDict(
        message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )
    assert canonical(printed) == canonical(expected(message.DESCRIPTOR, oracle))
