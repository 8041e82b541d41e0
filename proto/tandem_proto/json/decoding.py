"""JSON to messages: one decoder a message type, compiled from its descriptor at start-up.

Names may be snake_case or camelCase. Every wrong field is found, not only the first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from tandem_proto.errors import Findings, InvalidArgument
from tandem_proto.json import values
from tandem_proto.lists import most_items, too_many

Fill = Callable[[Any, Any, str, Findings], None]
"""Puts JSON into a message: fill(message, what JSON held, path, findings)."""


class Field:
    """How one field is filled from JSON: fill(message, what JSON held, path of the field, findings)."""

    def __init__(self, descriptor: FieldDescriptor) -> None:
        self.descriptor = descriptor
        self.name = str(descriptor.name)
        self.oneof = str(descriptor.containing_oneof.name) if descriptor.containing_oneof else ""
        self.fill = _filler(descriptor)

    @property
    def below(self) -> Decoder | None:
        """The decoder of the field's own fields, where it holds one message of ours."""
        kind = self.descriptor.message_type
        return _decoders.get(kind) if kind is not None and not self.descriptor.is_repeated else None


class Decoder:
    """Fills messages of one type from parsed JSON; `fields` has each field under its snake_case and camelCase name."""

    def __init__(self, message: Descriptor) -> None:
        self.name = str(message.name)
        self.fields: dict[str, Field] = {}

    def read(self, message: Message, document: Any, findings: Findings) -> None:
        """Put a whole JSON *document* into *message*; raises InvalidArgument if it is nested too deeply."""
        try:
            self.fill(message, document, "", findings)
        except RecursionError:
            raise InvalidArgument("The body is nested too deeply.", reason="NOT_JSON") from None

    def fill(self, message: Message, value: Any, prefix: str, findings: Findings) -> None:
        """Put the JSON object *value* into *message*; null is as good as absent. Paths in *findings* get *prefix*."""
        if type(value) is not dict:
            findings.add(prefix.rstrip(".") or "body", "must be an object")
            return
        findings.names += len(value)
        for key, item in value.items():
            field = self.fields.get(key)
            if field is None:
                findings.add_unknown(prefix + key, self.name)
            elif key != field.name and field.name in value:
                findings.add(prefix + key, f"is there twice, also as {field.name}")
            elif item is not None and field.oneof and message.WhichOneof(field.oneof):
                findings.add(prefix + key, f"cannot be there with {message.WhichOneof(field.oneof)}")
            elif item is not None:
                field.fill(message, item, prefix + field.name, findings)


_decoders: dict[Descriptor, Decoder] = {}


def decoder(message: Descriptor) -> Decoder:
    """Return the decoder of a message type; raises TypeError for a type without a JSON form."""
    if message not in _decoders:
        _decoders[message] = found = Decoder(message)  # before its fields: a recursive type meets itself
        for field in map(Field, message.fields):
            found.fields[field.descriptor.json_name] = found.fields[field.name] = field
    return _decoders[message]


def _filler(field: FieldDescriptor) -> Fill:
    if values.is_map(field):
        return _fill_map(field)
    if field.message_type is not None:
        return (_fill_messages if field.is_repeated else _fill_message)(field, field.message_type)
    return (_fill_scalars if field.is_repeated else _fill_scalar)(field)


def _fill_scalar(field: FieldDescriptor) -> Fill:
    name, read = field.name, values.reader(field)

    def fill(message: Any, value: Any, path: str, findings: Findings) -> None:
        try:
            setattr(message, name, read(value))
        except ValueError as error:
            findings.add(path, str(error))

    return fill


def _fill_scalars(field: FieldDescriptor) -> Fill:
    name, read, items = field.name, values.reader(field), _items(field)

    def fill(message: Any, value: Any, path: str, findings: Findings) -> None:
        target = getattr(message, name)
        for position, item in items(value, path, findings):
            try:
                target.append(read(item))
            except ValueError as error:
                findings.add(position, str(error))

    return fill


def _fill_message(field: FieldDescriptor, kind: Descriptor) -> Fill:
    name, into = field.name, _into(kind)

    def fill(message: Any, value: Any, path: str, findings: Findings) -> None:
        into(getattr(message, name), value, path, findings)

    return fill


def _fill_messages(field: FieldDescriptor, kind: Descriptor) -> Fill:
    name, into, items = field.name, _into(kind), _items(field)

    def fill(message: Any, value: Any, path: str, findings: Findings) -> None:
        target = getattr(message, name)
        for position, item in items(value, path, findings):
            into(target.add(), item, position, findings)

    return fill


def _fill_map(field: FieldDescriptor) -> Fill:
    name, read, most = field.name, values.reader(values.held_by_map(field)), most_items(field)

    def fill(message: Any, value: Any, path: str, findings: Findings) -> None:
        if type(value) is not dict:
            findings.add(path, "must be an object")
            return
        if len(value) > most:
            findings.add(path, too_many(field))
            return
        findings.names += len(value)
        target = getattr(message, name)
        for key, item in value.items():
            try:
                target[key] = read(item)
            except ValueError as error:
                findings.add(f"{path}.{key}", str(error))

    return fill


def _into(kind: Descriptor) -> Fill:
    """Return what fills one message of type *kind*, and makes it present."""
    if kind.full_name in values.WELL_KNOWN:
        return _into_well_known(values.WELL_KNOWN[kind.full_name][0])
    below = decoder(kind)

    def fill(message: Any, value: Any, path: str, findings: Findings) -> None:
        message.SetInParent()
        below.fill(message, value, path + ".", findings)

    return fill


def _into_well_known(read: values.Reader) -> Fill:
    def fill(message: Any, value: Any, path: str, findings: Findings) -> None:
        try:
            message.CopyFrom(read(value))
        except ValueError as error:
            findings.add(path, str(error))
        message.SetInParent()

    return fill


def _items(field: FieldDescriptor) -> Callable[[Any, str, Findings], Iterator[tuple[str, Any]]]:
    """Return what gives the items of a JSON array for *field*, each with its path, if there are not too many."""
    most = most_items(field)

    def items(value: Any, path: str, findings: Findings) -> Iterator[tuple[str, Any]]:
        if type(value) is not list:
            findings.add(path, "must be an array")
            return
        if len(value) > most:
            findings.add(path, too_many(field))
            return
        for index, item in enumerate(value):
            yield f"{path}[{index}]", item

    return items
