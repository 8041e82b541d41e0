"""Pages of what is exported, every value as a text."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from sqlalchemy import Column, Label, Select, Table, and_, or_, select

from tandem_server.domain import exports as sheets
from tandem_server.domain.exports import Stored
from tandem_server.storage.customers import CustomerFilters
from tandem_server.storage.customers import conditions as customer_conditions
from tandem_server.storage.database import Transaction
from tandem_server.storage.deliveries import fitting
from tandem_server.storage.dialects import SEPARATOR, AllInOne, among, by_index
from tandem_server.storage.orders import OrderFilters
from tandem_server.storage.orders import conditions as order_conditions
from tandem_server.storage.tables import customers, deliveries, order_lines, orders

LINES_BYTES = 256 << 10
"""A page of lines is of orders whose encoded sizes fit into this together, and of one at least."""


class Cursor(NamedTuple):
    """Where a page ended: the id of its last row, and the instant by which the pages go, if any."""

    id: str
    at: datetime | None = None


class Page(NamedTuple):
    """Some rows, how many they are, and where the next page starts: None behind the last one."""

    stored: Stored
    rows: int
    end: Cursor | None


class Path(NamedTuple):
    """How the pages of a table go: by its id, or by an instant and then by id, which an index makes cheap."""

    table: Table
    at: Column[Any] | None = None
    by: str = ""

    def page(self, query: Select[Any], after: Cursor | None, limit: int) -> Select[Any]:
        """Return *query* for at most *limit* rows behind *after*."""
        key = self.table.c.id
        if self.at is None:
            query = query.where(key > after.id) if after else query
            return query.order_by(key).limit(limit)
        if after:
            query = query.where(or_(self.at > after.at, and_(self.at == after.at, key > after.id)))
        return by_index(query, self.table, self.by).order_by(self.at, key).limit(limit)

    def end(self, stored: Stored, key: str = "id") -> Cursor:
        """Return where the page of *stored* ends, of which *key* is the id."""
        at = None if self.at is None else datetime.fromisoformat(stored[self.at.name][-1]).replace(tzinfo=UTC)
        return Cursor(stored[key][-1], at)


def _text(table: Table, names: Iterable[str]) -> Label[str]:
    return AllInOne(*(table.c[name] for name in names)).label("text")


OWN = ("source", "currency", "revision", "updated_at", "created_at", "shipments")
HEAD = {"order_id": "id", "order_external_id": "external_id", **dict(zip(OWN, OWN, strict=True))}
"""What the rows of an order's lines tell of the order, and the columns of the order that they have it from."""

LINE = tuple(column.name for column in order_lines.c if column.name not in ("order_id", "revision"))
"""What they tell of the line."""

CUSTOMERS = select(_text(customers, sheets.CUSTOMERS.stored))
ORDERS = select(_text(orders, sheets.ORDERS.stored))
HEADS = select(orders.c.id, _text(orders, HEAD.values()), deliveries.c.bytes)
HEADS = HEADS.join(deliveries, deliveries.c.order_id == orders.c.id)
LINES = select(order_lines.c.order_id, _text(order_lines, LINE))
LINES = LINES.where(among((order_lines.c.order_id, order_lines.c.revision))).order_by(*order_lines.primary_key)
LINES = by_index(LINES, order_lines, "PRIMARY")


async def customers_page(tx: Transaction, filters: CustomerFilters, after: Cursor | None, limit: int) -> Page:
    """Return at most *limit* customers behind *after*."""
    path = Path(customers, customers.c.updated_at, "ix_customers_updated") if filters.updated_after else Path(customers)
    texts = (await tx.execute(path.page(CUSTOMERS.where(*customer_conditions(filters)), after, limit))).scalars().all()
    stored = _columns(sheets.CUSTOMERS.stored, texts)
    return Page(stored, len(texts), path.end(stored) if len(texts) == limit else None)


async def orders_page(tx: Transaction, filters: OrderFilters, after: Cursor | None, limit: int) -> Page:
    """Return at most *limit* orders behind *after*."""
    path = _order_path(filters)
    texts = (await tx.execute(path.page(ORDERS.where(*order_conditions(filters)), after, limit))).scalars().all()
    stored = _columns(sheets.ORDERS.stored, texts)
    return Page(stored, len(texts), path.end(stored) if len(texts) == limit else None)


async def order_lines_page(tx: Transaction, filters: OrderFilters, after: Cursor | None, limit: int) -> Page:
    """Return the lines of at most *limit* orders behind *after*: of the revision that each has, which never change."""
    path = _order_path(filters)
    found = await tx.rows(path.page(HEADS.where(*order_conditions(filters)), after, limit))
    fits = fitting(found, LINES_BYTES)
    heads = _columns([*HEAD], [row.text for row in fits])
    lines = await _lines(tx, heads) if heads else {}
    texts = [f"{row.text}{SEPARATOR}{line}" for row in fits for line in lines[row.id]]
    last = len(fits) == len(found) < limit
    return Page(_columns([*HEAD, *LINE], texts), len(texts), None if last else path.end(heads, "order_id"))


async def _lines(tx: Transaction, heads: Stored) -> Mapping[str, Sequence[str]]:
    """Return the lines of each order at its revision, by number."""
    found: dict[str, list[str]] = defaultdict(list)
    revisions = zip(heads["order_id"], map(int, heads["revision"]), strict=True)
    for row in await tx.rows(LINES, keys=list(revisions)):
        found[row.order_id].append(row.text)
    return found


def _order_path(filters: OrderFilters) -> Path:
    if filters.updated_after:
        return Path(orders, orders.c.updated_at, "ix_orders_updated")
    return Path(orders, orders.c.created_at, "ix_orders_created") if filters.created_after else Path(orders)


def _columns(names: Sequence[str], texts: Sequence[str]) -> Stored:
    """Return what is in *texts* by column. Raises ValueError where one of them has another number of columns."""
    if not texts:
        return {}
    cells = SEPARATOR.join(texts).split(SEPARATOR)
    if len(cells) != len(names) * len(texts):
        raise ValueError("a text that is exported holds the separator of columns")
    return {name: cells[place :: len(names)] for place, name in enumerate(names)}
