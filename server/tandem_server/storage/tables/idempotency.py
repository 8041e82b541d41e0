"""Replies that are kept for repetitions."""

from __future__ import annotations

from sqlalchemy import Column, Index, String, Table

from tandem_server.storage.dialects import BYTES, TABLE_OPTIONS, Instant, Json, ascii_text
from tandem_server.storage.tables.metadata import metadata

# Replies to calls that carried an idempotency key, kept for seven days.
idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    Column("idempotency_key", ascii_text(255), primary_key=True),
    Column("method", ascii_text(120), primary_key=True),
    Column("party", String(200), primary_key=True),
    Column("fingerprint", ascii_text(64), nullable=False),
    Column("response", BYTES, nullable=False),
    Column("headers", Json, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("customer_id", ascii_text(30)),  # whom the reply tells of; NULL is not known, empty nobody
    Index("ix_idempotency_keys_created", "created_at"),
    Index("ix_idempotency_keys_customer", "customer_id"),
    **TABLE_OPTIONS,
)
