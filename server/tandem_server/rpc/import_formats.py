"""The formats of an import, each of which gives records and makes rows of them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any, Protocol

import orjson

from tandem.crm.v1.customer_pb2 import Customer
from tandem.integration.v1 import import_pb2
from tandem.integration.v1.import_requests_pb2 import ImportCustomersRequest
from tandem_proto.errors import Findings
from tandem_proto.json.decoding import decoder
from tandem_proto.json.encoding import encoder
from tandem_server.domain.csv_reading import CsvReader
from tandem_server.domain.customers import BLANK
from tandem_server.domain.imports import Row
from tandem_server.domain.ndjson_reading import NdjsonReader
from tandem_server.domain.records import Record, Unreadable, blocks
from tandem_server.rpc.import_columns import Columns, nested
from tandem_server.rpc.import_rows import UnreadableRowError, rows_of

AS_JSON = ["json"]
"""The header of rows that came as JSON: one column."""


MESSAGES_AT_ONCE = 10
"""A few may fill a whole request."""


class Format(Protocol):
    """How rows come."""

    @property
    def field(self) -> str:
        """The field of the request that rows come in."""

    @property
    def header(self) -> Sequence[str]:
        """The cells above the rows, of JSON one; empty until it is known."""

    @property
    def separator(self) -> str:
        """What stands between cells."""

    def feed(self, request: ImportCustomersRequest) -> Iterator[Iterator[Any]]:
        """Yield the records that are whole with *request*: at a time some that take milliseconds to read."""

    def end(self) -> Iterator[Any]:
        """Yield what is left at the end of the upload."""

    def packed(self, record: Any) -> bytes:
        """Return all that *record* tells as bytes; other records have others."""

    def rows(self, records: Sequence[Any]) -> list[Row]:
        """Return what *records* say of customers."""

    def original(self, record: Any) -> list[str]:
        """Return *record* as cells."""


class CsvFile:
    """A CSV with a header."""

    field = "data"

    def __init__(self, mapped: Iterable[str]) -> None:
        self.header: list[str] = []
        self._mapped = tuple(mapped)
        self._reader = CsvReader()
        self._columns: Columns | None = None

    @property
    def separator(self) -> str:
        """What stands between its cells."""
        return self._reader.separator

    def feed(self, request: ImportCustomersRequest) -> Iterator[Iterator[Record]]:
        """Yield the records behind the header; these raise InvalidArgument where that does not fit."""
        return (self._behind_header(self._reader.feed(block)) for block in blocks(request.data))

    def end(self) -> Iterator[Record]:
        """Yield the last record, if no line end followed it."""
        yield from self._behind_header(self._reader.end())

    def packed(self, record: Record) -> bytes:
        """Return the cells."""
        return orjson.dumps(self.original(record))

    def rows(self, records: Sequence[Record]) -> list[Row]:
        """Return what the cells say, by their columns."""
        assert self._columns is not None
        return rows_of(records, self._columns.read)

    def original(self, record: Record) -> list[str]:
        """Return the cells; what is not CSV is one cell."""
        return [record.text] if isinstance(record, Unreadable) else record

    def _behind_header(self, records: Iterator[Record]) -> Iterator[Record]:
        if self._columns is None:
            header = next(records, None)
            if header is None:
                return
            self.header = self.original(header)
            self._columns = Columns(self.header, self._mapped)
        yield from records


class NdjsonFile:
    """A JSON object a line."""

    field, separator, header = "data", ",", AS_JSON

    def __init__(self) -> None:
        self._reader = NdjsonReader()

    def feed(self, request: ImportCustomersRequest) -> Iterator[Iterator[Record]]:
        """Yield the lines."""
        return map(self._reader.feed, blocks(request.data))

    def end(self) -> Iterator[Record]:
        """Yield the last line, if no line end followed it."""
        return self._reader.end()

    def packed(self, record: Record) -> bytes:
        """Return the line."""
        return self.original(record)[0].encode()

    def rows(self, records: Sequence[Record]) -> list[Row]:
        """Return what the lines say, each by its members."""
        return rows_of(records, _read_line)

    def original(self, record: Record) -> list[str]:
        """Return the line as a cell."""
        return [record.text if isinstance(record, Unreadable) else record[0]]


class TypedRows:
    """Customers as messages."""

    field, separator, header = "customers", ",", AS_JSON

    def feed(self, request: ImportCustomersRequest) -> Iterator[Iterator[Customer]]:
        """Yield the customers."""
        every = request.customers
        return (iter(every[start : start + MESSAGES_AT_ONCE]) for start in range(0, len(every), MESSAGES_AT_ONCE))

    def end(self) -> Iterator[Customer]:
        """Yield nothing: messages are whole."""
        return iter(())

    def packed(self, record: Customer) -> bytes:
        """Return the message, keys of its maps in order."""
        return record.SerializeToString(deterministic=True)

    def rows(self, records: Sequence[Customer]) -> list[Row]:
        """Return what the customers are."""
        return rows_of(records, _read_message)

    def original(self, record: Customer) -> list[str]:
        """Return the customer as a cell of JSON."""
        return [orjson.dumps(encoder(Customer.DESCRIPTOR)(record)).decode()]


def format_of(kind: import_pb2.ImportFormat.ValueType, columns: Iterable[str]) -> Format:
    """Return how the rows of an upload come; *columns* maps the header of a CSV."""
    if kind == import_pb2.IMPORT_FORMAT_CSV:
        return CsvFile(columns)
    return NdjsonFile() if kind == import_pb2.IMPORT_FORMAT_NDJSON else TypedRows()


def _read_line(record: Record, customer: Customer, findings: Findings) -> Collection[str]:
    if isinstance(record, Unreadable):
        raise UnreadableRowError(record.why)
    try:
        document = orjson.loads(record[0])
    except orjson.JSONDecodeError as error:
        raise UnreadableRowError(f"is not JSON: {error.msg}") from None
    if not isinstance(document, dict):
        raise UnreadableRowError("is not an object of JSON")
    known, whole = decoder(Customer.DESCRIPTOR), nested(document)
    known.read(customer, whole, findings)
    return {known.fields[name].name for name in whole if name in known.fields}


def _read_message(record: Customer, customer: Customer, _: Findings) -> Collection[str]:
    customer.CopyFrom(record)
    return BLANK
