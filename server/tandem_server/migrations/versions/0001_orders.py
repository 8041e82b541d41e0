"""Customers, orders, deliveries, timelines, status updates and idempotency keys."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from tandem_server.storage.dialects import BYTES, TABLE_OPTIONS, Exact, Instant, Json, ascii_text

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "customers",
        sa.Column("id", ascii_text(30), nullable=False),
        sa.Column("source", ascii_text(40), nullable=False),
        sa.Column("external_id", sa.String(length=200), nullable=False),
        sa.Column("created_digest", ascii_text(64), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("type", ascii_text(20), nullable=False),
        sa.Column("email", sa.String(length=254), nullable=False),
        sa.Column("email_key", sa.String(length=254), nullable=False),
        sa.Column("phone", sa.String(length=40), nullable=False),
        sa.Column("tax_id", sa.String(length=40), nullable=False),
        sa.Column("currency", ascii_text(3), nullable=False),
        sa.Column("payment_terms", sa.String(length=60), nullable=False),
        sa.Column("billing_address", Json()),
        sa.Column("shipping_address", Json()),
        sa.Column("note", sa.String(length=2000), nullable=False),
        sa.Column("inactive", sa.Boolean(), nullable=False),
        sa.Column("attributes", Json(), nullable=False),
        sa.Column("erp_number", sa.String(length=140), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", Instant(), nullable=False),
        sa.Column("updated_at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        **TABLE_OPTIONS,
    )
    op.create_index("ix_customers_email", "customers", ["email_key", "source"])
    op.create_index("ix_customers_erp_number", "customers", ["erp_number"])
    op.create_index("ix_customers_updated", "customers", ["updated_at", "id"])
    op.create_index("uq_customers_external", "customers", ["external_id", "source"], unique=True)
    op.create_table(
        "deliveries",
        sa.Column("order_id", ascii_text(30), nullable=False),
        sa.Column("erp", ascii_text(40), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("leased_revision", sa.Integer(), nullable=False),
        sa.Column("acked_revision", sa.Integer(), nullable=False),
        sa.Column("available_at", Instant()),
        sa.Column("lease_token", ascii_text(40)),
        sa.Column("lease_expires_at", Instant()),
        sa.Column("leased_by", sa.String(length=200)),
        sa.Column("acked_token", ascii_text(40)),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("bytes", sa.Integer(), nullable=False),
        sa.Column("next_seq", sa.Integer(), nullable=False),
        sa.Column("last_code", ascii_text(64), nullable=False),
        sa.Column("last_error", sa.String(length=2000), nullable=False),
        sa.Column("dead_at", Instant()),
        sa.PrimaryKeyConstraint("order_id"),
        **TABLE_OPTIONS,
    )
    op.create_index("ix_deliveries_claim", "deliveries", ["erp", "available_at", "order_id"])
    op.create_index("ix_deliveries_dead", "deliveries", ["dead_at", "order_id"])
    op.create_index("ix_deliveries_leased_by", "deliveries", ["leased_by"])
    op.create_table(
        "idempotency_keys",
        sa.Column("idempotency_key", ascii_text(255), nullable=False),
        sa.Column("method", ascii_text(120), nullable=False),
        sa.Column("party", sa.String(length=200), nullable=False),
        sa.Column("fingerprint", ascii_text(64), nullable=False),
        sa.Column("response", BYTES, nullable=False),
        sa.Column("headers", Json(), nullable=False),
        sa.Column("created_at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("idempotency_key", "method", "party"),
        **TABLE_OPTIONS,
    )
    op.create_index("ix_idempotency_keys_created", "idempotency_keys", ["created_at"])
    op.create_table(
        "order_events",
        sa.Column("order_id", ascii_text(30), nullable=False),
        sa.Column("seq", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("type", ascii_text(30), nullable=False),
        sa.Column("at", Instant(), nullable=False),
        sa.Column("actor", sa.String(length=200), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("detail", Json(), nullable=False),
        sa.Column("request_id", sa.String(length=200), nullable=False),
        sa.Column("trace_id", ascii_text(32), nullable=False),
        sa.PrimaryKeyConstraint("order_id", "seq"),
        **TABLE_OPTIONS,
    )
    op.create_table(
        "order_lines",
        sa.Column("order_id", ascii_text(30), nullable=False),
        sa.Column("revision", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("line_number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("external_id", sa.String(length=200), nullable=False),
        sa.Column("sku", sa.String(length=200), nullable=False),
        sa.Column("description", sa.String(length=500), nullable=False),
        sa.Column("quantity", Exact(18, 6), nullable=False),
        sa.Column("unit", sa.String(length=20), nullable=False),
        sa.Column("unit_price", Exact(19, 6), nullable=False),
        sa.Column("discount_amount", Exact(19, 4), nullable=False),
        sa.Column("tax_code", sa.String(length=40), nullable=False),
        sa.Column("tax_amount", Exact(19, 4), nullable=False),
        sa.Column("warehouse", sa.String(length=40), nullable=False),
        sa.Column("note", sa.String(length=500), nullable=False),
        sa.Column("attributes", Json(), nullable=False),
        sa.Column("amount", Exact(19, 4), nullable=False),
        sa.PrimaryKeyConstraint("order_id", "revision", "line_number"),
        **TABLE_OPTIONS,
    )
    op.create_table(
        "orders",
        sa.Column("id", ascii_text(30), nullable=False),
        sa.Column("source", ascii_text(40), nullable=False),
        sa.Column("external_id", sa.String(length=200), nullable=False),
        sa.Column("created_digest", ascii_text(64), nullable=False),
        sa.Column("erp", ascii_text(40), nullable=False),
        sa.Column("number", sa.String(length=64), nullable=False),
        sa.Column("customer_id", ascii_text(30), nullable=False),
        sa.Column("customer_external_id", sa.String(length=200), nullable=False),
        sa.Column("customer_reference", sa.String(length=100), nullable=False),
        sa.Column("currency", ascii_text(3), nullable=False),
        sa.Column("ordered_at", Instant(), nullable=False),
        sa.Column("requested_delivery_date", ascii_text(10), nullable=False),
        sa.Column("billing_address", Json()),
        sa.Column("shipping_address", Json()),
        sa.Column("shipping_method", sa.String(length=100), nullable=False),
        sa.Column("shipping_amount", Exact(19, 4), nullable=False),
        sa.Column("shipping_tax_amount", Exact(19, 4), nullable=False),
        sa.Column("discount_amount", Exact(19, 4), nullable=False),
        sa.Column("prices_include_tax", sa.Boolean(), nullable=False),
        sa.Column("payment_terms", sa.String(length=60), nullable=False),
        sa.Column("paid_amount", Exact(19, 4), nullable=False),
        sa.Column("payment_reference", sa.String(length=100), nullable=False),
        sa.Column("note", sa.String(length=2000), nullable=False),
        sa.Column("attachments", Json(), nullable=False),
        sa.Column("attributes", Json(), nullable=False),
        sa.Column("subtotal", Exact(19, 4), nullable=False),
        sa.Column("tax_amount", Exact(19, 4), nullable=False),
        sa.Column("total", Exact(19, 4), nullable=False),
        sa.Column("status", ascii_text(20), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("erp_document", sa.String(length=140)),
        sa.Column("invoice_numbers", Json(), nullable=False),
        sa.Column("shipments", Json(), nullable=False),
        sa.Column("cancel_requested_at", Instant()),
        sa.Column("traceparent", ascii_text(60), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", Instant(), nullable=False),
        sa.Column("updated_at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        **TABLE_OPTIONS,
    )
    op.create_index("ix_orders_created", "orders", ["created_at", "id"])
    op.create_index("ix_orders_customer", "orders", ["customer_id", "id"])
    op.create_index("ix_orders_status", "orders", ["status", "id"])
    op.create_index("ix_orders_updated", "orders", ["updated_at", "id"])
    op.create_index("uq_orders_document", "orders", ["erp_document", "erp"], unique=True)
    op.create_index("uq_orders_external", "orders", ["external_id", "source"], unique=True)
    op.create_table(
        "status_updates",
        sa.Column("event_id", sa.String(length=100), nullable=False),
        sa.Column("erp", ascii_text(40), nullable=False),
        sa.Column("order_id", ascii_text(30)),
        sa.Column("erp_document", sa.String(length=140)),
        sa.Column("digest", ascii_text(64), nullable=False),
        sa.Column("content", Json(), nullable=False),
        sa.Column("outcome", ascii_text(20), nullable=False),
        sa.Column("received_at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("event_id", "erp"),
        **TABLE_OPTIONS,
    )
    op.create_index("ix_status_updates_document", "status_updates", ["erp_document", "erp"])
    op.create_index("ix_status_updates_order", "status_updates", ["order_id", "received_at"])
