"""Queries of keys."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from sqlalchemy import ColumnElement, insert, or_, select, update

from tandem_server.domain.principals import Principal
from tandem_server.storage.database import Transaction
from tandem_server.storage.tables import keys

USED_SECONDS = 60
"""How often it is written down, at most, that a key was used."""


async def find(tx: Transaction, key_id: str, reader: Principal | None = None) -> Any:
    """Return one key, None where there is none, or none that *reader* may see."""
    rows = await tx.rows(select(keys).where(keys.c.id == key_id, *_seen_by(reader)))
    return rows[0] if rows else None


async def page(tx: Transaction, reader: Principal, *, after_id: str, limit: int) -> tuple[list[Any], bool]:
    """Return at most *limit* keys that *reader* may see behind *after_id*, by id, and whether there are more."""
    query = select(keys).where(keys.c.id > after_id, *_seen_by(reader)).order_by(keys.c.id)
    rows = await tx.rows(query.limit(limit + 1))
    return list(rows[:limit]), len(rows) > limit


async def add(tx: Transaction, row: dict[str, Any]) -> None:
    """Insert a key."""
    await tx.execute(insert(keys), [row])


async def revoke(tx: Transaction, key_id: str) -> None:
    """Note that a key is revoked, unless it is already."""
    revoked = update(keys).where(keys.c.id == key_id, keys.c.revoked_at.is_(None))
    await tx.execute(revoked.values(revoked_at=await tx.now()))


async def note_use(tx: Transaction, ids: Iterable[str]) -> None:
    """Note that keys were used just now, those of which that was noted less than a minute ago left out."""
    now = await tx.now()
    due = or_(keys.c.last_used_at.is_(None), keys.c.last_used_at <= now - timedelta(seconds=USED_SECONDS))
    await tx.execute(update(keys).where(keys.c.id.in_(sorted(ids)), due).values(last_used_at=now))


def _seen_by(reader: Principal | None) -> list[ColumnElement[bool]]:
    """Keep to the keys of the parties that *reader* speaks for."""
    parties = [] if reader is None else [(keys.c.source, reader.source), (keys.c.erp, reader.erp)]
    return [column == party for column, party in parties if party is not None]
