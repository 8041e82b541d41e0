"""Whole rows that leave the database as one text each: a driver written in Python takes long for every cell."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import orjson
from sqlalchemy import Boolean, Column, Integer, Select, Table

from tandem_server.storage.database import Record, Transaction
from tandem_server.storage.dialects import SEPARATOR, AllInOne, Exact, Instant, Json


class Packed:
    """The rows of *table*, to be selected as `column` and read by `rows`."""

    def __init__(self, table: Table) -> None:
        self.column = AllInOne(*table.c).label("packed")
        self._names = table.c.keys()
        self._readers = [(column.name, read) for column in table.c if (read := _reader(column))]

    async def rows(self, tx: Transaction, query: Select[Any], **values: Any) -> list[Record]:
        """Return the rows that *query* selects, by their columns' values. Raises ValueError as `read`."""
        return [self.read(row.packed) for row in await tx.rows(query, **values)]

    def read(self, text: str) -> Record:
        """Return the row that is in *text*. Raises ValueError where a value holds the separator, as none ever may."""
        cells: Sequence[Any] = text.split(SEPARATOR)
        if len(cells) != len(self._names):
            raise ValueError("a stored text holds the separator of columns")
        values = dict(zip(self._names, cells, strict=True))
        for name, read in self._readers:
            values[name] = read(values[name])
        return Record(**values)


def _reader(column: Column[Any]) -> Callable[[str], Any] | None:
    """Return what makes a value of *column* of its text; None where the text is the value. NULL is an empty text."""
    readers: dict[type, Callable[[str], Any]] = {
        Integer: int,
        Boolean: "1".__eq__,
        Exact: Decimal,
        Instant: lambda text: datetime.fromisoformat(text).replace(tzinfo=UTC) if text else None,
        Json: lambda text: orjson.loads(text) if text else None,
    }
    found = readers.get(type(column.type))
    return found or ((lambda text: text or None) if column.nullable else None)
