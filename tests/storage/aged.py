"""Rows of some age, of every kind that is deleted when it is old, with whatever else their tables want."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import Boolean, Integer, LargeBinary, insert

from tandem_server.storage.database import Database
from tandem_server.storage.dialects import Exact, Instant, Json
from tandem_server.storage.tables import metadata

NOW = datetime.now(UTC)
VALUES: dict[type, Any] = {Integer: 1, Boolean: False, LargeBinary: b"{}", Instant: NOW, Json: {}, Exact: Decimal(1)}
"""What does not matter, by the column's type; a text everywhere else."""

RULES = {
    "idempotency_keys": timedelta(days=7),
    "settled_events": timedelta(days=7),
    "open_events": timedelta(days=90),
    "import_rows": timedelta(days=91),
    "order_revisions": timedelta(days=1),
    "exports": timedelta(days=90),
}
"""What the README says: how old what becomes."""

PARTS = 3
"""Lines of a revision, and of each kind rows of an import."""

Rows = Mapping[str, list[dict[str, Any]]]
"""Rows by table."""


def a_row(table: str, **values: Any) -> dict[str, Any]:
    """Return a row of *table* with these *values* and others that do not matter."""
    columns = [column for column in metadata.tables[table].c if not column.nullable]
    return {column.name: VALUES.get(type(column.type), "x") for column in columns} | values


def aged(rule: str, name: str, at: datetime) -> Rows:
    """Return what *rule* is about, called *name* and of the instant *at*."""
    if rule == "idempotency_keys":
        return {rule: [a_row(rule, idempotency_key=name, created_at=at)]}
    if rule == "exports":
        return {rule: [a_row(rule, id=name, started_at=at)]}
    if rule == "import_rows":
        own = {"import_id": name, "source": "crm"}
        return {
            "imports": [a_row("imports", id=name, source="crm", updated_at=at)],
            "import_chunks": [a_row("import_chunks", **own, first_row=n) for n in range(PARTS)],
            "import_faults": [a_row("import_faults", **own, row_number=n) for n in range(PARTS)],
        }
    if rule == "order_revisions":
        numbered = range(PARTS)
        return {
            "old_revisions": [a_row("old_revisions", order_id=name, revision=1, superseded_at=at)],
            "order_lines": [a_row("order_lines", order_id=name, revision=1, line_number=n) for n in numbered],
        }
    outcome = "APPLIED" if rule == "settled_events" else "REFUSED"
    own = {"id": f"{outcome} {name}", "event_id": f"{outcome} {name}", "outcome": outcome}
    return {"erp_events": [a_row("erp_events", **own, received_at=at)]}


async def store(database: Database, rows: Sequence[Rows]) -> None:
    """Store *rows*, 500 at a time."""
    for table in {name: None for each in rows for name in each}:
        these = [row for each in rows for row in each.get(table, ())]
        for part in _parts(these):
            await database.write(lambda tx, table=table, part=part: tx.execute(insert(metadata.tables[table]), part))  # type: ignore[misc]


def _parts(rows: Sequence[Any]) -> Iterator[list[Any]]:
    return (list(rows[start : start + 500]) for start in range(0, len(rows), 500))
