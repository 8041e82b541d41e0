"""What ERPs told of orders."""

from __future__ import annotations

from sqlalchemy import Column, Index, String, Table

from tandem_server.storage.dialects import TABLE_OPTIONS, Instant, Json, ascii_text
from tandem_server.storage.tables.metadata import metadata

# Every update that an ERP told. Until somebody acknowledges an order with its document, an update has that
# `erp_document` instead of an `order_id`: it is parked.
status_updates = Table(
    "status_updates",
    metadata,
    Column("event_id", String(100), primary_key=True),
    Column("erp", ascii_text(40), primary_key=True),
    Column("order_id", ascii_text(30)),
    Column("erp_document", String(140)),
    Column("digest", ascii_text(64), nullable=False),
    Column("content", Json, nullable=False),
    Column("outcome", ascii_text(20), nullable=False),
    Column("received_at", Instant, nullable=False),
    Index("ix_status_updates_order", "order_id", "received_at"),
    Index("ix_status_updates_document", "erp_document", "erp"),
    **TABLE_OPTIONS,
)
