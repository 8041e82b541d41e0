"""What the columns of a CSV mean: its header, as `columns` of the request maps it, and how a row fills a customer."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

import orjson
from google.api.field_behavior_pb2 import OUTPUT_ONLY

from tandem.crm.v1.address_pb2 import Address
from tandem.crm.v1.customer_pb2 import Customer
from tandem_proto.errors import FieldViolation, Findings, InvalidArgument
from tandem_proto.json.decoding import Field, decoder
from tandem_server.domain.csv_writing import alive
from tandem_server.domain.records import Record, Unreadable
from tandem_server.rpc.import_rows import UnreadableRowError
from tandem_server.rpc.masks import has

FAULTS = ("error_field", "error")
"""Columns that GetFailedRows adds."""

PARTS = {
    f"{kind}_{part.name}": (f"{kind}_address", str(part.name))
    for kind in ("billing", "shipping")
    for part in Address.DESCRIPTOR.fields
}
"""Columns of parts of an address: the field, and its part."""

EXPORTED = {".".join(field_and_part): name for name, field_and_part in PARTS.items()}
"""How exports call these columns."""

ADDRESSES = {field for field, _ in PARTS.values()}

TRUTHS = {"true": True, "false": False, "1": True, "0": False, "yes": True, "no": False}

Fill = Callable[[Any, str, Findings], None]
"""Puts a cell that is not empty into a customer."""


class Columns:
    """The columns of a CSV with *header*; raises InvalidArgument for one that is missing, not known or there twice.

    *mapped* are pairs as in "email:E-Mail": the field, and how the file calls its column.
    """

    def __init__(self, header: Sequence[str], mapped: Iterable[str]) -> None:
        self._size = len(header)
        self._fills: list[tuple[int, Fill]] = []
        self.names: set[str] = set()
        wrong = [*self._read(header, mapped), *self._missing()]
        if wrong:
            told = "; ".join(f"{fault.field} {fault.description}" for fault in wrong[:5])
            raise InvalidArgument(f"the header does not fit: {told}", reason="INVALID_HEADER", fields=wrong)

    def read(self, record: Record, customer: Customer, findings: Findings) -> Collection[str]:
        """Put *record* into *customer* and return the names of the fields that every row is about."""
        if isinstance(record, Unreadable):
            raise UnreadableRowError(record.why)
        if len(record) != self._size:
            raise UnreadableRowError(f"has {len(record)} cells, and the header has {self._size}")
        for place, fill in self._fills:
            if cell := record[place]:
                fill(customer, alive(cell), findings)
        return self.names

    def _read(self, header: Sequence[str], mapped: Iterable[str]) -> Iterable[FieldViolation]:
        pairs = [pair.partition(":") for pair in mapped]
        fields = {name: field for field, _, name in pairs}
        taken: set[str] = set()
        for place, cell in enumerate(header):
            name = cell.strip()
            path = fields.pop(name, name)
            path = EXPORTED.get(path, path)
            if path in taken:
                yield FieldViolation(path, "is there twice")
            elif path and path not in FAULTS:
                taken.add(path)
                yield from self._add(place, path, name)
        for name, path in fields.items():
            yield FieldViolation(path or name, f'is missing: the file has no column "{name}"')

    def _add(self, place: int, path: str, name: str) -> Iterable[FieldViolation]:
        top, fill = _meaning(path)
        if not top:
            advice = f"map it with columns=<field>:{name}, or leave it out with columns=:{name}"
            yield FieldViolation(path, f"is not a field of a customer: {advice}")
        elif fill is not None:
            self.names.add(top)
            self._fills.append((place, fill))

    def _missing(self) -> Iterable[FieldViolation]:
        if "name" not in self.names:
            yield FieldViolation("name", "is missing: there is no such column, and none is mapped to it")
        if not {"external_id", "email"} & self.names:
            yield FieldViolation("external_id", "is missing: there must be a column of it, or one of email")


def nested(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return *document*, a row by its columns or a customer, as a customer: with its addresses as objects."""
    if not PARTS.keys() & document.keys():
        return dict(document)
    whole = {name: value for name, value in document.items() if name not in PARTS}
    for name in PARTS.keys() & document.keys():
        top, part = PARTS[name]
        if isinstance(address := whole.setdefault(top, {}), dict):
            address[part] = document[name]
    return whole


def _meaning(path: str) -> tuple[str, Fill | None]:
    """Return which field of a customer a column is about, empty for none, and how it fills it: None if only we do."""
    if path in PARTS:
        return PARTS[path][0], _fill_part(*PARTS[path])
    if path.startswith("attributes."):
        return "attributes", _fill_attribute(path.removeprefix("attributes."))
    field = decoder(Customer.DESCRIPTOR).fields.get(path)
    if field is None or field.name != path or path in ADDRESSES:
        return "", None
    return path, None if has(field.descriptor, OUTPUT_ONLY) else _fill_of(field)


def _fill_of(field: Field) -> Fill:
    name = field.name
    if name == "attributes":
        return _fill_attributes(field)
    if field.descriptor.type == field.descriptor.TYPE_BOOL:
        return lambda customer, cell, findings: field.fill(customer, TRUTHS.get(cell.lower(), cell), name, findings)
    if field.descriptor.enum_type is not None:
        return lambda customer, cell, findings: field.fill(customer, cell, name, findings)
    return _fill_text(name)


def _fill_text(name: str) -> Fill:
    return lambda customer, cell, _: setattr(customer, name, cell)


def _fill_part(name: str, part: str) -> Fill:
    return lambda customer, cell, _: setattr(getattr(customer, name), part, cell)


def _fill_attribute(key: str) -> Fill:
    def fill(customer: Any, cell: str, _: Findings) -> None:
        customer.attributes[key] = cell

    return fill


def _fill_attributes(field: Field) -> Fill:
    def fill(customer: Any, cell: str, findings: Findings) -> None:
        try:
            field.fill(customer, orjson.loads(cell), field.name, findings)
        except orjson.JSONDecodeError:
            findings.add(field.name, "must be an object of JSON")

    return fill
