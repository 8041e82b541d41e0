"""What is kept of each export."""

from __future__ import annotations

from typing import Any

from sqlalchemy import insert, select, update

from tandem_server.storage.database import Record, Transaction
from tandem_server.storage.tables import exports


async def add(tx: Transaction, row: dict[str, Any]) -> None:
    """Keep that an export begins."""
    await tx.execute(insert(exports), [row])


async def complete(tx: Transaction, export_id: str, values: dict[str, Any]) -> None:
    """Keep what an export came to in the end."""
    await tx.execute(update(exports).where(exports.c.id == export_id).values(values))


async def find(tx: Transaction, source: str | None, export_id: str) -> Record | None:
    """Return the export of *source* (None: of any) with this id."""
    of = () if source is None else (exports.c.source == source,)
    return next(iter(await tx.rows(select(exports).where(exports.c.id == export_id, *of))), None)
