"""How a connection ends a unit of work that failed: it is as good as new, or gone."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine


async def discard(connection: AsyncConnection) -> None:
    """Roll back and give the connection back, or throw it away where that fails."""
    try:
        async with asyncio.timeout(2):
            await connection.rollback()
    except (SQLAlchemyError, OSError, TimeoutError):
        with suppress(SQLAlchemyError, OSError):
            await connection.invalidate()
    with suppress(SQLAlchemyError, OSError):
        await connection.close()


async def kill(connection: AsyncConnection, spare: AsyncEngine) -> None:
    """Close the socket of a unit that took too long, and end, through *spare*, what the database still does for it."""
    thread = None
    if connection.sync_connection is not None and spare.dialect.name != "sqlite":
        with suppress(SQLAlchemyError):
            thread = connection.sync_connection.connection.driver_connection.thread_id()  # type: ignore[union-attr]
    with suppress(SQLAlchemyError, OSError):
        await connection.invalidate()
    with suppress(SQLAlchemyError, OSError):
        await connection.close()
    if thread is not None:
        with suppress(SQLAlchemyError, OSError, TimeoutError):
            async with asyncio.timeout(2), spare.connect() as other:
                await other.execute(text(f"KILL {int(thread)}"))
