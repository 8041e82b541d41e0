"""Queries of customers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from itertools import groupby
from operator import eq, gt, lt
from typing import Any, NamedTuple

from sqlalchemy import Column, ColumnElement, Insert, Update, bindparam, case, insert, select, update

from tandem_server.domain.customers import email_key
from tandem_server.storage.database import CLOCK, Transaction
from tandem_server.storage.dialects import by_index, given, giving
from tandem_server.storage.tables import customers

DML_ROWS = 500
"""How many rows one statement writes at most."""

BY_IDS = select(customers, CLOCK).where(customers.c.id.in_(bindparam("ids", expanding=True)))
KEPT_BY_IDS = BY_IDS.where(customers.c.source == bindparam("source")).with_for_update(read=True)
_BY_EXTERNAL_IDS = by_index(
    select(customers)
    .where(customers.c.external_id.in_(bindparam("ids", expanding=True)), customers.c.source == bindparam("source"))
    .order_by(customers.c.external_id),
    customers,
    "uq_customers_external",
)
LOCKED_BY_EXTERNAL_IDS = _BY_EXTERNAL_IDS.with_for_update()  # no clock: it would tell the time before the wait
KEPT_BY_EXTERNAL_IDS = _BY_EXTERNAL_IDS.add_columns(CLOCK).with_for_update(read=True)


class CustomerFilters(NamedTuple):
    """Which customers to list; None and empty let everything through. Instants are exclusive bounds."""

    source: str | None = None
    email: str = ""
    external_id: str = ""
    erp_number: str = ""
    updated_after: datetime | None = None
    updated_before: datetime | None = None


async def by_ids(tx: Transaction, ids: Sequence[str]) -> dict[str, Any]:
    """Return the customers with *ids* that exist, by id."""
    return {row.id: row for row in await tx.rows(BY_IDS, ids=ids)}


async def by_external_ids(
    tx: Transaction, source: str, external_ids: Sequence[str], *, lock: bool = False
) -> dict[str, Any]:
    """Return the customers of *source* that exist, by external id: as they are until the transaction ends.

    With *lock* nobody else may even keep them as they are.
    """
    query = LOCKED_BY_EXTERNAL_IDS if lock else KEPT_BY_EXTERNAL_IDS
    return {row.external_id: row for row in await tx.rows(query, ids=external_ids, source=source)}


async def by_keys(tx: Transaction, source: str, external_ids: Sequence[str], email_keys: Sequence[str]) -> list[Any]:
    """Return the customers of *source* with one of *external_ids* or *email_keys*, locked."""
    found: dict[str, Any] = {}
    for some in _slices(list(external_ids)):
        found |= await by_external_ids(tx, source, some, lock=True)
    for some in _slices(list(email_keys)):
        query = select(customers).where(customers.c.email_key.in_(some), customers.c.source == source)
        query = by_index(query.order_by(customers.c.email_key), customers, "ix_customers_email").with_for_update()
        found |= {row.external_id: row for row in await tx.rows(query)}
    return list(found.values())


async def of_orders(tx: Transaction, source: str, ids: Sequence[str], external_ids: Sequence[str]) -> list[Any]:
    """Return the customers of *source* that orders name by one of *ids* or *external_ids*: none is erased meanwhile."""
    found = list(await tx.rows(KEPT_BY_IDS, ids=ids, source=source)) if ids else []
    return [*found, *(await by_external_ids(tx, source, external_ids)).values()] if external_ids else found


async def find(
    tx: Transaction, source: str | None, *, customer_id: str = "", external_id: str = "", lock: bool = False
) -> Any | None:
    """Return the customer of *source* (None: of any) with one of the two ids."""
    wanted = customers.c.id == customer_id if customer_id else customers.c.external_id == external_id
    query = select(customers).where(wanted, *_of(source))
    rows = await tx.rows(query.with_for_update() if lock else query)
    return rows[0] if rows else None


async def page(
    tx: Transaction, filters: CustomerFilters, *, after_id: str, newest_first: bool, limit: int
) -> tuple[list[Any], bool]:
    """Return at most *limit* customers behind *after_id*, by id, and whether there are more."""
    query = select(customers).where(*conditions(filters))
    if after_id:
        query = query.where(customers.c.id < after_id if newest_first else customers.c.id > after_id)
    by_id = customers.c.id.desc() if newest_first else customers.c.id
    rows = await tx.rows(query.order_by(by_id).limit(limit + 1))
    return list(rows[:limit]), len(rows) > limit


async def add(tx: Transaction, rows: list[dict[str, Any]], same: Mapping[str, Any]) -> None:
    """Insert customers, who all have the *same* columns; a taken key raises DBAPIError, and the unit runs again."""
    for some in _slices(rows):
        columns = {name: [row[name] for row in some] for name in some[0]}
        await _insert(tx, columns | {"email_key": list(map(email_key, columns["email"]))}, same)


async def change(tx: Transaction, changes: Mapping[str, Mapping[str, Any]]) -> None:
    """Change values of customers, by id; count their versions and set `updated_at`."""
    rows = [
        {"id": each, **values, **({"email_key": email_key(values["email"])} if "email" in values else {})}
        for each, values in changes.items()
    ]
    await _update(tx, rows, now=await tx.now())


async def mark(tx: Transaction, marks: Mapping[str, Mapping[str, Any]]) -> None:
    """Set columns of customers, by id, that are no change of the customer."""
    await _update(tx, [{"id": each, **values} for each, values in marks.items()])


async def link(tx: Transaction, numbers: Mapping[str, str]) -> None:
    """Set the ERP's number of each customer id, where it is another one and the customer is not erased."""
    if not numbers:
        return
    number = case(dict(numbers), value=customers.c.id)
    changed = (customers.c.id.in_(numbers), customers.c.erp_number != number, customers.c.erased_at.is_(None))
    values = {"erp_number": number, "version": customers.c.version + 1, "updated_at": await tx.now()}
    await tx.execute(update(customers).where(*changed).values(values))


async def _insert(tx: Transaction, columns: Mapping[str, Sequence[Any]], same: Mapping[str, Any]) -> None:
    """Store rows: columns that happen to be the same in all of them, as many are, go to the database once, too."""
    told = {name: values for name, values in columns.items() if name == "id" or values.count(values[0]) < len(values)}
    once = {**same, **{name: values[0] for name, values in columns.items() if name not in told}}
    values = {f"same_{name}": value for name, value in once.items()}
    await tx.execute(_inserting(tuple(told), tuple(once)), [giving(customers, told) | values])


@lru_cache(maxsize=512)
def _inserting(told: tuple[str, ...], same: tuple[str, ...]) -> Insert:
    once = [bindparam(f"same_{name}", type_=customers.c[name].type) for name in same]
    return insert(customers).from_select([*told, *same], select(*given(customers, told).c, *once))


async def _update(tx: Transaction, rows: Sequence[Mapping[str, Any]], **counted: datetime) -> None:
    """Set what *rows* say of the customers with their ids, in one statement a set of columns; see `_updating`."""
    for names, alike in groupby(sorted(rows, key=tuple), key=tuple):
        for some in _slices(list(alike)):
            told = {name: [row[name] for row in some] for name in names}
            await tx.execute(_updating(names, *counted), [giving(customers, told) | counted])


@lru_cache(maxsize=512)
def _updating(names: tuple[str, ...], *counted: str) -> Update:
    """Return what sets *names*; where it is a change of the customer, its version and time, too."""
    rows = given(customers, names)
    values = {name: rows.c[name] for name in names if name != "id"}
    further = {"version": customers.c.version + 1, "updated_at": bindparam("now", type_=customers.c.updated_at.type)}
    return update(customers).where(customers.c.id == rows.c.id).values(**values, **(further if counted else {}))


def _slices(rows: list[Any]) -> Iterator[list[Any]]:
    return (rows[start : start + DML_ROWS] for start in range(0, len(rows), DML_ROWS))


def _of(source: str | None) -> list[ColumnElement[bool]]:
    return [] if source is None else [customers.c.source == source]


def conditions(filters: CustomerFilters) -> list[ColumnElement[bool]]:
    """Return what customers fulfil that *filters* let through."""
    given: list[tuple[Any, Column[Any], Callable[[Any, Any], Any]]] = [
        (email_key(filters.email), customers.c.email_key, eq),
        (filters.external_id, customers.c.external_id, eq),
        (filters.erp_number, customers.c.erp_number, eq),
        (filters.updated_after, customers.c.updated_at, gt),
        (filters.updated_before, customers.c.updated_at, lt),
    ]
    return _of(filters.source) + [compare(column, value) for value, column, compare in given if value]
