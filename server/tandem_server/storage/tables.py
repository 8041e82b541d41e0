"""The tables. Indexes lead with the selective column; ids, keys and texts compare by their bytes."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Index, Integer, MetaData, String, Table

from tandem_server.storage.dialects import BYTES, TABLE_OPTIONS, Exact, Instant, Json, ascii_text

metadata = MetaData()

customers = Table(
    "customers",
    metadata,
    Column("id", ascii_text(30), primary_key=True),
    Column("source", ascii_text(40), nullable=False),
    Column("external_id", String(200), nullable=False),
    Column("created_digest", ascii_text(64), nullable=False),
    Column("name", String(200), nullable=False),
    Column("type", ascii_text(20), nullable=False),
    Column("email", String(254), nullable=False),
    Column("email_key", String(254), nullable=False),  # what e-mail addresses are compared by
    Column("phone", String(40), nullable=False),
    Column("tax_id", String(40), nullable=False),
    Column("currency", ascii_text(3), nullable=False),
    Column("payment_terms", String(60), nullable=False),
    Column("billing_address", Json),
    Column("shipping_address", Json),
    Column("note", String(2000), nullable=False),
    Column("inactive", Boolean, nullable=False),
    Column("attributes", Json, nullable=False),
    Column("erp_number", String(140), nullable=False),
    Column("version", Integer, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("updated_at", Instant, nullable=False),
    Index("uq_customers_external", "external_id", "source", unique=True),
    Index("ix_customers_email", "email_key", "source"),
    Index("ix_customers_erp_number", "erp_number"),
    Index("ix_customers_updated", "updated_at", "id"),
    **TABLE_OPTIONS,
)

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
    Index("uq_orders_external", "external_id", "source", unique=True),
    Index("uq_orders_document", "erp_document", "erp", unique=True),
    Index("ix_orders_customer", "customer_id", "id"),
    Index("ix_orders_status", "status", "id"),
    Index("ix_orders_created", "created_at", "id"),
    Index("ix_orders_updated", "updated_at", "id"),
    **TABLE_OPTIONS,
)

# Never updated: a changed order gets the lines of its next revision.
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
    Index("ix_idempotency_keys_created", "created_at"),
    **TABLE_OPTIONS,
)
