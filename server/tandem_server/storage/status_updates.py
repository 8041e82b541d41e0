"""Queries of status updates: every one that an ERP told, unique by its event_id."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import insert, select

from tandem_server.storage.database import Transaction
from tandem_server.storage.tables import status_updates


async def digests(tx: Transaction, erp: str, event_ids: Iterable[str]) -> dict[str, str]:
    """Return the digest of each update of *erp* that is known among *event_ids*."""
    wanted = status_updates.c.event_id.in_(sorted(set(event_ids))), status_updates.c.erp == erp
    rows = await tx.rows(select(status_updates.c.event_id, status_updates.c.digest).where(*wanted))
    return {row.event_id: row.digest for row in rows}


async def add(tx: Transaction, rows: Sequence[dict[str, Any]]) -> None:
    """Store updates; one that somebody stored at the same time makes the unit run again."""
    if rows:
        await tx.execute(insert(status_updates), sorted(rows, key=lambda row: str(row["event_id"])))
