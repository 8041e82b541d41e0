"""Queries of erasures: the ledger of erased keys, and the orders that are in the way of one."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from sqlalchemy import ColumnElement, and_, bindparam, exists, insert, literal, or_, select, union_all, update

from tandem_server.domain.erasure import CUSTOMER, Key, replacement
from tandem_server.domain.lifecycle import CANCELLABLE
from tandem_server.storage.database import Transaction
from tandem_server.storage.deliveries import fitting
from tandem_server.storage.dialects import by_index
from tandem_server.storage.tables import customers, deliveries, erasures, order_events, orders

MARKS_A_STATEMENT = 1000

LINES_BYTES = 256 << 10
"""Orders are blanked together whose encoded sizes fit into this, and one at least: a few hundred lines."""

ANY = select(literal(1)).where(erasures.c.source == bindparam("source")).limit(1)
AMONG = select(erasures.c.mark).where(erasures.c.mark.in_(bindparam("marks", expanding=True)))

IDS = re.compile(r"(?:ord|cus)_[0-7][0-9a-hjkmnp-tv-z]{25}")

CALLABLE_OFF = orders.c.status.in_([status.value for status in CANCELLABLE])
WAITS = or_(deliveries.c.available_at.is_not(None), orders.c.cancel_requested_at.is_not(None))
ASKED = exists().where(order_events.c.order_id == orders.c.id, order_events.c.type == "CANCEL_REQUESTED")
OPEN = or_(CALLABLE_OFF, WAITS, deliveries.c.dead_at.is_not(None))
"""The ERP has something to learn of them, or to fulfil."""
UNANSWERED = or_(WAITS, and_(CALLABLE_OFF, ~ASKED))
"""Of those that are called off: the ERP has not said whether it does so. One that it said no to is its own."""
NOT_CALLED_OFF = and_(CALLABLE_OFF, orders.c.cancel_requested_at.is_(None), ~ASKED)


async def any_of(tx: Transaction, source: str) -> bool:
    """Tell whether a customer of *source* was ever erased."""
    return bool(await tx.rows(ANY, source=source))


async def among(tx: Transaction, source: str, keys: Iterable[Key]) -> set[Key]:
    """Return those of *keys* that were erased; of a *source* without any erasure they are not looked at."""
    if not tx.marks or not await any_of(tx, source):
        return set()
    wanted = {mark: key for key in keys for mark in tx.marks.known(key)}
    marks = sorted(wanted)
    found: set[Key] = set()
    for start in range(0, len(marks), MARKS_A_STATEMENT):
        rows = await tx.rows(AMONG, marks=marks[start : start + MARKS_A_STATEMENT])
        found |= {wanted[row.mark] for row in rows}
    return found


async def named_in(tx: Transaction, body: bytes) -> bool:
    """Tell whether *body* names an erased order or customer by its id."""
    ids = set(IDS.findall(body.decode(errors="replace")))
    erased = [select(t.c.id).where(t.c.id.in_(ids), t.c.erased_at.is_not(None)) for t in (orders, customers)]
    return bool(ids) and bool(await tx.rows(union_all(*erased)))


async def secrets(tx: Transaction) -> set[str]:
    """Return what the secrets are called by which anything was erased."""
    return {row.secret for row in await tx.rows(select(erasures.c.secret).distinct())}


async def erase_customer(tx: Transaction, row: Any, keys: Iterable[Key]) -> None:
    """Put *keys* of the customer of *row*, which must be locked, into the ledger, and blank the row."""
    now = await tx.now()
    known = await among(tx, row.source, keys)
    made = {"source": row.source, "secret": tx.marks.secrets[0], "customer_id": row.id, "erased_at": now}
    if new := [{"mark": tx.marks.of(key), **made} for key in keys if key not in known]:
        await tx.execute(insert(erasures), new)
    gone = {**CUSTOMER, "email_key": "", "external_id": replacement(row.id), "import_id": None, "import_row": None}
    counted = {"version": customers.c.version + 1, "updated_at": now, "erased_at": now}
    await tx.execute(update(customers).where(customers.c.id == row.id).values(**gone, **counted))


async def open_orders(tx: Transaction, customer_id: str, limit: int, *, called_off: bool) -> list[str]:
    """Return the ids of up to *limit* orders that are in the way; of those *called_off* the ERP's answer is awaited."""
    return await _ids(tx, customer_id, UNANSWERED if called_off else OPEN, limit)


async def not_called_off(tx: Transaction, customer_id: str, limit: int) -> list[str]:
    """Return the ids of up to *limit* orders that nobody has called off, and that can be."""
    return await _ids(tx, customer_id, NOT_CALLED_OFF, limit)


async def with_texts(tx: Transaction, customer_id: str, limit: int) -> list[str]:
    """Return the ids of up to *limit* orders that are not erased, and are together not large."""
    query = select(orders.c.id, deliveries.c.bytes).join(deliveries, deliveries.c.order_id == orders.c.id)
    query = query.where(orders.c.customer_id == customer_id, orders.c.erased_at.is_(None))
    rows = await tx.rows(query.order_by(orders.c.id).limit(limit))
    return [row.id for row in fitting(rows, LINES_BYTES)]


async def _ids(tx: Transaction, customer_id: str, which: ColumnElement[bool], limit: int) -> list[str]:
    query = select(orders.c.id).join(deliveries, deliveries.c.order_id == orders.c.id)
    query = query.where(orders.c.customer_id == customer_id, orders.c.erased_at.is_(None), which)
    query = by_index(query, orders, "ix_orders_customer")
    return [row.id for row in await tx.rows(query.order_by(orders.c.id).limit(limit))]
