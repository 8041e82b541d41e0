"""Queries of deliveries: what each ERP still has to learn. The row is its order's lock."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Row, func, literal, select

from tandem_server.storage.changes import Values, put
from tandem_server.storage.database import Transaction
from tandem_server.storage.dialects import DatabaseClock, by_index
from tandem_server.storage.tables import deliveries, orders

STATE = (
    *("order_id", "erp", "revision", "leased_revision", "acked_revision", "lease_token", "leased_by", "acked_token"),
    *("attempts", "failures", "bytes", "next_seq", "last_code", "last_error", "dead_at"),
)
"""What decides what may happen to a delivery."""

HEAD = ("id", "customer_id", "status", "version", "erp_document", "cancel_requested_at", "shipments", "invoice_numbers")
"""What the ERP's words may change of an order."""

STATES = select(*(deliveries.c[name] for name in STATE))
HEADS = select(*(orders.c[name] for name in HEAD))


async def waiting(tx: Transaction, erp: str, limit: int, *, skip_locked: bool) -> Sequence[Row[Any]]:
    """Lock up to *limit* orders that *erp* can have now, longest waiting first, and return their STATE in that order.

    Selecting the key alone keeps to the claim's index: a claim that reads more may scan the table, and then it locks
    what it does not take.
    """
    now = await tx.now()
    found = (
        select(deliveries.c.order_id)
        .where(deliveries.c.erp == erp, deliveries.c.available_at <= now)
        .order_by(deliveries.c.available_at, deliveries.c.order_id)
        .limit(limit)
    )
    locking = by_index(found, deliveries, "ix_deliveries_claim").with_for_update(skip_locked=skip_locked)
    ids = [row.order_id for row in await tx.rows(locking)]
    if not ids:
        return []
    rows = {row.order_id: row for row in await tx.rows(STATES.where(deliveries.c.order_id.in_(ids)))}
    return [rows[order_id] for order_id in ids]


def fitting(rows: Sequence[Row[Any]], max_bytes: int) -> Sequence[Row[Any]]:
    """Return the first of *rows*, and those behind it whose orders fit into *max_bytes* together with it."""
    total = 0
    for count, row in enumerate(rows):
        total += row.bytes
        if count and total > max_bytes:
            return rows[:count]
    return rows


async def lock(tx: Transaction, erp: str | None, ids: Iterable[str]) -> dict[str, Row[Any]]:
    """Lock the orders of *erp* (None: of any) among *ids*, in the order of their ids; return their STATE by id."""
    wanted = sorted(set(ids))
    if not wanted:
        return {}
    query = by_index(STATES.where(deliveries.c.order_id.in_(wanted)), deliveries, "PRIMARY")
    rows = await tx.rows(query.order_by(deliveries.c.order_id).with_for_update())
    return {row.order_id: row for row in rows if erp in (None, row.erp)}


async def heads(tx: Transaction, ids: Iterable[str]) -> dict[str, Row[Any]]:
    """Return of the orders with *ids*, which must be locked, HEAD, by id."""
    return {row.id: row for row in await tx.rows(HEADS.where(orders.c.id.in_(sorted(ids))))}


async def owners(tx: Transaction, erp: str, documents: Iterable[str], *, wait: bool = False) -> dict[str, str]:
    """Return the id of the order that each of *documents* of *erp* belongs to, where it belongs to one.

    With *wait*, whoever is about to give one of them to an order is waited for (but not on another node of a cluster).
    """
    wanted = sorted(set(documents))
    if not wanted:
        return {}
    query = select(orders.c.erp_document, orders.c.id).where(orders.c.erp_document.in_(wanted), orders.c.erp == erp)
    query = by_index(query, orders, "uq_orders_document")
    rows = await tx.rows(query.with_for_update(read=True) if wait else query)
    return {row.erp_document: row.id for row in rows}


async def store(tx: Transaction, changed: Mapping[str, Values], changed_orders: Mapping[str, Values]) -> None:
    """Give locked deliveries, and then orders, their new values, by order id."""
    await put(tx, deliveries, changed)
    await put(tx, orders, changed_orders)


async def outstanding(tx: Transaction, leased_by: str) -> int:
    """Count the live leases of *leased_by*."""
    held = deliveries.c.leased_by == leased_by, deliveries.c.lease_expires_at > DatabaseClock()
    return int((await tx.rows(select(func.count()).where(*held)))[0][0])


async def anything_claimable(tx: Transaction, erp: str) -> bool:
    """Tell whether *erp* could claim anything now; one statement, the clock's included."""
    waits = deliveries.c.erp == erp, deliveries.c.available_at <= DatabaseClock()
    return bool(await tx.rows(select(literal(1)).select_from(deliveries).where(*waits).limit(1)))
