"""What the server's promises rest on, checked by behaviour when it starts."""

from __future__ import annotations

import asyncio

from sqlalchemy import Select, column, select, table, text
from sqlalchemy.exc import DBAPIError

from tandem_proto.errors import TandemError
from tandem_server.storage.database import Database, Transaction

SECONDS = 1.0
"""How long whoever skips locked rows may take."""


class UnfitDatabaseError(Exception):
    """The database cannot carry Tandem's promises; the message says what to do."""


async def check(url: str, head: str) -> None:
    """Raise UnfitDatabaseError where the database at *url* cannot carry Tandem's promises.

    That is: its schema is behind version *head*, a commit would not be durable, or claims would wait for each other.
    """
    database = Database(url, pool_size=2)
    try:
        await _check(database, head)
    finally:
        await database.close()


async def _check(database: Database, head: str) -> None:
    try:
        version = await database.read(_schema_version)
    except (DBAPIError, TandemError) as error:
        raise UnfitDatabaseError(f"the database cannot be read: run `tandem-server migrate` first ({error})") from error
    if version < head:
        raise UnfitDatabaseError(f"the schema is at {version}, not {head}: run `tandem-server migrate` first")
    if database.dialect != "sqlite":
        await database.read(_durability)
        await _skips_locked(database)


async def _schema_version(tx: Transaction) -> str:
    rows = await tx.rows(text("SELECT version_num FROM alembic_version"))
    return str(rows[0].version_num) if rows else ""


async def _durability(tx: Transaction) -> None:
    (read,) = await tx.rows(text("SELECT @@innodb_flush_log_at_trx_commit AS flush"))
    if int(read.flush) != 1:
        message = f"innodb_flush_log_at_trx_commit is {read.flush}: a crash would lose orders; set it to 1"
        raise UnfitDatabaseError(message)


def the_row(*, skip_locked: bool) -> Select[tuple[str]]:
    """Lock the one row that is in every database of ours."""
    return select(column("version_num")).select_from(table("alembic_version")).with_for_update(skip_locked=skip_locked)


async def _skips_locked(database: Database) -> None:
    """Lock a row on one connection: a second one must pass it by, neither wait for it nor get it."""

    async def unit(tx: Transaction) -> bool:
        await tx.rows(the_row(skip_locked=False))
        async with asyncio.timeout(SECONDS):
            return not await database.read(lambda other: other.rows(the_row(skip_locked=True)))

    try:
        skipped = await database.read(unit)
    except (DBAPIError, TandemError) as error:
        raise _unskipped(str(error)) from error
    if not skipped:
        raise _unskipped("a locked row was handed out twice")


def _unskipped(why: str) -> UnfitDatabaseError:
    message = "this database does not skip locked rows (SELECT … FOR UPDATE SKIP LOCKED), so workers would wait for"
    return UnfitDatabaseError(f"{message} each other: use MySQL 8.4 or later, or MariaDB 10.6 or later ({why})")
