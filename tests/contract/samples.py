"""Requests made from the contract alone: valid ones, and for each field rule one that breaks it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from buf.validate import validate_pb2
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from tandem.options.v1 import rules_pb2
from tandem_proto.catalogue import Method, methods

GOOD = {
    "quantity": "6",
    "price": "2.55",
    "amount": "0.10",
    "order_id": "ord_01h455vb4pex5vsknk084sn02q",
    "customer_id": "cus_01h455vb4pex5vsknk084sn02q",
    "erp_event_id": "evt_01h455vb4pex5vsknk084sn02q",
    "export_id": "exp_01h455vb4pex5vsknk084sn02q",
    "key_id": "key_01h455vb4pex5vsknk084sn02q",
    "party": "shop",
    "currency": "GBP",
    "country": "GB",
    "date": "2010-12-24",
}
BAD = {
    "line": "a\x07b",
    "text": "a\x07b",
    "key": " a",
    "amount": "-1",
    "price": "1e5",
    "quantity": "0",
    "order_id": "cus_01h455vb4pex5vsknk084sn02q",
    "customer_id": "ord_01h455vb4pex5vsknk084sn02q",
    "erp_event_id": "ord_01h455vb4pex5vsknk084sn02q",
    "export_id": "ord_01h455vb4pex5vsknk084sn02q",
    "key_id": "ord_01h455vb4pex5vsknk084sn02q",
    "party": "Shop",
    "currency": "gbp",
    "country": "GBR",
    "date": "2010-13-01",
}
KINDS = {name.rsplit(".", 1)[-1]: extension for name, extension in rules_pb2.DESCRIPTOR.extensions_by_name.items()}
Spoil = Callable[[Any], object]


@dataclass(frozen=True)
class Broken:
    """A valid request of *method* that *spoil* makes break one rule; the refusal must name *field*."""

    method: Method
    field: str
    rule: str
    spoil: Spoil

    def __str__(self) -> str:
        return f"{self.method.service.rsplit('.', 1)[-1]}.{self.method.name}-{self.field}-{self.rule}"


def rules_of(field: FieldDescriptor) -> Any:
    return field.GetOptions().Extensions[validate_pb2.field]


def kinds_of(rules: Any) -> list[str]:
    return [name for name, extension in KINDS.items() if rules.string.HasExtension(extension)]


def is_plain(field: FieldDescriptor) -> bool:
    """Tell whether *field* holds a message of our own, rather than a scalar, a map or one of Google's."""
    kind = field.message_type
    return kind is not None and not kind.full_name.startswith("google.") and not kind.GetOptions().map_entry


def valid(descriptor: Any) -> Message:
    """Return the smallest message that keeps every rule of its fields."""
    message = GetMessageClass(descriptor)()
    one_of = descriptor.GetOptions().Extensions[validate_pb2.message].oneof
    for field in descriptor.fields:
        rules = rules_of(field)
        chosen = any(field.name == names.fields[0] for names in one_of)
        needed = rules.required or rules.repeated.min_items or rules.int32.gte == 1
        if chosen or needed or list(rules.enum.not_in) == [1]:
            fill(message, field, rules)
    return message


def fill(message: Message, field: FieldDescriptor, rules: Any) -> None:
    value = getattr(message, field.name)
    if field.is_repeated:
        value.append(item_for(field, rules.repeated.items))
    elif is_plain(field):
        value.CopyFrom(valid(field.message_type))
    elif field.message_type:
        value.seconds = 1
    elif field.enum_type:
        setattr(message, field.name, 5)
    elif field.type == FieldDescriptor.TYPE_STRING:
        setattr(message, field.name, text_for(rules))
    else:
        setattr(message, field.name, 1)


def item_for(field: FieldDescriptor, rules: Any) -> Any:
    return valid(field.message_type) if field.message_type else 5 if field.enum_type else text_for(rules)


def text_for(rules: Any) -> str:
    if rules.string.prefix:
        return f"{rules.string.prefix}example.com/a"
    return next((GOOD[kind] for kind in kinds_of(rules) if kind in GOOD), "A")


def broken_requests() -> Iterator[Broken]:
    for method in methods():
        yield from broken_fields(method, method.request.DESCRIPTOR, "", lambda request: request)


def broken_fields(method: Method, descriptor: Any, prefix: str, reach: Callable[[Any], Any]) -> Iterator[Broken]:
    for field in descriptor.fields:
        path = prefix + field.name
        for rule, at, spoil in spoilers(field, rules_of(field)):
            yield Broken(method, path + at, rule, lambda request, spoil=spoil: spoil(reach(request)))  # type: ignore[misc]
        rows_of_an_upload = method.descriptor.client_streaming and field.is_repeated  # they have outcomes instead
        if is_plain(field) and not rows_of_an_upload:
            inner = f"{path}[0]." if field.is_repeated else f"{path}."
            yield from broken_fields(method, field.message_type, inner, inside(field, reach))


def inside(field: FieldDescriptor, reach: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return how to reach *field*'s message, made where it is not there yet."""

    def descend(request: Any) -> Any:
        owner = reach(request)
        child = getattr(owner, field.name)
        if field.is_repeated:
            if not child:
                child.append(valid(field.message_type))
            return child[0]
        if not owner.HasField(field.name):
            child.CopyFrom(valid(field.message_type))
        return child

    return descend


def spoilers(field: FieldDescriptor, rules: Any) -> Iterator[tuple[str, str, Spoil]]:
    """Yield for each rule of *field* its name, where below the field the refusal points, and how to break it."""
    name = field.name
    if rules.required:
        yield "required", "", lambda owner: owner.ClearField(name)
    if rules.HasField("string"):
        yield from text_spoilers(name, rules)
    if rules.HasField("bytes"):
        yield "max_len", "", lambda owner: setattr(owner, name, b"A" * (rules.bytes.max_len + 1))
    if rules.HasField("int32") or rules.HasField("int64"):
        bounds = rules.int32 if rules.HasField("int32") else rules.int64
        yield "gte", "", lambda owner: setattr(owner, name, bounds.gte - 1)
        if bounds.HasField("lte"):
            yield "lte", "", lambda owner: setattr(owner, name, bounds.lte + 1)
    if rules.HasField("enum"):
        yield "defined_only", "", lambda owner: setattr(owner, name, 99)
    if rules.HasField("timestamp"):
        yield "lt", "", lambda owner: setattr(getattr(owner, name), "seconds", rules.timestamp.lt.seconds)
    if rules.HasField("repeated"):
        yield from list_spoilers(field, rules.repeated)
    if rules.HasField("map"):
        yield from map_spoilers(name, rules.map)


def text_spoilers(name: str, rules: Any) -> Iterator[tuple[str, str, Spoil]]:
    if rules.string.max_len:
        yield "max_len", "", lambda owner: setattr(owner, name, "A" * (rules.string.max_len + 1))
    for kind in kinds_of(rules):
        yield kind, "", lambda owner, text=BAD[kind]: setattr(owner, name, text)  # type: ignore[misc]
    broken = {"pattern": "!", "uri": "not a uri", "prefix": "http://example.com", "in": "sideways"}
    for rule, text in broken.items():
        if getattr(rules.string, rule):
            yield rule, "", lambda owner, text=text: setattr(owner, name, text)  # type: ignore[misc]


def list_spoilers(field: FieldDescriptor, rules: Any) -> Iterator[tuple[str, str, Spoil]]:
    name = field.name
    if rules.min_items:
        yield "min_items", "", lambda owner: owner.ClearField(name)
    if rules.max_items:
        yield "max_items", "", lambda owner: overfill(owner, field, rules.max_items + 1)
    if rules.unique:
        yield "unique", "", lambda owner: getattr(owner, name).extend([item_for(field, rules.items)] * 2)
    if kinds_of(rules.items):
        yield "items", "[0]", lambda owner: (owner.ClearField(name), getattr(owner, name).append("nope"))


def overfill(owner: Any, field: FieldDescriptor, count: int) -> None:
    items = getattr(owner, field.name)
    items.extend([item_for(field, rules_of(field).repeated.items)] * (count - len(items)))


def map_spoilers(name: str, rules: Any) -> Iterator[tuple[str, str, Spoil]]:
    pairs = {f"k{n}": "v" for n in range(rules.max_pairs + 1)}
    long = "v" * (rules.values.string.max_len + 1)
    yield "max_pairs", "", lambda owner: getattr(owner, name).update(pairs)
    yield "keys", '["K"]', lambda owner: getattr(owner, name).update({"K": "v"})
    yield "values", '["k"]', lambda owner: getattr(owner, name).update({"k": long})
