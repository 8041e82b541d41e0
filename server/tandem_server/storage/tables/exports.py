"""Exports, as they are kept for whoever asks what became of one."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, String, Table

from tandem_server.storage.dialects import TABLE_OPTIONS, Instant, ascii_text
from tandem_server.storage.tables.metadata import metadata

# What is NULL is not known before the export is complete.
exports = Table(
    "exports",
    metadata,
    Column("id", ascii_text(30), primary_key=True),
    Column("source", ascii_text(40)),  # NULL where it is of all
    Column("subject", ascii_text(20), nullable=False),
    Column("format", ascii_text(20), nullable=False),
    Column("actor", String(200), nullable=False),
    Column("watermark", Instant, nullable=False),
    Column("started_at", Instant, nullable=False),
    Column("finished_at", Instant),
    Column("rows_sent", BigInteger),
    Column("bytes_sent", BigInteger),
    Column("sha256", ascii_text(64)),
    Index("ix_exports_started", "started_at"),
    **TABLE_OPTIONS,
)
