"""Expressions that each database writes in its own way."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, DateTime, Select, Table, Text, bindparam, tuple_
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from tandem_server.storage.dialects.family import MYSQL_FAMILY


def by_index(query: Select[Any], table: Table, index: str) -> Select[Any]:
    """Make *query* reach *table* by *index*, where an optimizer might prefer to read all of it.

    The hint only spares waiting: an engine that ignores it is slower and never wrong.
    """
    for family in MYSQL_FAMILY:
        query = query.with_hint(table, f"FORCE INDEX ({index})", family)
    return query


class Among(FunctionElement[Any]):
    """Several columns that are together in a list; SQLite uses no index for that unless the list is a query.

    It has no type: of a Boolean, SQLAlchemy would write that it is 1, and MySQL would use no index.
    """

    inherit_cache = True


@compiles(Among)
def _among(element: Among, compiler: Any, **options: Any) -> str:
    (wanted,) = element.clauses
    return str(compiler.process(wanted, **options))


@compiles(Among, "sqlite")
def _sqlite_among(element: Any, compiler: Any, **options: Any) -> str:
    (wanted,) = element.clauses
    columns, keys = (compiler.process(side, **options) for side in (wanted.left, wanted.right))
    return f"{columns} IN (SELECT * FROM {keys})"  # noqa: S608 -- names of our columns, and parameters


def among(columns: Iterable[ColumnElement[Any]]) -> Among:
    """Return that *columns* have the values of one of the tuples `keys`, found by an index that begins with them.

    They are a parameter, so that a statement is made once: one that holds its keys is left to the cycle collector.
    """
    return Among(tuple_(*columns).in_(bindparam("keys", expanding=True)))


SQLITE_CLOCK = "tandem_now"
"""The function that `prepare` gives to connections."""


class DatabaseClock(FunctionElement[datetime]):
    """The clock of the database, as Instants are stored; SQLite's knows no microseconds: the process tells it."""

    type = DateTime()
    inherit_cache = True


@compiles(DatabaseClock)
def _mysql_clock(_element: DatabaseClock, _compiler: Any, **_options: Any) -> str:
    return "UTC_TIMESTAMP(6)"


@compiles(DatabaseClock, "sqlite")
def _sqlite_clock(_element: DatabaseClock, _compiler: Any, **_options: Any) -> str:
    return f"(SELECT {SQLITE_CLOCK}())"  # once a statement


SEPARATOR = "\x1f"
"""What stands between the texts of AllInOne: the unit separator, which the contract lets into no text."""


class AllInOne(FunctionElement[str]):
    """Columns as one text, with SEPARATOR between them, each as the database writes it; NULL as an empty text.

    Drivers written in Python take as long for a cell as the database for a row.
    """

    type = Text()
    inherit_cache = True


@compiles(AllInOne)
def _mysql_all(element: AllInOne, compiler: Any, **options: Any) -> str:
    texts = (f"IFNULL({compiler.process(column, **options)}, '')" for column in element.clauses)
    return f"CONCAT_WS(_utf8mb4 X'1F', {', '.join(texts)})"


@compiles(AllInOne, "sqlite")
def _sqlite_all(element: AllInOne, compiler: Any, **options: Any) -> str:
    return " || char(31) || ".join(f"IFNULL({compiler.process(column, **options)}, '')" for column in element.clauses)
