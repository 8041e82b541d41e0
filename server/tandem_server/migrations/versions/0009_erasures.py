"""Erasures: the ledger of erased keys, which rows were erased, and by which customer kept replies are found."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from tandem_server.storage.dialects import TABLE_OPTIONS, Instant, ascii_text

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    op.create_table(
        "erasures",
        sa.Column("mark", ascii_text(32), nullable=False),
        sa.Column("source", ascii_text(40), nullable=False),
        sa.Column("secret", ascii_text(16), nullable=False),
        sa.Column("customer_id", ascii_text(30), nullable=False),
        sa.Column("erased_at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("mark"),
        **TABLE_OPTIONS,
    )
    op.create_index("ix_erasures_source", "erasures", ["source", "secret"])
    op.add_column("customers", sa.Column("erased_at", Instant()))
    op.add_column("orders", sa.Column("erased_at", Instant()))
    op.add_column("idempotency_keys", sa.Column("customer_id", ascii_text(30)))
    op.create_index("ix_idempotency_keys_customer", "idempotency_keys", ["customer_id"])
    op.create_index("ix_erp_events_customer", "erp_events", ["customer_id"])
