"""Queries of imports, of what became of their rows, and of the rows that are not stored."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Table, bindparam, case, insert, or_, select, update

from tandem_server.domain.imports import CHUNK_ROWS, LETTERS, OUTCOMES
from tandem_server.storage.database import CLOCK, Transaction
from tandem_server.storage.tables import import_chunks, import_faults, imports

HELD = (
    select(imports.c.id, CLOCK)
    .where(
        imports.c.id == bindparam("id"),
        imports.c.source == bindparam("source"),
        imports.c.runner == bindparam("runner"),
        imports.c.next_row == bindparam("next_row"),
        imports.c.state == "RUNNING",
    )
    .with_for_update()
)


class Key(NamedTuple):
    """Which import: of which party, under which id."""

    source: str
    id: str


class Outcome(NamedTuple):
    """What became of a row."""

    row: int
    outcome: str


async def find(tx: Transaction, import_id: str, source: str | None = None, *, lock: bool = False) -> Sequence[Any]:
    """Return the import with *import_id* of *source*, or those of all parties; with *lock* nobody else changes it."""
    query = select(imports).where(imports.c.id == import_id, *([imports.c.source == source] if source else []))
    return await tx.rows(query.with_for_update() if lock else query)


async def add(tx: Transaction, key: Key, values: Mapping[str, Any]) -> None:
    """Insert an import; a taken id raises DBAPIError, and the unit runs again."""
    now = await tx.now()
    await tx.execute(insert(imports).values(id=key.id, source=key.source, created_at=now, updated_at=now, **values))


async def change(tx: Transaction, key: Key, values: Mapping[str, Any], **where: Any) -> bool:
    """Change *values* of an import if its columns are still as *where* says; return whether they were."""
    still = [imports.c[name] == value for name, value in where.items()]
    statement = update(imports).where(imports.c.id == key.id, imports.c.source == key.source, *still)
    return (await tx.execute(statement.values(**values, updated_at=await tx.now()))).rowcount == 1


async def hold(tx: Transaction, key: Key, runner: str, next_row: int) -> bool:
    """Lock an import if *runner* still sends it and *next_row* is still its next; return whether that is so."""
    return bool(await tx.rows(HELD, id=key.id, source=key.source, runner=runner, next_row=next_row))


async def advance(tx: Transaction, key: Key, reached: Mapping[str, Any], numbers: Mapping[str, int]) -> None:
    """Note how far an import has come, and add the *numbers* of rows that ended in each outcome."""
    added = {name.lower(): imports.c[name.lower()] + number for name, number in numbers.items()}
    await change(tx, key, {**reached, **added})


async def finish(tx: Transaction, key: Key, *, aborted: bool) -> None:
    """End an import."""
    bad = imports.c.failed + imports.c.ambiguous > 0
    state = "ABORTED" if aborted else case((bad, "PARTIAL"), else_="SUCCEEDED")
    await change(tx, key, {"state": state, "finished_at": await tx.now()})


async def add_outcomes(tx: Transaction, key: Key, first: int, outcomes: Sequence[str]) -> None:
    """Store what became of the rows from *first* on."""
    letters = "".join([LETTERS[outcome] for outcome in outcomes])
    rows = [
        {
            "import_id": key.id,
            "source": key.source,
            "first_row": first + start,
            "outcomes": letters[start:][:CHUNK_ROWS],
        }
        for start in range(0, len(letters), CHUNK_ROWS)
    ]
    if rows:
        await tx.execute(insert(import_chunks), rows)


async def add_faults(tx: Transaction, key: Key, faults: Sequence[Mapping[str, Any]]) -> None:
    """Store rows that are not stored as customers: row_number, outcome, reason, errors and original."""
    rows = [{"import_id": key.id, "source": key.source, **fault} for fault in faults]
    for start in range(0, len(rows), CHUNK_ROWS):
        await tx.execute(insert(import_faults), rows[start : start + CHUNK_ROWS])


async def outcomes(tx: Transaction, key: Key, wanted: Collection[str], after: int, limit: int) -> list[Outcome]:
    """Return at most *limit* rows behind row *after*, of those that ended in one of *wanted* (none: in any)."""
    letters = {LETTERS[outcome] for outcome in wanted} or set(OUTCOMES)
    columns = import_chunks.c
    query = select(columns.first_row, columns.outcomes).where(*_of(import_chunks, key))
    query = query.where(columns.first_row > after - CHUNK_ROWS).order_by(columns.first_row)
    if wanted:
        query = query.where(or_(*(columns.outcomes.contains(letter) for letter in letters)))
    found: list[Outcome] = []
    for chunk in await tx.rows(query.limit(limit + 1 if wanted else limit // CHUNK_ROWS + 2)):
        numbered = enumerate(chunk.outcomes, chunk.first_row)
        found += [Outcome(row, OUTCOMES[letter]) for row, letter in numbered if row > after and letter in letters]
    return found[:limit]


async def faults(tx: Transaction, key: Key, *, after: int = 0, rows: Collection[int] = (), limit: int) -> Sequence[Any]:
    """Return at most *limit* rows that are not stored as customers, behind row *after*; with *rows* only those."""
    columns = import_faults.c
    query = select(import_faults).where(*_of(import_faults, key), columns.row_number > after)
    if rows:
        query = query.where(columns.row_number.in_(rows))
    return await tx.rows(query.order_by(columns.row_number).limit(limit))


def _of(table: Table, key: Key) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return table.c.import_id == key.id, table.c.source == key.source
