"""Deliveries, and the timelines that their rows count."""

from __future__ import annotations

from sqlalchemy import Column, Index, Integer, String, Table

from tandem_server.storage.dialects import TABLE_OPTIONS, Instant, Json, ascii_text
from tandem_server.storage.tables.metadata import metadata

# What the ERP still has to learn of an order, and the order's lock: no foreign key, locked before any other row of it.
deliveries = Table(
    "deliveries",
    metadata,
    Column("order_id", ascii_text(30), primary_key=True),
    Column("erp", ascii_text(40), nullable=False),
    Column("revision", Integer, nullable=False),
    Column("leased_revision", Integer, nullable=False),
    Column("acked_revision", Integer, nullable=False),
    Column("available_at", Instant),
    Column("lease_token", ascii_text(40)),
    Column("lease_expires_at", Instant),
    Column("leased_by", String(200)),
    Column("acked_token", ascii_text(40)),
    Column("attempts", Integer, nullable=False),
    Column("failures", Integer, nullable=False),
    Column("bytes", Integer, nullable=False),  # the order's encoded size
    Column("next_seq", Integer, nullable=False),  # of the timeline
    Column("last_code", ascii_text(64), nullable=False),
    Column("last_error", String(2000), nullable=False),
    Column("dead_at", Instant),
    Index("ix_deliveries_claim", "erp", "available_at", "order_id"),
    Index("ix_deliveries_leased_by", "leased_by"),
    Index("ix_deliveries_dead", "dead_at", "order_id"),
    **TABLE_OPTIONS,
)

# An order's timeline: who did what to it, when and from where.
order_events = Table(
    "order_events",
    metadata,
    Column("order_id", ascii_text(30), primary_key=True),
    Column("seq", Integer, primary_key=True, autoincrement=False),
    Column("type", ascii_text(30), nullable=False),
    Column("at", Instant, nullable=False),
    Column("actor", String(200), nullable=False),
    Column("revision", Integer, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("detail", Json, nullable=False),
    Column("request_id", String(200), nullable=False),
    Column("trace_id", ascii_text(32), nullable=False),
    **TABLE_OPTIONS,
)
