"""What differs between MySQL, MariaDB and SQLite, all of it."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum, auto
from typing import Any

import orjson
from sqlalchemy import DateTime, Dialect, LargeBinary, Numeric, Select, String, Table, Text, TypeDecorator, event
from sqlalchemy.dialects import mysql
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeEngine


class Instant(TypeDecorator[datetime]):
    """An aware UTC datetime, stored without its zone in microseconds."""

    impl = DateTime
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Ask MySQL for microseconds, which it leaves out by default."""
        return dialect.type_descriptor(mysql.DATETIME(fsp=6) if dialect.name in MYSQL_FAMILY else DateTime())

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Take the zone off."""
        return value and value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Put the zone back."""
        return value and value.replace(tzinfo=UTC)


class Exact(TypeDecorator[Decimal]):
    """A decimal with *precision* digits, *scale* of them behind the point; text on SQLite, which has no decimals."""

    impl = Numeric
    cache_ok = True

    def __init__(self, precision: int, scale: int) -> None:
        super().__init__(precision, scale)

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Go round SQLite's floats."""
        return dialect.type_descriptor(String(40) if dialect.name == "sqlite" else self.impl_instance)

    def process_bind_param(self, value: Decimal | None, dialect: Dialect) -> Any:
        """Write the decimal out where the database has none."""
        return str(value) if value is not None and dialect.name == "sqlite" else value

    def process_result_value(self, value: Any, dialect: Dialect) -> Decimal | None:
        """Read the decimal back where the database has none."""
        return Decimal(value) if value is not None and dialect.name == "sqlite" else value


class Json(TypeDecorator[Any]):
    """A JSON value as text; NULL is None."""

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Ask MySQL for more than the 64 KiB of its TEXT."""
        return dialect.type_descriptor(mysql.MEDIUMTEXT() if dialect.name in MYSQL_FAMILY else Text())

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:  # noqa: ARG002
        """Serialize, keys sorted, so that equal values are equal texts."""
        return None if value is None else orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:  # noqa: ARG002
        """Parse."""
        return None if value is None else orjson.loads(value)


MYSQL_FAMILY = ("mysql", "mariadb")
TABLE_OPTIONS: dict[str, Any] = {
    "mysql_engine": "InnoDB",
    "mysql_charset": "utf8mb4",
    "mysql_collate": "utf8mb4_bin",
    "mariadb_engine": "InnoDB",
    "mariadb_charset": "utf8mb4",
    "mariadb_collate": "utf8mb4_bin",
}
"""Keyword arguments of every table: texts compare by their bytes, as SQLite's do."""


def ascii_text(length: int) -> String:
    """Return the type of an id or a code: *length* ASCII characters at most, compared by their bytes."""
    plain = mysql.VARCHAR(length, charset="ascii", collation="ascii_bin")
    return String(length).with_variant(plain, *MYSQL_FAMILY)


BYTES = LargeBinary().with_variant(mysql.MEDIUMBLOB(), *MYSQL_FAMILY)
"""Bytes of any length; MySQL's BLOB ends at 64 KiB."""


class Fault(Enum):
    """What a database error means for the unit of work that met it."""

    CONFLICT = auto()  # rolled back in favour of another transaction: run the unit again
    DUPLICATE = auto()  # a unique key is taken: run the unit again, it will find the row
    LOST = auto()  # the connection is gone, or there is none to be had
    OTHER = auto()  # a fault of ours, or of the database's


LOCK_WAIT_TIMEOUT = 1205
CONFLICTS = {LOCK_WAIT_TIMEOUT, 1213, 1020}
LOST = {
    1040,
    1047,
    1053,
    1077,
    1079,
    1158,
    1159,
    1160,
    1161,
    1290,
    1317,
    1836,
    1927,
    2002,
    2003,
    2006,
    2013,
    2055,
    3024,
}
LOST |= {1969, 3169, 4031}
SQLITE_FAULTS = {
    "UNIQUE constraint failed": Fault.DUPLICATE,
    "database is locked": Fault.CONFLICT,
    "unable to open database file": Fault.LOST,
    "disk I/O error": Fault.LOST,
    "database or disk is full": Fault.LOST,
}


def fault_of(error: DBAPIError) -> Fault:
    """Return what *error* means, by the number of MySQL's family or the text of SQLite."""
    arguments = getattr(error.orig, "args", ()) or ("",)
    code = arguments[0]
    if isinstance(code, int):
        known = {1062: Fault.DUPLICATE} | dict.fromkeys(CONFLICTS, Fault.CONFLICT) | dict.fromkeys(LOST, Fault.LOST)
        found = known.get(code, Fault.OTHER)
    else:
        found = next((fault for text, fault in SQLITE_FAULTS.items() if text in str(code)), Fault.OTHER)
    return Fault.LOST if found is Fault.OTHER and error.connection_invalidated else found


def waited_in_vain(error: DBAPIError) -> bool:
    """Tell whether *error* says that another transaction kept a lock for longer than locks are waited for."""
    return error.orig is not None and error.orig.args[:1] == (LOCK_WAIT_TIMEOUT,)


def engine_options(url: URL, pool_size: int) -> dict[str, Any]:
    """Return the keyword arguments of `create_async_engine` for *url*.

    No pre-ping: a unit that finds its connection lost before COMMIT runs again, which costs nothing while all is well.
    """
    if url.get_backend_name() == "sqlite":
        return {"connect_args": {"timeout": 5}, "pool_size": pool_size, "max_overflow": 0}
    return {
        "connect_args": {"connect_timeout": 3, "charset": "utf8mb4", "client_flag": FOUND_ROWS},
        "isolation_level": "READ COMMITTED",
        "pool_size": pool_size,
        "max_overflow": 0,
        "pool_recycle": 25,
        "pool_reset_on_return": None,
    }


def watcher_options(url: URL) -> dict[str, Any]:
    """Return the keyword arguments of an engine of one connection without transactions: a statement is a statement."""
    plain = {"isolation_level": "AUTOCOMMIT", "skip_autocommit_rollback": True}
    return engine_options(url, 1) | ({} if url.get_backend_name() == "sqlite" else plain)


FOUND_ROWS = 2
"""CLIENT.FOUND_ROWS: an UPDATE counts the rows it matched, as SQLite's does."""

MYSQL_SESSION = (
    "SET SESSION time_zone = '+00:00', innodb_lock_wait_timeout = 2, wait_timeout = 30, "
    "sql_mode = 'TRADITIONAL', {timeout}"
)


def prepare(engine: AsyncEngine, *, writer: bool) -> None:
    """Make every connection of *engine* obey our bounds; on SQLite a *writer* locks when its transaction begins."""
    if engine.dialect.name == "sqlite":
        begin = "BEGIN IMMEDIATE" if writer else "BEGIN"
        event.listen(engine.sync_engine, "connect", _prepare_sqlite)
        event.listen(engine.sync_engine, "begin", lambda connection: connection.exec_driver_sql(begin))
    else:
        event.listen(engine.sync_engine, "connect", _prepare_mysql)


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None
    _run(connection, "PRAGMA journal_mode = WAL", "PRAGMA synchronous = FULL", "PRAGMA foreign_keys = ON")


def _prepare_mysql(connection: Any, _record: Any) -> None:
    mariadb = "mariadb" in str(connection.driver_connection.get_server_info()).lower()
    timeout = "max_statement_time = 5" if mariadb else "max_execution_time = 5000"
    _run(connection, MYSQL_SESSION.format(timeout=timeout))


def _run(connection: Any, *statements: str) -> None:
    cursor = connection.cursor()
    for statement in statements:
        cursor.execute(statement)
    cursor.close()


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
