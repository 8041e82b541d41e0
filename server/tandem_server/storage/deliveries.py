"""Queries of deliveries: what each ERP still has to learn. The row is its order's lock."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import BindParameter, Integer, bindparam, func, literal, select

from tandem_server.domain.erasure import document_key, replacement
from tandem_server.storage.changes import Values, put
from tandem_server.storage.database import CLOCK, Record, Transaction
from tandem_server.storage.dialects import DatabaseClock, by_index
from tandem_server.storage.tables import deliveries, orders

STATE = (
    *("order_id", "erp", "revision", "leased_revision", "acked_revision", "lease_token", "leased_by", "acked_token"),
    *("attempts", "failures", "bytes", "next_seq", "last_code", "last_error", "dead_at"),
)
"""What decides what may happen to a delivery."""

HEAD = (
    *("id", "customer_id", "status", "version", "erp_document", "cancel_requested_at", "shipments", "invoice_numbers"),
    *("traceparent", "erased_at"),
)
"""What the ERP's words may change of an order, and how it came."""

IDS: BindParameter[Any] = bindparam("ids", expanding=True)
STATES = select(*(deliveries.c[name] for name in STATE)).where(deliveries.c.order_id.in_(IDS))
LOCKED_STATES = by_index(STATES, deliveries, "PRIMARY").order_by(deliveries.c.order_id).with_for_update()
HEADS = select(*(orders.c[name] for name in HEAD), CLOCK).where(orders.c.id.in_(IDS))
CLAIMABLE = by_index(
    select(deliveries.c.order_id, CLOCK)
    .where(deliveries.c.erp == bindparam("erp"), deliveries.c.available_at <= DatabaseClock())
    .order_by(deliveries.c.available_at, deliveries.c.order_id)
    .limit(bindparam("most", type_=Integer)),
    deliveries,
    "ix_deliveries_claim",
)
CLAIMS = {skip: CLAIMABLE.with_for_update(skip_locked=skip) for skip in (False, True)}
OWNERS = by_index(
    select(orders.c.erp_document, orders.c.id).where(
        orders.c.erp_document.in_(bindparam("documents", expanding=True)), orders.c.erp == bindparam("erp")
    ),
    orders,
    "uq_orders_document",
)
WAITED_FOR_OWNERS = OWNERS.with_for_update(read=True)
ERPS = by_index(select(deliveries.c.erp), deliveries, "ix_deliveries_claim").distinct()
OUTSTANDING = select(func.count().label("held")).where(
    deliveries.c.leased_by == bindparam("leased_by"), deliveries.c.lease_expires_at > DatabaseClock()
)
ANYTHING = (
    select(literal(1))
    .select_from(deliveries)
    .where(deliveries.c.erp == bindparam("erp"), deliveries.c.available_at <= DatabaseClock())
    .limit(1)
)


async def waiting(tx: Transaction, erp: str, limit: int, *, skip_locked: bool) -> Sequence[Record]:
    """Lock up to *limit* orders that *erp* can have now, longest waiting first, and return their STATE in that order.

    Selecting the key alone keeps to the claim's index: a claim that reads more may scan the table, and then it locks
    what it does not take.
    """
    claimed = await tx.rows(CLAIMS[skip_locked], erp=erp, most=limit)
    ids = [row.order_id for row in claimed]
    if not ids:
        return []
    rows = {row.order_id: row for row in await tx.rows(STATES, ids=ids)}
    return [rows[order_id] for order_id in ids]


def fitting(rows: Sequence[Record], max_bytes: int) -> Sequence[Record]:
    """Return the first of *rows*, and those behind it whose orders fit into *max_bytes* together with it."""
    total = 0
    for count, row in enumerate(rows):
        total += row.bytes
        if count and total > max_bytes:
            return rows[:count]
    return rows


async def lock(tx: Transaction, erp: str | None, ids: Iterable[str]) -> dict[str, Record]:
    """Lock the orders of *erp* (None: of any) among *ids*, in the order of their ids; return their STATE by id."""
    wanted = sorted(set(ids))
    if not wanted:
        return {}
    rows = await tx.rows(LOCKED_STATES, ids=wanted)
    return {row.order_id: row for row in rows if erp in (None, row.erp)}


async def heads(tx: Transaction, ids: Iterable[str]) -> dict[str, Record]:
    """Return of the orders with *ids*, which must be locked, HEAD, by id."""
    return {row.id: row for row in await tx.rows(HEADS, ids=sorted(ids))}


async def owners(tx: Transaction, erp: str, documents: Iterable[str], *, wait: bool = False) -> dict[str, str]:
    """Return the id of the order that each of *documents* of *erp* belongs to, where it belongs to one.

    With *wait*, whoever is about to give one of them to an order is waited for (but not on another node of a cluster).
    """
    wanted = {written: each for each in documents for written in (each, *_erased(tx, erp, each))}
    if not wanted:
        return {}
    rows = await tx.rows(WAITED_FOR_OWNERS if wait else OWNERS, documents=sorted(wanted), erp=erp)
    return {wanted[row.erp_document]: row.id for row in rows}


def _erased(tx: Transaction, erp: str, document: str) -> list[str]:
    """Return how an order that was erased may have *document*."""
    return [replacement(mark) for mark in tx.marks.known(document_key(erp, document))]


async def store(tx: Transaction, changed: Mapping[str, Values], changed_orders: Mapping[str, Values]) -> None:
    """Give locked deliveries, and then orders, their new values, by order id."""
    await put(tx, deliveries, changed)
    await put(tx, orders, changed_orders)


async def erps(tx: Transaction) -> list[str]:
    """Return every ERP that ever was to get an order."""
    return [row.erp for row in await tx.rows(ERPS)]


async def outstanding(tx: Transaction, leased_by: str) -> int:
    """Count the live leases of *leased_by*."""
    return int((await tx.rows(OUTSTANDING, leased_by=leased_by))[0].held)


async def anything_claimable(tx: Transaction, erp: str) -> bool:
    """Tell whether *erp* could claim anything now; one statement, the clock's included."""
    return bool(await tx.rows(ANYTHING, erp=erp))
