"""Keys of callers."""

from __future__ import annotations

from sqlalchemy import Column, String, Table

from tandem_server.storage.dialects import TABLE_OPTIONS, Instant, Json, ascii_text
from tandem_server.storage.tables.metadata import metadata

# Who may call. Of the key itself only the SHA-256 is here: nothing in this table opens anything.
keys = Table(
    "api_keys",  # KEYS is a word of MySQL's
    metadata,
    Column("id", ascii_text(30), primary_key=True),
    Column("digest", ascii_text(64), nullable=False),
    Column("name", String(100), nullable=False),
    Column("roles", Json, nullable=False),
    Column("source", ascii_text(40)),
    Column("erp", ascii_text(40)),
    Column("created_by", String(100), nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("expires_at", Instant),
    Column("revoked_at", Instant),
    Column("last_used_at", Instant),
    **TABLE_OPTIONS,
)
