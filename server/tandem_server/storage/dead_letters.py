"""Queries of dead letters: deliveries that nobody gets any more."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from operator import eq, gt, lt
from typing import Any, NamedTuple

from sqlalchemy import Column, select

from tandem_server.storage import orders
from tandem_server.storage.database import Record, Transaction
from tandem_server.storage.deliveries import fitting
from tandem_server.storage.dialects import by_index
from tandem_server.storage.orders import PAGE_BYTES, StoredOrder
from tandem_server.storage.tables import deliveries


class DeadFilters(NamedTuple):
    """Which dead letters to find; None and empty let everything through. Instants are exclusive bounds."""

    erp: str | None = None
    code: str = ""
    after: datetime | None = None
    before: datetime | None = None


class Page(NamedTuple):
    """A page of dead letters, the id of the last one looked at, and whether there are more behind it."""

    orders: Sequence[StoredOrder]
    last_id: str
    more: bool


async def page(tx: Transaction, filters: DeadFilters, *, after_id: str, limit: int) -> Page:
    """Return at most *limit* dead letters behind *after_id*, by id; the page ends at 1 MiB."""
    found = await rows(tx, filters, after_id=after_id, limit=limit + 1)
    fits = fitting(found[:limit], PAGE_BYTES)
    stored = await orders.load(tx, [row.order_id for row in fits]) if fits else {}
    dead = [each for each in stored.values() if each.delivery.dead_at is not None]
    last_id = fits[-1].order_id if fits else ""
    return Page(sorted(dead, key=lambda each: str(each.order.id)), last_id, len(fits) < len(found))


async def rows(tx: Transaction, filters: DeadFilters, *, after_id: str, limit: int) -> Sequence[Record]:
    """Return id and size of at most *limit* dead letters behind *after_id*, by id."""
    columns = deliveries.c
    given: list[tuple[Any, Column[Any], Callable[[Any, Any], Any]]] = [
        (filters.erp, columns.erp, eq),
        (filters.code, columns.last_code, eq),
        (filters.after, columns.dead_at, gt),
        (filters.before, columns.dead_at, lt),
        (after_id, columns.order_id, gt),
    ]
    conditions = [compare(column, value) for value, column, compare in given if value]
    query = select(columns.order_id, columns.bytes).where(columns.dead_at.is_not(None), *conditions)
    query = by_index(query, deliveries, "ix_deliveries_dead").order_by(columns.order_id).limit(limit)
    return await tx.rows(query)
