"""How Alembic reaches the database."""

from __future__ import annotations

import asyncio

from alembic import context
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from tandem_server.storage.tables import metadata


def upgrade(connection: Connection) -> None:
    context.configure(connection=connection, target_metadata=metadata)
    if (context.get_context().get_current_revision() or "") > str(context.get_head_revision()):
        return
    with context.begin_transaction():
        context.run_migrations()


async def main() -> None:
    engine = create_async_engine(context.config.attributes["url"], poolclass=NullPool)
    async with engine.begin() as connection:
        await connection.run_sync(upgrade)
    await engine.dispose()


asyncio.run(main())
