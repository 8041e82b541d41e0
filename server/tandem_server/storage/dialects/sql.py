"""Expressions that each database writes in its own way."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import DateTime, Select, Table, Text
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


class DatabaseClock(FunctionElement[datetime]):
    """The clock of the database, as Instants are stored; SQLite's tells when the current millisecond ends."""

    type = DateTime()
    inherit_cache = True


@compiles(DatabaseClock)
def _mysql_clock(_element: DatabaseClock, _compiler: Any, **_options: Any) -> str:
    return "UTC_TIMESTAMP(6)"


@compiles(DatabaseClock, "sqlite")
def _sqlite_clock(_element: DatabaseClock, _compiler: Any, **_options: Any) -> str:
    return "strftime('%Y-%m-%d %H:%M:%f999', 'now')"


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
