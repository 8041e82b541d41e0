"""Counts of what is where: orders, deliveries and parked updates, each by whose they are."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Row, and_, case, func, literal, select

from tandem_server.storage.database import Transaction
from tandem_server.storage.dialects import by_index
from tandem_server.storage.tables import deliveries, orders, status_updates

COUNT = func.count().label("number")

Rows = Sequence[Row[Any]]


class Counts(NamedTuple):
    """What there was at an instant, each row with its `number`.

    Orders by `source` and `status`. Deliveries that are not done by `erp`, `source` and `state` ("waiting", "leased",
    "backing_off" or "dead"), with `since`: when the first of them became claimable. Parked updates by `erp`. And every
    ERP that ever was to get an order.
    """

    at: datetime
    orders: Rows
    deliveries: Rows
    parked: Rows
    erps: Sequence[str]


async def count(tx: Transaction) -> Counts:
    """Count; only what is not done yet is read row by row."""
    erps = await _erps(tx)
    undone = [*await _open(tx, erps), *await _dead(tx)]
    return Counts(await tx.now(), await _orders(tx), undone, await _parked(tx), erps)


async def _orders(tx: Transaction) -> Rows:
    query = by_index(select(orders.c.source, orders.c.status, COUNT), orders, "ix_orders_counts")
    return await tx.rows(query.group_by(orders.c.source, orders.c.status))


async def _erps(tx: Transaction) -> list[str]:
    query = by_index(select(deliveries.c.erp), deliveries, "ix_deliveries_claim")
    return [row.erp for row in await tx.rows(query.distinct())]


async def _open(tx: Transaction, erps: Sequence[str]) -> Rows:
    columns, since = deliveries.c, func.min(deliveries.c.available_at).label("since")
    state = _state(await tx.now()).label("state")
    query = select(columns.erp, orders.c.source, state, COUNT, since).join(orders, orders.c.id == columns.order_id)
    query = query.where(columns.erp.in_(erps), columns.available_at.is_not(None))
    query = by_index(query, deliveries, "ix_deliveries_claim")
    return await tx.rows(query.group_by(columns.erp, orders.c.source, state))


async def _dead(tx: Transaction) -> Rows:
    columns, since = deliveries.c, func.min(deliveries.c.available_at).label("since")
    query = select(columns.erp, orders.c.source, literal("dead").label("state"), COUNT, since)
    query = query.join(orders, orders.c.id == columns.order_id).where(columns.dead_at.is_not(None))
    query = by_index(query, deliveries, "ix_deliveries_dead")
    return await tx.rows(query.group_by(columns.erp, orders.c.source))


async def _parked(tx: Transaction) -> Rows:
    columns = status_updates.c
    query = select(columns.erp, COUNT).where(columns.order_id.is_(None))
    return await tx.rows(by_index(query, status_updates, "ix_status_updates_order").group_by(columns.erp))


def _state(now: datetime) -> ColumnElement[str]:
    held = and_(deliveries.c.lease_token.is_not(None), deliveries.c.lease_expires_at > now)
    return case((deliveries.c.available_at <= now, "waiting"), (held, "leased"), else_="backing_off")
