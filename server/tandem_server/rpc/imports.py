"""Imports as protobuf and as CSV."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tandem.integration.v1 import import_pb2
from tandem_server.rpc.import_columns import FAULTS
from tandem_server.rpc.messages import timestamp
from tandem_server.storage.imports import Outcome

COUNTS = ("created", "updated", "unchanged", "failed", "ambiguous", "not_reached")


def import_message(row: Any) -> import_pb2.Import:
    """Return an import's row as message."""
    counts = {name: getattr(row, name) for name in COUNTS}
    return import_pb2.Import(
        id=row.id,
        source=row.source,
        state=import_pb2.ImportState.Value(f"IMPORT_STATE_{row.state}"),
        mode=import_pb2.ImportMode.Value(f"IMPORT_MODE_{row.mode}"),
        dry_run=row.dry_run,
        rows=sum(counts.values()),
        **counts,
        error=row.error,
        created_at=timestamp(row.created_at),
        updated_at=timestamp(row.updated_at),
        finished_at=timestamp(row.finished_at),
    )


def row_message(outcome: Outcome, fault: Any | None) -> import_pb2.ImportRow:
    """Return what became of a row as message; *fault* is what is stored of a row that is wrong."""
    message = import_pb2.ImportRow(
        row=outcome.row, outcome=import_pb2.ImportOutcome.Value(f"IMPORT_OUTCOME_{outcome.outcome}")
    )
    if fault is not None:
        message.reason = fault.reason
        message.original.extend(fault.original)
        for field, description in fault.errors:
            message.errors.add(field=field, description=description)
    return message


def failed_header(header: Sequence[str]) -> list[str]:
    """Return the header of a CSV of rows that are wrong, of an input with *header*."""
    return [*(header[place] for place in _kept(header)), *FAULTS]


def failed_cells(header: Sequence[str], fault: Any) -> list[str]:
    """Return a row that is wrong as cells below `failed_header`; what goes past the header comes last."""
    cells = [*fault.original, *([""] * (len(header) - len(fault.original)))]
    fields = ", ".join(field for field, _ in fault.errors if field)
    named = len(fault.errors) > 1
    why = "; ".join(f"{field} {description}" if named else description for field, description in fault.errors)
    return [*(cells[place] for place in _kept(header)), fields, why, *cells[len(header) :]]


def _kept(header: Sequence[str]) -> list[int]:
    """Return the places of the columns that are the input's own, and not of such a CSV that was sent again."""
    return [place for place, name in enumerate(header) if name.strip() not in FAULTS]
