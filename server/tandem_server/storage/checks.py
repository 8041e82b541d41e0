"""What the server's promises rest on, checked by behaviour when it starts."""

from __future__ import annotations

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from tandem_proto.errors import TandemError
from tandem_server.storage.database import Database, Transaction


class UnfitDatabaseError(Exception):
    """The database cannot carry Tandem's promises; the message says what to do."""


async def check(database: Database, head: str) -> None:
    """Raise UnfitDatabaseError where the schema is behind version *head* or a commit would not be durable."""
    try:
        version = await database.read(_schema_version)
    except (DBAPIError, TandemError) as error:
        raise UnfitDatabaseError(f"the database cannot be read: run `tandem-server migrate` first ({error})") from error
    if version < head:
        raise UnfitDatabaseError(f"the schema is at {version}, not {head}: run `tandem-server migrate` first")
    if database.dialect != "sqlite":
        await database.read(_durability)


async def _schema_version(tx: Transaction) -> str:
    rows = await tx.rows(text("SELECT version_num FROM alembic_version"))
    return str(rows[0][0]) if rows else ""


async def _durability(tx: Transaction) -> None:
    (flush,) = (await tx.rows(text("SELECT @@innodb_flush_log_at_trx_commit")))[0]
    if int(flush) != 1:
        message = f"innodb_flush_log_at_trx_commit is {flush}: a crash would lose orders; set it to 1"
        raise UnfitDatabaseError(message)
