"""Many orders quickly: the rows that the server wrote for one order, multiplied by SQL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    MetaData,
    String,
    Table,
    cast,
    func,
    insert,
    literal,
    literal_column,
    select,
    text,
    union_all,
)
from sqlalchemy.exc import DBAPIError

CHUNK = 10_000
"""Orders a transaction: four digits count them."""
PREFIX, DIGITS = 15, 15
"""An id is a prefix, with the time in it, and what is random; instead of that, the rows have numbers."""
OWN = {"orders": ("external_id", "erp_document"), "customers": ("external_id",)}
"""Columns that are an order's or a customer's own, apart from its id."""

Rows = Mapping[str, Sequence[Mapping[str, Any]]]
"""Rows by table."""


class Template:
    """The rows of one order and of its customer, as the server wrote them, in a database that may be at rest."""

    def __init__(self, engine: Engine, order_id: str) -> None:
        self._engine = engine
        self._metadata = MetaData()
        self._metadata.reflect(engine)
        with engine.connect() as connection:
            self.rows: Rows = {table.name: _rows_of(connection, table, order_id) for table in self._tables()}
            (order,) = self.rows["orders"]
            customers = self._metadata.tables["customers"]
            row = connection.execute(select(customers).where(customers.c.id == order["customer_id"])).one()
        self._customer = dict(row._mapping)  # noqa: SLF001 - SQLAlchemy's way to a dict
        self._made_at: datetime = order["created_at"]

    def add_customers(self, count: int) -> None:
        """Store *count* customers more."""
        for start in range(0, count, CHUNK):
            with self._engine.begin() as connection:
                numbers = _numbers(start, min(CHUNK, count - start))
                _multiply(connection, self._metadata.tables["customers"], self._customer, numbers, timedelta(), {})

    def add(self, count: int, customers: int) -> None:
        """Store *count* orders, one a second until now, of as many *customers* in turn, which are there already."""
        now = datetime.now(UTC).replace(tzinfo=None)
        for start in range(0, count, CHUNK):
            number = _numbers(start, min(CHUNK, count - start))
            later = now - timedelta(seconds=count - start) - self._made_at
            with self._engine.begin() as connection:
                _hasten(connection)
                for name, rows in self.rows.items():
                    for row in rows:
                        customer = self._customer_of(number % customers) if name == "orders" else {}
                        _multiply(connection, self._metadata.tables[name], row, number, later, customer)

    def order_id(self, number: int) -> str:
        """Return the id of one of the orders that `add` stored."""
        return f"{self.rows['orders'][0]['id'][:PREFIX]}{number:0{DIGITS}}"

    def clear(self) -> None:
        """Remove every order."""
        statement = "DELETE FROM" if self._engine.dialect.name == "sqlite" else "TRUNCATE TABLE"
        with self._engine.begin() as connection:
            for table in self._tables():
                connection.execute(text(f"{statement} {table.name}"))

    def analyze(self) -> None:
        """Let the database look at what it holds, as it does by itself in time."""
        if self._engine.dialect.name != "sqlite":
            with self._engine.begin() as connection:
                for table in self._metadata.sorted_tables:
                    connection.execute(text(f"ANALYZE TABLE {table.name}")).all()

    def _tables(self) -> list[Table]:
        return [table for table in self._metadata.sorted_tables if _key(table) is not None]

    def _customer_of(self, number: ColumnElement[int]) -> dict[str, ColumnElement[Any]]:
        return {
            "customer_id": _id(self._customer["id"], number),
            "customer_external_id": _name(self._customer["external_id"], number),
        }


def _key(table: Table) -> str | None:
    """Return the column that says whose order a row of *table* is."""
    return "id" if table.name == "orders" else "order_id" if "order_id" in table.c else None


def _rows_of(connection: Connection, table: Table, order_id: str) -> list[dict[str, Any]]:
    rows = connection.execute(select(table).where(table.c[str(_key(table))] == order_id))
    return [dict(row) for row in rows.mappings()]


def _hasten(connection: Connection) -> None:
    """Leave out what only a replica or a foreign row would need, where the database lets us."""
    if connection.dialect.name == "sqlite":
        return
    for setting in ("sql_log_bin = 0", "unique_checks = 0"):
        try:
            connection.execute(text(f"SET SESSION {setting}"))
        except DBAPIError:
            continue


def _numbers(start: int, count: int) -> ColumnElement[int]:
    """Return the numbers from *start* on, as a column of a table of *count* rows."""
    ones, tens, hundreds, thousands = (
        union_all(*(select(literal_column(f"{n}").label("n")) for n in range(10))).subquery() for _ in range(4)
    )
    number = ones.c.n + 10 * tens.c.n + 100 * hundreds.c.n + 1000 * thousands.c.n
    return select((start + number).label("n")).where(number < count).subquery().c.n


def _multiply(
    connection: Connection,
    table: Table,
    row: Mapping[str, Any],
    number: ColumnElement[int],
    later: timedelta,
    told: Mapping[str, ColumnElement[Any]],
) -> None:
    """Store *row* once for each *number*, with ids and keys of its own, all its instants moved."""
    values: dict[str, Any] = {
        name: value + later if isinstance(value, datetime) else value for name, value in row.items()
    }
    expressions: dict[str, ColumnElement[Any]] = {
        name: literal(value, table.c[name].type) for name, value in values.items()
    }
    key = "id" if table.name == "customers" else str(_key(table))
    expressions[key] = _id(row[key], number)
    for name in OWN.get(table.name, ()):
        if row[name]:
            expressions[name] = _name(row[name], number)
    expressions |= told
    source = select(*(value.label(name) for name, value in expressions.items())).order_by(number)
    connection.execute(insert(table).from_select(list(expressions), source))


def _id(template: str, number: ColumnElement[int]) -> ColumnElement[Any]:
    return literal(template[:PREFIX]) + func.substr(cast(10**DIGITS + number, String), 2)


def _name(template: str, number: ColumnElement[int]) -> ColumnElement[Any]:
    return literal(f"{template}-") + cast(number, String)
