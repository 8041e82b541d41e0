"""Update masks (AIP-134) and what a caller cannot set (AIP-203), read from the contract."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any, NamedTuple

from google.api.field_behavior_pb2 import IMMUTABLE, OUTPUT_ONLY, FieldBehavior, field_behavior
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from tandem_proto.errors import FieldViolation

MASK = "update_mask"


def has(field: FieldDescriptor, behavior: FieldBehavior.ValueType) -> bool:
    """Tell whether *field* has *behavior* in the contract."""
    return behavior in field.GetOptions().Extensions[field_behavior]


def resource_field(request: Descriptor) -> FieldDescriptor | None:
    """Return the field that an update mask of *request* is about: its only message field besides the mask."""
    if MASK not in request.fields_by_name:
        return None
    return next(field for field in request.fields if field.message_type is not None and field.name != MASK)


def masked_fields(request: Any) -> list[str]:
    """Return the names of the fields to change: those of the mask, or the populated ones that may be set."""
    resource = resource_field(request.DESCRIPTOR)
    assert resource is not None
    if request.update_mask.paths:
        return list(request.update_mask.paths)
    populated = getattr(request, resource.name).ListFields()
    return [field.name for field, _ in populated if not (has(field, OUTPUT_ONLY) or has(field, IMMUTABLE))]


def only_masked(request: Any, resource: FieldDescriptor) -> Any:
    """Return a copy of *request* in which its *resource* has no fields but those to change."""
    copy = type(request)()
    copy.CopyFrom(request)
    kept = set(masked_fields(request))
    part = getattr(copy, resource.name)
    for field, _ in part.ListFields():
        if field.name not in kept:
            part.ClearField(field.name)
    return copy


def check_mask(request: Any, resource: FieldDescriptor) -> Iterator[FieldViolation]:
    """Yield what is wrong with the mask of *request*: unknown fields, and fields that nobody can change."""
    assert resource.message_type is not None
    fields = resource.message_type.fields_by_name
    for path in request.update_mask.paths:
        field = fields.get(path)
        if field is None:
            yield FieldViolation(MASK, f"{resource.name} has no field {path}")
        elif has(field, OUTPUT_ONLY) or has(field, IMMUTABLE):
            yield FieldViolation(f"{resource.name}.{path}", "cannot be changed")


class _Plan(NamedTuple):
    """What to look at in messages of one type."""

    output_only: frozenset[str]
    children: tuple[FieldDescriptor, ...]


@cache
def _plan(descriptor: Descriptor) -> _Plan:
    children = [f for f in descriptor.fields if f.message_type is not None and _has_output_only(f.message_type)]
    return _Plan(frozenset(f.name for f in descriptor.fields if has(f, OUTPUT_ONLY)), tuple(children))


def _has_output_only(descriptor: Descriptor) -> bool:
    if descriptor.GetOptions().map_entry:
        return False
    plan = _plan(descriptor)
    return bool(plan.output_only or plan.children)


def output_only(message: Message, prefix: str = "") -> Iterator[FieldViolation]:
    """Yield every field set in *message*, at any depth, that only Tandem sets."""
    plan = _plan(message.DESCRIPTOR)
    present = {field.name for field, _ in message.ListFields()}
    for name in plan.output_only & present:
        yield FieldViolation(prefix + name, "is set by Tandem: leave it out")
    for field in plan.children:
        if field.name in present and field.name not in plan.output_only:
            yield from _inside(field, getattr(message, field.name), prefix + field.name)


def _inside(field: FieldDescriptor, value: Any, path: str) -> Iterator[FieldViolation]:
    if not field.is_repeated:
        yield from output_only(value, f"{path}.")
        return
    for position, item in enumerate(value):
        yield from output_only(item, f"{path}[{position}].")
