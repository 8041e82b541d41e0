"""Single values in JSON, both ways: the proto3 JSON mapping, with the short names of enums.

A reader takes what JSON held (or the text of a path or query parameter) and returns the field's value; it raises
ValueError, saying what the value must be. A writer is a Python expression with `{}` for the field's value, for the
functions that `json` compiles.
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from google.protobuf.descriptor import EnumDescriptor, FieldDescriptor
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.timestamp_pb2 import Timestamp

Reader = Callable[[Any], Any]

_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 -- UTC without saying so: orjson prints it with Z, and it is made faster
_WHOLE = re.compile(r"-?[0-9]{1,20}")
_INSTANT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]+)?([Zz]|[+-][0-9]{2}:[0-9]{2})"
)


def short_names(enum: EnumDescriptor) -> dict[int, str]:
    """Return the names of *enum* without the prefix that its zero value tells: ORDER_STATUS_NEW is NEW."""
    zero = str(enum.values_by_number[0].name)
    prefix = zero.removesuffix("UNSPECIFIED") if zero.endswith("_UNSPECIFIED") else ""
    return {value.number: str(value.name).removeprefix(prefix) for value in enum.values}


class Names(dict[int, str | int]):
    """Short names of an enum by number; a number without a name stays a number."""

    def __missing__(self, number: int) -> int:
        return number


def write_instant(instant: Timestamp) -> datetime:
    """Return *instant* as what orjson prints as RFC 3339, to microseconds, with Z."""
    return _EPOCH + timedelta(0, instant.seconds, instant.nanos // 1000)


def write_bytes(value: bytes) -> str:
    """Return *value* in base64."""
    return b64encode(value).decode()


def read_string(value: Any) -> str:
    """Read a string field. A JSON number is refused: amounts are decimals, which JSON numbers do not keep."""
    if type(value) is str:
        return value
    if type(value) in (int, float):
        raise ValueError(f'must be a string: write "{value}", in quotes')
    raise ValueError("must be a string")


def read_bool(value: Any) -> bool:
    """Read a bool field."""
    if type(value) is bool:
        return value
    raise ValueError("must be true or false")


def read_bytes(value: Any) -> bytes:
    """Read base64, standard or URL-safe."""
    try:
        text = read_string(value).rstrip("=").translate(str.maketrans("-_", "+/"))
        return b64decode(text + "=" * (-len(text) % 4), validate=True)
    except ValueError:
        raise ValueError("must be a string in base64") from None


def read_instant(value: Any) -> Timestamp:
    """Read an RFC 3339 instant of any offset; more than microseconds are refused rather than rounded."""
    match = _INSTANT.fullmatch(value) if type(value) is str else None
    if match is None:
        raise ValueError('must be an instant of RFC 3339, as in "2010-12-01T08:26:00Z"')
    if len((match[1] or "").rstrip("0")) > len(".123456"):
        raise ValueError("must not be more exact than microseconds")
    try:
        since = datetime.fromisoformat(value.upper()).astimezone(UTC).replace(tzinfo=None) - _EPOCH
    except (ValueError, OverflowError):
        raise ValueError("must be an instant that exists, of the years 1 to 9999 in UTC") from None
    return Timestamp(seconds=since.days * 86_400 + since.seconds, nanos=since.microseconds * 1000)


def read_mask(value: Any) -> FieldMask:
    """Read a field mask: names with commas between, in snake_case or camelCase."""
    paths = read_string(value).split(",")
    return FieldMask(paths=[re.sub("[A-Z]", lambda upper: "_" + upper[0].lower(), path) for path in paths if path])


def is_map(field: FieldDescriptor) -> bool:
    """Return whether *field* is a map, which the wire knows as repeated entries."""
    return field.message_type is not None and bool(field.message_type.GetOptions().map_entry)


def held_by_map(field: FieldDescriptor) -> FieldDescriptor:
    """Return what the map *field* holds; raises TypeError unless it goes from strings to scalars, as all of ours do."""
    assert field.message_type is not None
    key, held = field.message_type.fields
    if key.type != FieldDescriptor.TYPE_STRING or held.message_type is not None:
        raise TypeError(f"{field.full_name}: only a map from strings to scalars has a JSON form here")
    return held


def reader(field: FieldDescriptor) -> Reader:
    """Return the reader of one value of *field*; raises TypeError for a type that has no JSON form here."""
    if field.enum_type is not None:
        return _read_enum(field.enum_type)
    if field.type in _INTEGERS:
        return _read_integer(*_INTEGERS[field.type])
    return _known(field)[0]


def writer(field: FieldDescriptor) -> str:
    """Return the writer of one value of *field*; raises TypeError for a type that has no JSON form here."""
    if field.type in _INTEGERS:
        return "str({})" if _INTEGERS[field.type][1] >> 32 else "{}"
    return _known(field)[1]


def _known(field: FieldDescriptor) -> tuple[Reader, str]:
    try:
        return _SCALARS[field.type] if field.message_type is None else WELL_KNOWN[field.message_type.full_name]
    except KeyError:
        raise TypeError(f"{field.full_name}: a field of this type has no JSON form here") from None


def _read_integer(low: int, high: int) -> Reader:
    def read(value: Any) -> int:
        whole_text = type(value) is str and _WHOLE.fullmatch(value)
        whole_float = type(value) is float and value.is_integer()  # 1.0 and 1e3 are whole
        number = int(value) if whole_text or whole_float else value
        if type(number) is not int:
            raise ValueError("must be a whole number")
        if not low <= number <= high:
            raise ValueError(f"must be from {low} to {high}")
        return number

    return read


def _read_enum(enum: EnumDescriptor) -> Reader:
    short = short_names(enum)
    known: dict[Any, int] = {value.name: value.number for value in enum.values}
    known |= {name: number for number, name in short.items()}
    choices = ", ".join(name for number, name in sorted(short.items()) if number)

    def read(value: Any) -> int:
        number = known.get(value) if type(value) is str else value
        if type(number) is not int or number not in short:
            raise ValueError(f"must be one of {choices}")
        return number

    return read


_SIGNED_32 = (-(1 << 31), (1 << 31) - 1)
_SIGNED_64 = (-(1 << 63), (1 << 63) - 1)
_INTEGERS: dict[int, tuple[int, int]] = {
    FieldDescriptor.TYPE_INT32: _SIGNED_32,
    FieldDescriptor.TYPE_SINT32: _SIGNED_32,
    FieldDescriptor.TYPE_SFIXED32: _SIGNED_32,
    FieldDescriptor.TYPE_INT64: _SIGNED_64,
    FieldDescriptor.TYPE_SINT64: _SIGNED_64,
    FieldDescriptor.TYPE_SFIXED64: _SIGNED_64,
    FieldDescriptor.TYPE_UINT32: (0, (1 << 32) - 1),
    FieldDescriptor.TYPE_FIXED32: (0, (1 << 32) - 1),
    FieldDescriptor.TYPE_UINT64: (0, (1 << 64) - 1),
    FieldDescriptor.TYPE_FIXED64: (0, (1 << 64) - 1),
}
_SCALARS: dict[int, tuple[Reader, str]] = {
    FieldDescriptor.TYPE_STRING: (read_string, "{}"),
    FieldDescriptor.TYPE_BOOL: (read_bool, "{}"),
    FieldDescriptor.TYPE_BYTES: (read_bytes, "write_bytes({})"),
}

WELL_KNOWN: dict[str, tuple[Reader, str]] = {
    "google.protobuf.Timestamp": (read_instant, "write_instant({})"),
    "google.protobuf.FieldMask": (read_mask, "','.join({}.paths)"),
}
"""Messages whose JSON form is not an object, by full name."""

WRITING_FUNCTIONS = {"write_instant": write_instant, "write_bytes": write_bytes}
"""What writers call."""
