"""Counts of what is where: orders, deliveries and parked updates, and what webhooks came, each by whose they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import ColumnElement, and_, case, false, func, literal, select, tuple_

from tandem_server.storage.database import Record, Transaction
from tandem_server.storage.deliveries import erps as all_erps
from tandem_server.storage.dialects import by_index
from tandem_server.storage.tables import deliveries, erp_events, imports, orders, status_updates

COUNT = func.count().label("number")

Rows = Sequence[Record]


class Counts(NamedTuple):
    """What there was at an instant, each row with its `number`.

    Orders by `source` and `status`. Deliveries that are not done by `erp`, `source` and `state` ("waiting", "leased",
    "backing_off" or "dead"), with `since`: when the first of them became claimable. By ERP: how many
    updates are parked and how many events refused, and when the last event came. The last import of each source. And
    every ERP that ever was to get an order.
    """

    at: datetime
    orders: Rows
    deliveries: Rows
    parked: Mapping[str, int]
    refused: Mapping[str, int]
    last_events: Mapping[str, datetime]
    last_imports: Rows
    erps: Sequence[str]


async def count(tx: Transaction) -> Counts:
    """Count; only what is not done yet is read row by row."""
    erps = await all_erps(tx)
    undone = [*await _open(tx, erps), *await _dead(tx)]
    told = await _refused(tx), await _last_events(tx), await _last_imports(tx)
    return Counts(await tx.now(), await _orders(tx), undone, await _parked(tx), *told, erps)


async def _orders(tx: Transaction) -> Rows:
    query = by_index(select(orders.c.source, orders.c.status, COUNT), orders, "ix_orders_counts")
    return await tx.rows(query.group_by(orders.c.source, orders.c.status))


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


async def _parked(tx: Transaction) -> dict[str, int]:
    columns = status_updates.c
    query = select(columns.erp, COUNT).where(columns.order_id.is_(None))
    rows = await tx.rows(by_index(query, status_updates, "ix_status_updates_order").group_by(columns.erp))
    return {row.erp: row.number for row in rows}


async def _refused(tx: Transaction) -> dict[str, int]:
    query = select(erp_events.c.erp, COUNT).where(erp_events.c.outcome.in_(["REFUSED", "INVALID"]))
    rows = await tx.rows(by_index(query, erp_events, "ix_erp_events_outcome").group_by(erp_events.c.erp))
    return {row.erp: row.number for row in rows}


async def _last_events(tx: Transaction) -> dict[str, datetime]:
    query = select(erp_events.c.erp, func.max(erp_events.c.received_at).label("received_at"))
    rows = await tx.rows(by_index(query, erp_events, "ix_erp_events_erp").group_by(erp_events.c.erp))
    return {row.erp: row.received_at for row in rows}


async def _last_imports(tx: Transaction) -> Rows:
    columns = imports.c
    query = select(columns.source, func.max(columns.created_at).label("created_at")).where(columns.dry_run == false())
    rows = await tx.rows(by_index(query, imports, "ix_imports_last").group_by(columns.source))
    begun = tuple_(columns.source, columns.created_at).in_([(row.source, row.created_at) for row in rows])
    query = select(imports).where(begun, columns.dry_run == false()).order_by(columns.source)
    return await tx.rows(by_index(query, imports, "ix_imports_last")) if rows else ()


def _state(now: datetime) -> ColumnElement[str]:
    held = and_(deliveries.c.lease_token.is_not(None), deliveries.c.lease_expires_at > now)
    return case((deliveries.c.available_at <= now, "waiting"), (held, "leased"), else_="backing_off")
