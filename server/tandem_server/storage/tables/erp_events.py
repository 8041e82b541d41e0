"""What ERPs told by webhook."""

from __future__ import annotations

from sqlalchemy import Column, Index, Integer, String, Table

from tandem_server.storage.dialects import BYTES, TABLE_OPTIONS, Instant, ascii_text
from tandem_server.storage.tables.metadata import metadata

# Every event, once: the unique key is what makes a repetition count for nothing, in whatever process it arrives.
erp_events = Table(
    "erp_events",
    metadata,
    Column("id", ascii_text(30), primary_key=True),
    Column("event_id", String(100), nullable=False),
    Column("erp", ascii_text(40), nullable=False),
    Column("type", String(100), nullable=False),
    Column("occurred_at", Instant),
    Column("received_at", Instant, nullable=False),
    Column("digest", ascii_text(64), nullable=False),  # of the body
    Column("body", BYTES, nullable=False),
    Column("bytes", Integer, nullable=False),  # the body's size
    Column("outcome", ascii_text(20), nullable=False),
    Column("code", ascii_text(64), nullable=False),
    Column("reason", String(2000), nullable=False),
    Column("order_id", ascii_text(30), nullable=False),
    Column("customer_id", ascii_text(30), nullable=False),
    Index("uq_erp_events_event", "event_id", "erp", unique=True),
    Index("ix_erp_events_erp", "erp", "received_at"),
    Index("ix_erp_events_outcome", "outcome", "erp", "id"),
    Index("ix_erp_events_order", "order_id", "id"),
    Index("ix_erp_events_customer", "customer_id"),
    Index("ix_erp_events_received", "received_at", "outcome"),
    Index("ix_erp_events_age", "outcome", "received_at"),
    **TABLE_OPTIONS,
)
