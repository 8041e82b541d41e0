"""Expressions that each database writes in its own way."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import DateTime, Select, Table
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
    """The clock of the database, as Instants are stored; SQLite's counts milliseconds."""

    type = DateTime()
    inherit_cache = True


@compiles(DatabaseClock)
def _mysql_clock(_element: DatabaseClock, _compiler: Any, **_options: Any) -> str:
    return "UTC_TIMESTAMP(6)"


@compiles(DatabaseClock, "sqlite")
def _sqlite_clock(_element: DatabaseClock, _compiler: Any, **_options: Any) -> str:
    return "strftime('%Y-%m-%d %H:%M:%f000', 'now')"
