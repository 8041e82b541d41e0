"""Queries of status updates: every one that an ERP told, unique by its event_id."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import and_, bindparam, case, insert, select, update

from tandem_server.storage.database import Record, Transaction
from tandem_server.storage.dialects import by_index
from tandem_server.storage.tables import orders, status_updates

_columns = status_updates.c
_of_erp = _columns.erp == bindparam("erp")
KNOWN = select(_columns.event_id, _columns.digest, _columns.order_id).where(
    _columns.event_id.in_(bindparam("ids", expanding=True)), _of_erp
)
PARKED_DOCUMENTS = (
    select(_columns.erp_document)
    .where(_columns.erp_document.in_(bindparam("documents", expanding=True)), _of_erp)
    .distinct()
)


class Known(NamedTuple):
    """What is known of an update: the digest of its content, and whether it is parked."""

    digest: str
    parked: bool


async def known(tx: Transaction, erp: str, event_ids: Iterable[str]) -> dict[str, Known]:
    """Return what is known of each update of *erp* that was told before among *event_ids*."""
    rows = await tx.rows(KNOWN, ids=sorted(set(event_ids)), erp=erp)
    return {row.event_id: Known(row.digest, row.order_id is None) for row in rows}


async def add(tx: Transaction, rows: Sequence[dict[str, Any]]) -> None:
    """Store updates; one that somebody stored at the same time makes the unit run again."""
    if rows:
        await tx.execute(insert(status_updates), sorted(rows, key=lambda row: str(row["event_id"])))


async def parked_documents(tx: Transaction, erp: str, documents: Iterable[str]) -> list[str]:
    """Return those of *documents* of *erp* that parked updates wait for."""
    return [row.erp_document for row in await tx.rows(PARKED_DOCUMENTS, documents=sorted(set(documents)), erp=erp)]


async def parked(tx: Transaction, erp: str, documents: Iterable[str], limit: int) -> Sequence[Record]:
    """Return up to *limit* updates that are parked for *documents* of *erp*."""
    columns = status_updates.c
    query = select(status_updates).where(columns.erp_document.in_(sorted(set(documents))), columns.erp == erp)
    return await tx.rows(query.limit(limit))


async def unpark(tx: Transaction, erp: str, owners: Mapping[str, str], outcomes: Mapping[str, str]) -> None:
    """Give parked updates their outcomes, by event id, and the orders that own their documents."""
    columns = status_updates.c
    owner = case(dict(owners), value=columns.erp_document)
    for outcome in sorted(set(outcomes.values())):
        told = sorted(event_id for event_id, became in outcomes.items() if became == outcome)
        statement = update(status_updates).where(columns.event_id.in_(told), columns.erp == erp)
        # In this order: MySQL computes each column from what the columns before it were set to.
        values = (columns.order_id, owner), (columns.erp_document, None), (columns.outcome, outcome)
        await tx.execute(statement.ordered_values(*values))


async def overdue(tx: Transaction, since: datetime, limit: int) -> dict[str, list[str]]:
    """Return, by ERP, up to *limit* documents that updates were parked for *since*, though an order has them."""
    columns = status_updates.c
    owned = and_(orders.c.erp_document == columns.erp_document, orders.c.erp == columns.erp)
    query = select(columns.erp, columns.erp_document).join(orders, owned)
    query = query.where(columns.order_id.is_(None), columns.received_at > since).distinct().limit(limit)
    query = by_index(query, status_updates, "ix_status_updates_order")
    found: dict[str, list[str]] = {}
    for row in await tx.rows(query):
        found.setdefault(row.erp, []).append(row.erp_document)
    return found
