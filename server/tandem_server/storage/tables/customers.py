"""Customers."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Index, Integer, String, Table

from tandem_server.storage.dialects import TABLE_OPTIONS, Instant, Json, ascii_text
from tandem_server.storage.tables.metadata import metadata

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
    Column("import_id", ascii_text(40)),  # the import that touched it last, and by which row
    Column("import_row", Integer),
    Column("version", Integer, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("updated_at", Instant, nullable=False),
    Column("erased_at", Instant),
    Index("uq_customers_external", "external_id", "source", unique=True),
    Index("ix_customers_email", "email_key", "source"),
    Index("ix_customers_erp_number", "erp_number"),
    Index("ix_customers_updated", "updated_at", "id"),
    **TABLE_OPTIONS,
)
