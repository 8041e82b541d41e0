"""Rows that are deleted when they are old: of every kind in the same way, found by an index, deleted by their keys."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

from sqlalchemy import Column, ColumnElement, Delete, Select, Table, bindparam, delete, func, select, update

from tandem_server.storage.database import Transaction
from tandem_server.storage.dialects import DatabaseClock, among, by_index
from tandem_server.storage.tables import (
    deliveries,
    erp_events,
    exports,
    idempotency_keys,
    import_chunks,
    import_faults,
    imports,
    old_revisions,
    order_lines,
)


@dataclass(frozen=True, eq=False)
class Kind:
    """Rows `since` when, as far as they are `where`, and the index that they are found `by`.

    Before a row go its `parts`, in tables whose keys begin with the row's. A row that is to stay `remembers` when.
    """

    since: Column[Any]
    by: str
    where: Sequence[ColumnElement[bool]] = ()
    parts: Sequence[Table] = ()
    remembers: Column[Any] | None = None


class Deleted(NamedTuple):
    """How many rows were deleted, and whether there may be more."""

    rows: int
    more: bool


REPLIES = Kind(idempotency_keys.c.created_at, "ix_idempotency_keys_created")
EXPORTS = Kind(exports.c.started_at, "ix_exports_started")
IMPORT_ROWS = Kind(
    imports.c.updated_at,
    "ix_imports_rows",
    where=[imports.c.rows_deleted_at.is_(None)],
    parts=[import_faults, import_chunks],
    remembers=imports.c.rows_deleted_at,
)
OLD_REVISIONS = Kind(
    old_revisions.c.superseded_at,
    "ix_old_revisions_superseded",
    where=[
        # Not NOT EXISTS, which MySQL may answer by reading all deliveries.
        select(func.count())
        .where(
            deliveries.c.order_id == old_revisions.c.order_id,
            deliveries.c.leased_revision == old_revisions.c.revision,
            deliveries.c.lease_expires_at > DatabaseClock(),
        )
        .scalar_subquery()
        == 0
    ],
    parts=[order_lines],
)
"""The lines of revisions that are of the past, and that no worker holds."""


def events(outcomes: Sequence[str]) -> Kind:
    """Return the kind of what ERPs told by webhook that ended in one of *outcomes*."""
    return Kind(erp_events.c.received_at, "ix_erp_events_age", where=[erp_events.c.outcome.in_(outcomes)])


async def delete_old(tx: Transaction, kind: Kind, before: Any, limit: int) -> Deleted:
    """Delete what is of *kind* and from *before*: up to *limit* rows, and as many of their parts.

    What another process is about to delete is passed by.
    """
    keys = await _keys(tx, _old(kind), before=before, limit=limit)
    rows = 0
    for part in kind.parts:
        rows += await _delete_parts(tx, part, keys, limit - rows)
    if keys and rows < limit:
        await _end(tx, kind, keys)
        rows += 0 if kind.remembers is not None else len(keys)
    return Deleted(rows, more=rows >= limit or len(keys) == limit)


async def _delete_parts(tx: Transaction, part: Table, keys: Sequence[Any], limit: int) -> int:
    """Delete up to *limit* rows of *part* whose keys begin with one of *keys*, and return how many they were."""
    if not keys or not limit:
        return 0
    found = await _keys(tx, _parts(part, len(keys[0])), keys=keys, limit=limit)
    if found:
        await tx.execute(_delete(part), {"keys": found})
    return len(found)


async def _end(tx: Transaction, kind: Kind, keys: Sequence[Any]) -> None:
    table = kind.since.table
    if kind.remembers is None:
        await tx.execute(_delete(table), {"keys": keys})
    else:
        these = update(table).where(among(table.primary_key))
        await tx.execute(these.values({kind.remembers: await tx.now()}), {"keys": keys})


async def _keys(tx: Transaction, query: Select[Any], **values: Any) -> list[tuple[Any, ...]]:
    """Return the keys that *query* finds, sorted: two that delete do not stop each other."""
    return sorted(tuple(row) for row in await tx.execute(query, values))


@lru_cache
def _old(kind: Kind) -> Select[Any]:
    table = kind.since.table
    query = select(*table.primary_key).where(kind.since < bindparam("before"), *kind.where)
    return by_index(query.limit(bindparam("limit")), table, kind.by).with_for_update(skip_locked=True)


@lru_cache
def _parts(table: Table, known: int) -> Select[Any]:
    """Return what finds rows of *table* by the first columns of their keys, of which so many are *known*."""
    columns = tuple(table.primary_key)
    return by_index(select(*columns).where(among(columns[:known])).limit(bindparam("limit")), table, "PRIMARY")


@lru_cache
def _delete(table: Table) -> Delete:
    return delete(table).where(among(table.primary_key))
