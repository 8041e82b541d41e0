"""How connections are made, and what they must obey."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import Any

from pymysql.constants import FIELD_TYPE
from pymysql.converters import decoders
from sqlalchemy import event
from sqlalchemy.engine import URL, ExceptionContext
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from tandem_server.storage.dialects.aiomysql_rows import read_rows_quickly
from tandem_server.storage.dialects.sql import SQLITE_CLOCK

# What the pool calls errors are good-byes that a broken connection did not take; units of work tell what counts.
logging.getLogger("sqlalchemy.pool").setLevel(logging.CRITICAL)


def engine_options(url: URL, pool_size: int) -> dict[str, Any]:
    """Return the keyword arguments of `create_async_engine` for *url*.

    No pre-ping: a unit that finds its connection lost before COMMIT runs again, which costs nothing while all is well.
    Errors say nothing of values: they are somebody's.
    """
    if url.get_backend_name() == "sqlite":
        return {"connect_args": {"timeout": 5}, "pool_size": pool_size, "max_overflow": 0, "hide_parameters": True}
    return {
        "connect_args": {"connect_timeout": 3, "charset": "utf8mb4", "client_flag": FOUND_ROWS} | _decoding(url),
        "isolation_level": "READ COMMITTED",
        "pool_size": pool_size,
        "max_overflow": 0,
        "pool_recycle": 25,
        "pool_reset_on_return": None,
        "hide_parameters": True,
    }


def _decoding(url: URL) -> dict[str, Any]:
    """Make aiomysql read rows quickly, and instants by the standard library: PyMySQL's own way is 20 times slower."""
    if url.get_driver_name() != "aiomysql":
        return {}
    read_rows_quickly()
    return {"conv": decoders | {FIELD_TYPE.DATETIME: datetime.fromisoformat}}


def watcher_options(url: URL) -> dict[str, Any]:
    """Return the keyword arguments of an engine of one connection without transactions: a statement is a statement."""
    plain = {"isolation_level": "AUTOCOMMIT", "skip_autocommit_rollback": True}
    return engine_options(url, 1) | ({} if url.get_backend_name() == "sqlite" else plain)


FOUND_ROWS = 2
"""CLIENT.FOUND_ROWS: an UPDATE counts the rows it matched, as SQLite's does."""

CLOSED = "the handler is closed"
"""What uvloop says of a transport that is no more."""

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
        event.listen(engine.sync_engine, "handle_error", _know_as_lost)


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None
    _run(connection, "PRAGMA journal_mode = WAL", "PRAGMA synchronous = FULL", "PRAGMA foreign_keys = ON")
    connection.create_function(SQLITE_CLOCK, 0, lambda: datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S.%f"))


def _prepare_mysql(connection: Any, _record: Any) -> None:
    mariadb = "mariadb" in str(connection.driver_connection.get_server_info()).lower()
    timeout = "max_statement_time = 5" if mariadb else "max_execution_time = 5000"
    _run(connection, MYSQL_SESSION.format(timeout=timeout))


def _know_as_lost(context: ExceptionContext) -> DBAPIError | None:
    """Return what a driver should have raised on a connection that was reset: uvloop raises a RuntimeError there."""
    error = context.original_exception
    if not isinstance(error, OSError) and not (isinstance(error, RuntimeError) and CLOSED in str(error)):
        return None
    context.is_disconnect = True
    return DBAPIError("", None, error, hide_parameters=True, connection_invalidated=True)


def _run(connection: Any, *statements: str) -> None:
    cursor = connection.cursor()
    for statement in statements:
        cursor.execute(statement)
    cursor.close()
