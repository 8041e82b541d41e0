"""Imports, what became of their rows, and the rows that are not stored."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Index, Integer, String, Table, Text

from tandem_server.storage.dialects import TABLE_OPTIONS, Instant, Json, ascii_text
from tandem_server.storage.tables.metadata import metadata

imports = Table(
    "imports",
    metadata,
    Column("id", ascii_text(40), primary_key=True),
    Column("source", ascii_text(40), primary_key=True),
    Column("state", ascii_text(20), nullable=False),
    Column("mode", ascii_text(20), nullable=False),
    Column("dry_run", Boolean, nullable=False),
    Column("header", Json, nullable=False),
    Column("separator", ascii_text(1), nullable=False),
    Column("runner", ascii_text(40), nullable=False),  # who sends it: the last to begin
    Column("next_row", Integer, nullable=False),  # the first that is not committed
    Column("chain", ascii_text(64), nullable=False),  # of all rows before that
    Column("created", Integer, nullable=False),
    Column("updated", Integer, nullable=False),
    Column("unchanged", Integer, nullable=False),
    Column("failed", Integer, nullable=False),
    Column("ambiguous", Integer, nullable=False),
    Column("not_reached", Integer, nullable=False),
    Column("error", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("updated_at", Instant, nullable=False),
    Column("finished_at", Instant),
    Column("rows_deleted_at", Instant),  # what became of its rows is not known any more
    Index("ix_imports_created", "created_at", "source"),
    Index("ix_imports_rows", "rows_deleted_at", "updated_at"),
    Index("ix_imports_last", "source", "dry_run", "created_at"),
    **TABLE_OPTIONS,
)
import_chunks = Table(
    "import_chunks",
    metadata,
    Column("import_id", ascii_text(40), primary_key=True),
    Column("source", ascii_text(40), primary_key=True),
    Column("first_row", Integer, primary_key=True),
    Column("outcomes", ascii_text(500), nullable=False),  # a letter a row
    **TABLE_OPTIONS,
)
import_faults = Table(
    "import_faults",
    metadata,
    Column("import_id", ascii_text(40), primary_key=True),
    Column("source", ascii_text(40), primary_key=True),
    Column("row_number", Integer, primary_key=True),
    Column("outcome", String(20), nullable=False),
    Column("reason", ascii_text(40), nullable=False),
    Column("errors", Json, nullable=False),  # pairs of field and description
    Column("original", Json, nullable=False),  # cells
    **TABLE_OPTIONS,
)
