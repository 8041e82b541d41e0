"""What was erased, known by its marks alone."""

from __future__ import annotations

from sqlalchemy import Column, Index, Table

from tandem_server.storage.dialects import TABLE_OPTIONS, Instant, ascii_text
from tandem_server.storage.tables.metadata import metadata

# The ledger: a row a key of an erased customer. Nothing here can be read back without TANDEM_SECRET, and with it only
# be compared; `secret` is what the secret that made the mark is called.
erasures = Table(
    "erasures",
    metadata,
    Column("mark", ascii_text(32), primary_key=True),
    Column("source", ascii_text(40), nullable=False),
    Column("secret", ascii_text(16), nullable=False),
    Column("customer_id", ascii_text(30), nullable=False),
    Column("erased_at", Instant, nullable=False),
    Index("ix_erasures_source", "source", "secret"),
    **TABLE_OPTIONS,
)
