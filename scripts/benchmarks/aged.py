"""Old rows of every kind that the server deletes, and as many young ones as to see that it deletes no others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import islice
from typing import Any

from sqlalchemy import Connection, Engine, MetaData, Table, Text, func, insert, select

AT_ONCE = 2_000
OLD, YOUNG = timedelta(days=400), timedelta(0)
LINES, CHUNKS = 20, 500
"""Lines of a revision; rows of an import that one row tells the outcomes of."""
ROWS_AN_IMPORT = 5_000
NOW = datetime.now(UTC).replace(tzinfo=None)
VALUES: dict[type, Any] = {str: "x", int: 1, bool: False, bytes: b"x" * 1000, Decimal: Decimal(1), datetime: NOW}
"""What does not matter, by the column's type."""

Row = Mapping[str, Any]

Count = Mapping[str, int]
"""How many rows there are, by table."""


class Aged:
    """The tables that old rows are in."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._metadata = MetaData()
        self._metadata.reflect(engine)

    def add(self, rows: int, *, young: int) -> None:
        """Store so many old *rows* of each kind, and *young* ones, all visible at once."""
        with self._engine.begin() as connection:
            for count, age, prefix in ((rows, OLD, "old"), (young, YOUNG, "young")):
                for table, made in _kinds(count, prefix, NOW - age):
                    self._insert(connection, self._metadata.tables[table], made)

    def count(self) -> Count:
        """Return how many rows there are; of imports those whose rows are there, of lines those stored here."""
        with self._engine.connect() as connection:
            return {name: self._count(connection, self._metadata.tables[name]) for name in TABLES}

    def _count(self, connection: Connection, table: Table) -> int:
        query = select(func.count()).select_from(table)
        if table.name == "imports":
            query = query.where(table.c.rows_deleted_at.is_(None))
        if table.name == "order_lines":
            query = query.where(table.c.order_id.not_like("ord_%"))
        return int(connection.execute(query).scalar_one())

    def _insert(self, connection: Connection, table: Table, rows: Iterator[Row]) -> None:
        same = {column.name: _value(column.type) for column in table.c if not column.nullable}
        while part := [{**same, **row} for row in islice(rows, AT_ONCE)]:
            connection.execute(insert(table), part)


def _value(kind: Any) -> Any:
    return '["x"]' if isinstance(kind, Text) else VALUES[kind.python_type]


def _kinds(count: int, prefix: str, at: datetime) -> Iterator[tuple[str, Iterator[Row]]]:
    """Yield *count* rows of each kind, by table, of the instant *at*."""
    names = [f"{prefix}{number}" for number in range(count)]
    imports, orders = range(0, count, ROWS_AN_IMPORT), range(0, count, LINES)
    yield "idempotency_keys", ({"idempotency_key": name, "created_at": at} for name in names)
    for outcome in ("APPLIED", "REFUSED"):
        ids = (f"{outcome[0]}-{name}" for name in names)
        yield "erp_events", ({"id": each, "event_id": each, "outcome": outcome, "received_at": at} for each in ids)
    yield "imports", ({"id": names[n], "updated_at": at} for n in imports)
    yield "import_faults", ({"import_id": names[n - n % ROWS_AN_IMPORT], "row_number": n} for n in range(count))
    firsts = range(0, count, CHUNKS)
    yield "import_chunks", ({"import_id": names[n - n % ROWS_AN_IMPORT], "first_row": n} for n in firsts)
    yield "old_revisions", ({"order_id": names[n], "superseded_at": at} for n in orders)
    yield "order_lines", ({"order_id": names[n - n % LINES], "line_number": n} for n in range(count))
    yield "exports", ({"id": name, "started_at": at} for name in names)


TABLES = list(dict.fromkeys(table for table, _ in _kinds(0, "", NOW)))
