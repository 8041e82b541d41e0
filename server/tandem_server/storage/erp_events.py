"""Queries of what ERPs told by webhook: every event once, unique by (event_id, erp)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from operator import eq, gt, lt
from typing import Any, NamedTuple

from sqlalchemy import Column, ColumnElement, case, delete, insert, select, update

from tandem_server.storage.database import Record, Transaction
from tandem_server.storage.deliveries import fitting
from tandem_server.storage.dialects import by_index
from tandem_server.storage.tables import erp_events

PAGE_BYTES = 1 << 20
"""A page ends here even if fewer events than asked fit."""


class Known(NamedTuple):
    """What is known of an event: Tandem's id, the digest of its body, and what became of it."""

    id: str
    digest: str
    outcome: str


class EventFilters(NamedTuple):
    """Which events to find; None and empty let everything through. Instants are exclusive bounds."""

    erp: str | None = None
    outcomes: Sequence[str] = ()
    type: str = ""
    event_id: str = ""
    order_id: str = ""
    after: datetime | None = None
    before: datetime | None = None


async def known(tx: Transaction, erp: str, event_ids: Iterable[str]) -> dict[str, Known]:
    """Return what is known of each event of *erp* that came before among *event_ids*."""
    columns = erp_events.c
    query = select(columns.event_id, columns.id, columns.digest, columns.outcome)
    wanted = columns.event_id.in_(sorted(set(event_ids))), columns.erp == erp
    rows = await tx.rows(by_index(query.where(*wanted), erp_events, "uq_erp_events_event"))
    return {row.event_id: Known(row.id, row.digest, row.outcome) for row in rows}


async def add(tx: Transaction, rows: Sequence[dict[str, Any]]) -> None:
    """Store events; one that somebody stored at the same time makes the unit run again."""
    if rows:
        await tx.execute(insert(erp_events), sorted(rows, key=lambda row: str(row["event_id"])))


async def change(tx: Transaction, event: str, values: Mapping[str, Any]) -> None:
    """Change *values* of the event with Tandem's id *event*."""
    await tx.execute(update(erp_events).where(erp_events.c.id == event).values(**values))


async def remove(tx: Transaction, event: str) -> None:
    """Delete the event with Tandem's id *event*."""
    await tx.execute(delete(erp_events).where(erp_events.c.id == event))


async def unpark(tx: Transaction, erp: str, owners: Mapping[str, str], outcomes: Mapping[str, str]) -> None:
    """Give parked events their outcomes, and the orders that are theirs now, both by event_id."""
    columns = erp_events.c
    for outcome in sorted(set(outcomes.values())):
        told = sorted(event_id for event_id, became in outcomes.items() if became == outcome)
        parked = columns.event_id.in_(told), columns.erp == erp, columns.outcome == "PARKED"
        owner = case({event_id: owners[event_id] for event_id in told}, value=columns.event_id)
        await tx.execute(update(erp_events).where(*parked).values(outcome=outcome, order_id=owner))


async def by_ids(tx: Transaction, erp: str | None, ids: Iterable[str]) -> dict[str, Record]:
    """Return the events of *erp* (None: of any) with *ids* that exist, by Tandem's id."""
    rows = await tx.rows(select(erp_events).where(erp_events.c.id.in_(sorted(set(ids)))))
    return {row.id: row for row in rows if erp in (None, row.erp)}


async def page(
    tx: Transaction, filters: EventFilters, *, after_id: str, newest_first: bool, limit: int
) -> tuple[list[Record], bool]:
    """Return at most *limit* events behind *after_id*, by id, and whether there are more; ends at 1 MiB."""
    columns = erp_events.c
    query = select(columns.id, columns.bytes).where(*_conditions(filters))
    if after_id:
        query = query.where(columns.id < after_id if newest_first else columns.id > after_id)
    by_id = columns.id.desc() if newest_first else columns.id
    found = await tx.rows(query.order_by(by_id).limit(limit + 1))
    ids = [row.id for row in fitting(found[:limit], PAGE_BYTES)]
    rows = await by_ids(tx, filters.erp, ids)
    return [rows[each] for each in ids], len(ids) < len(found)


def _conditions(filters: EventFilters) -> list[ColumnElement[bool]]:
    columns = erp_events.c
    given: list[tuple[Any, Column[Any], Callable[[Any, Any], Any]]] = [
        (filters.type, columns.type, eq),
        (filters.event_id, columns.event_id, eq),
        (filters.order_id, columns.order_id, eq),
        (filters.after, columns.received_at, gt),
        (filters.before, columns.received_at, lt),
    ]
    conditions = [compare(column, value) for value, column, compare in given if value]
    if filters.erp is not None:
        conditions.append(columns.erp == filters.erp)
    if filters.outcomes:
        conditions.append(columns.outcome.in_(filters.outcomes))
    return conditions
