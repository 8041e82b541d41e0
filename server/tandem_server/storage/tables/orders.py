"""Orders, their lines, and which lines are of the past."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Index, Integer, String, Table

from tandem_server.storage.dialects import TABLE_OPTIONS, Exact, Instant, Json, ascii_text
from tandem_server.storage.tables.metadata import metadata

orders = Table(
    "orders",
    metadata,
    Column("id", ascii_text(30), primary_key=True),
    Column("source", ascii_text(40), nullable=False),
    Column("external_id", String(200), nullable=False),
    Column("created_digest", ascii_text(64), nullable=False),
    Column("erp", ascii_text(40), nullable=False),
    Column("number", String(64), nullable=False),
    Column("customer_id", ascii_text(30), nullable=False),
    Column("customer_external_id", String(200), nullable=False),
    Column("customer_reference", String(100), nullable=False),
    Column("currency", ascii_text(3), nullable=False),
    Column("ordered_at", Instant, nullable=False),
    Column("requested_delivery_date", ascii_text(10), nullable=False),
    Column("billing_address", Json),
    Column("shipping_address", Json),
    Column("shipping_method", String(100), nullable=False),
    Column("shipping_amount", Exact(19, 4), nullable=False),
    Column("shipping_tax_amount", Exact(19, 4), nullable=False),
    Column("discount_amount", Exact(19, 4), nullable=False),
    Column("prices_include_tax", Boolean, nullable=False),
    Column("payment_terms", String(60), nullable=False),
    Column("paid_amount", Exact(19, 4), nullable=False),
    Column("payment_reference", String(100), nullable=False),
    Column("note", String(2000), nullable=False),
    Column("attachments", Json, nullable=False),
    Column("attributes", Json, nullable=False),
    Column("subtotal", Exact(19, 4), nullable=False),
    Column("tax_amount", Exact(19, 4), nullable=False),
    Column("total", Exact(19, 4), nullable=False),
    Column("status", ascii_text(20), nullable=False),
    Column("revision", Integer, nullable=False),
    Column("erp_document", String(140)),
    Column("invoice_numbers", Json, nullable=False),
    Column("shipments", Json, nullable=False),
    Column("cancel_requested_at", Instant),
    Column("traceparent", ascii_text(60), nullable=False),
    Column("version", Integer, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("updated_at", Instant, nullable=False),
    Column("erased_at", Instant),
    Index("uq_orders_external", "external_id", "source", unique=True),
    Index("uq_orders_document", "erp_document", "erp", unique=True),
    Index("ix_orders_customer", "customer_id", "id"),
    Index("ix_orders_status", "status", "id"),
    Index("ix_orders_counts", "erp", "source", "status"),
    Index("ix_orders_created", "created_at", "id"),
    Index("ix_orders_updated", "updated_at", "id"),
    **TABLE_OPTIONS,
)

# Never updated, unless erased: a changed order gets the lines of its next revision.
order_lines = Table(
    "order_lines",
    metadata,
    Column("order_id", ascii_text(30), primary_key=True),
    Column("revision", Integer, primary_key=True, autoincrement=False),
    Column("line_number", Integer, primary_key=True, autoincrement=False),
    Column("external_id", String(200), nullable=False),
    Column("sku", String(200), nullable=False),
    Column("description", String(500), nullable=False),
    Column("quantity", Exact(18, 6), nullable=False),
    Column("unit", String(20), nullable=False),
    Column("unit_price", Exact(19, 6), nullable=False),
    Column("discount_amount", Exact(19, 4), nullable=False),
    Column("tax_code", String(40), nullable=False),
    Column("tax_amount", Exact(19, 4), nullable=False),
    Column("warehouse", String(40), nullable=False),
    Column("note", String(500), nullable=False),
    Column("attributes", Json, nullable=False),
    Column("amount", Exact(19, 4), nullable=False),
    **TABLE_OPTIONS,
)

# Revisions that a later one has taken the place of, and whose lines are still there.
old_revisions = Table(
    "old_revisions",
    metadata,
    Column("order_id", ascii_text(30), primary_key=True),
    Column("revision", Integer, primary_key=True, autoincrement=False),
    Column("superseded_at", Instant, nullable=False),
    Index("ix_old_revisions_superseded", "superseded_at"),
    **TABLE_OPTIONS,
)
