"""Queries of orders and their lines."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from operator import eq, gt, lt
from typing import Any, NamedTuple

from sqlalchemy import BindParameter, Column, ColumnElement, and_, bindparam, insert, or_, select

from tandem_server.storage.database import CLOCK, Record, Transaction
from tandem_server.storage.dialects import by_index
from tandem_server.storage.tables import deliveries, old_revisions, order_lines, orders

PAGE_BYTES = 1 << 20
"""A page ends here even if fewer orders than asked fit."""


LINE_CONTENT = tuple(c.name for c in order_lines.c if c.name not in ("order_id", "revision", "amount"))
"""What a caller says of a line."""


IDS: BindParameter[Any] = bindparam("ids", expanding=True)
BY_IDS = select(orders).where(orders.c.id.in_(IDS))
BY_EXTERNAL_IDS = by_index(
    select(orders).where(orders.c.external_id.in_(IDS), orders.c.source == bindparam("source")),
    orders,
    "uq_orders_external",
)
DELIVERIES = select(deliveries).where(deliveries.c.order_id.in_(IDS))
PROGRESS = ("available_at", "lease_token", "lease_expires_at", "attempts", "last_code", "last_error", "dead_at")
"""What a delivery row tells to who asks for the order."""
PAGES = select(orders, *(deliveries.c[name] for name in (*PROGRESS, "bytes")), CLOCK)
PAGES = PAGES.join(deliveries, deliveries.c.order_id == orders.c.id)
FIRST_LINES = select(order_lines).where(order_lines.c.order_id.in_(IDS), order_lines.c.revision == 1)


class StoredOrder(NamedTuple):
    """An order as it is: its row, the lines of its revision by number, and its delivery row, of a page's PROGRESS."""

    order: Any
    lines: Sequence[Any]
    delivery: Any


class OrderFilters(NamedTuple):
    """Which orders to list; None and empty let everything through. Instants are exclusive bounds."""

    source: str | None = None
    statuses: Sequence[str] = ()
    customer_id: str = ""
    external_id: str = ""
    created_after: datetime | None = None
    created_before: datetime | None = None
    updated_after: datetime | None = None
    updated_before: datetime | None = None


async def load(tx: Transaction, ids: Sequence[str]) -> dict[str, StoredOrder]:
    """Return the orders with *ids* that exist, by id."""
    return await _complete(tx, await tx.rows(BY_IDS, ids=ids))


async def of_deliveries(tx: Transaction, rows: Mapping[str, Any]) -> list[StoredOrder]:
    """Return the orders of delivery rows by order id, in the same order; the rows are the caller's word."""
    headers = {row.id: row for row in await tx.rows(BY_IDS, ids=list(rows))}
    lines = await _lines(tx, {row.id: row.revision for row in headers.values()})
    return [StoredOrder(headers[order_id], lines[order_id], delivery) for order_id, delivery in rows.items()]


async def find(tx: Transaction, source: str | None, *, order_id: str = "", external_id: str = "") -> StoredOrder | None:
    """Return the order of *source* (None: of any) with one of the two ids."""
    wanted = orders.c.id == order_id if order_id else orders.c.external_id == external_id
    query = select(orders).where(wanted, *_of(source))
    return next(iter((await _complete(tx, await tx.rows(query))).values()), None)


async def whereabouts(
    tx: Transaction, source: str | None, *, order_id: str = "", external_id: str = ""
) -> Record | None:
    """Return what never changes, `id` and `erp`, of the order of *source* (None: of any) with one of the two ids."""
    wanted = orders.c.id == order_id if order_id else orders.c.external_id == external_id
    return next(iter(await tx.rows(select(orders.c.id, orders.c.erp).where(wanted, *_of(source)))), None)


async def by_external_ids(tx: Transaction, source: str, external_ids: Sequence[str]) -> dict[str, StoredOrder]:
    """Return the orders of *source* that exist, by external id."""
    found = await _complete(tx, await tx.rows(BY_EXTERNAL_IDS, source=source, ids=external_ids))
    return {stored.order.external_id: stored for stored in found.values()}


async def page(
    tx: Transaction, filters: OrderFilters, *, after_id: str, newest_first: bool, limit: int
) -> tuple[list[StoredOrder], bool]:
    """Return at most *limit* orders behind *after_id*, by id, and whether there are more; ends at 1 MiB."""
    query = PAGES.where(*conditions(filters))
    if after_id:
        query = query.where(orders.c.id < after_id if newest_first else orders.c.id > after_id)
    by_id = orders.c.id.desc() if newest_first else orders.c.id
    headers = await tx.rows(query.order_by(by_id).limit(limit + 1))
    fitting = headers[: max(1, _fitting([row.bytes for row in headers[:limit]]))]
    lines = await _lines(tx, {row.id: row.revision for row in fitting})
    return [StoredOrder(row, lines[row.id], row) for row in fitting], len(fitting) < len(headers)


async def add(
    tx: Transaction,
    headers: list[dict[str, Any]],
    lines: list[dict[str, Any]],
    waiting: list[dict[str, Any]],
) -> None:
    """Insert orders with their lines and delivery rows; a taken key raises DBAPIError, and the unit runs again."""
    await tx.execute(insert(orders), headers)
    await tx.execute(insert(order_lines), lines)
    await tx.execute(insert(deliveries), waiting)


async def add_lines(tx: Transaction, lines: list[dict[str, Any]]) -> None:
    """Insert the lines of an order's next revision."""
    await tx.execute(insert(order_lines), lines)


async def supersede(tx: Transaction, order_id: str, revision: int) -> None:
    """Note that *revision* of an order is of the past from now on."""
    await tx.execute(
        insert(old_revisions), [{"order_id": order_id, "revision": revision, "superseded_at": await tx.now()}]
    )


async def _complete(tx: Transaction, headers: Sequence[Any]) -> dict[str, StoredOrder]:
    """Read what belongs to *headers*: the lines of a revision never change, so no torn order is ever returned."""
    if not headers:
        return {}
    lines = await _lines(tx, {row.id: row.revision for row in headers})
    waiting = {row.order_id: row for row in await tx.rows(DELIVERIES, ids=[row.id for row in headers])}
    return {row.id: StoredOrder(row, lines[row.id], waiting[row.id]) for row in headers}


async def _lines(tx: Transaction, revisions: Mapping[str, int]) -> dict[str, list[Any]]:
    """Return the lines of each order id at its revision, by number."""
    first = [order_id for order_id, revision in revisions.items() if revision == 1]
    later = [(order_id, revision) for order_id, revision in revisions.items() if revision != 1]
    rows = list(await tx.rows(FIRST_LINES, ids=first)) if first else []
    if later:
        columns = order_lines.c
        wanted = [and_(columns.order_id == order_id, columns.revision == number) for order_id, number in later]
        rows += await tx.rows(select(order_lines).where(or_(*wanted)))
    found: dict[str, list[Any]] = defaultdict(list)
    for row in rows:
        found[row.order_id].append(row)
    for lines in found.values():
        lines.sort(key=lambda line: line.line_number)
    return found


def _of(source: str | None) -> list[ColumnElement[bool]]:
    return [] if source is None else [orders.c.source == source]


def conditions(filters: OrderFilters) -> list[ColumnElement[bool]]:
    """Return what orders fulfil that *filters* let through."""
    given: list[tuple[Any, Column[Any], Callable[[Any, Any], Any]]] = [
        (filters.statuses, orders.c.status, Column.in_),
        (filters.customer_id, orders.c.customer_id, eq),
        (filters.external_id, orders.c.external_id, eq),
        (filters.created_after, orders.c.created_at, gt),
        (filters.created_before, orders.c.created_at, lt),
        (filters.updated_after, orders.c.updated_at, gt),
        (filters.updated_before, orders.c.updated_at, lt),
    ]
    return _of(filters.source) + [compare(column, value) for value, column, compare in given if value]


def _fitting(sizes: Sequence[int]) -> int:
    """Return how many of *sizes*, from the first, make no more than a page's bytes."""
    total = 0
    for count, size in enumerate(sizes):
        total += size
        if total > PAGE_BYTES:
            return count
    return len(sizes)
