"""What ERPs told by webhook."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from tandem_server.storage.dialects import BYTES, TABLE_OPTIONS, Instant, ascii_text

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.create_table(
        "erp_events",
        sa.Column("id", ascii_text(30), nullable=False),
        sa.Column("event_id", sa.String(length=100), nullable=False),
        sa.Column("erp", ascii_text(40), nullable=False),
        sa.Column("type", sa.String(length=100), nullable=False),
        sa.Column("occurred_at", Instant()),
        sa.Column("received_at", Instant(), nullable=False),
        sa.Column("digest", ascii_text(64), nullable=False),
        sa.Column("body", BYTES, nullable=False),
        sa.Column("bytes", sa.Integer(), nullable=False),
        sa.Column("outcome", ascii_text(20), nullable=False),
        sa.Column("code", ascii_text(64), nullable=False),
        sa.Column("reason", sa.String(length=2000), nullable=False),
        sa.Column("order_id", ascii_text(30), nullable=False),
        sa.Column("customer_id", ascii_text(30), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        **TABLE_OPTIONS,
    )
    op.create_index("ix_erp_events_erp", "erp_events", ["erp", "received_at"])
    op.create_index("ix_erp_events_order", "erp_events", ["order_id", "id"])
    op.create_index("ix_erp_events_outcome", "erp_events", ["outcome", "erp", "id"])
    op.create_index("ix_erp_events_received", "erp_events", ["received_at", "outcome"])
    op.create_index("uq_erp_events_event", "erp_events", ["event_id", "erp"], unique=True)
