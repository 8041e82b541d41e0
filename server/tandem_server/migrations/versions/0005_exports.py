"""What is kept of each export."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from tandem_server.storage.dialects import TABLE_OPTIONS, Instant, ascii_text

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.create_table(
        "exports",
        sa.Column("id", ascii_text(30), nullable=False),
        sa.Column("source", ascii_text(40)),
        sa.Column("subject", ascii_text(20), nullable=False),
        sa.Column("format", ascii_text(20), nullable=False),
        sa.Column("actor", sa.String(length=200), nullable=False),
        sa.Column("watermark", Instant(), nullable=False),
        sa.Column("started_at", Instant(), nullable=False),
        sa.Column("finished_at", Instant()),
        sa.Column("rows_sent", sa.BigInteger()),
        sa.Column("bytes_sent", sa.BigInteger()),
        sa.Column("sha256", ascii_text(64)),
        sa.PrimaryKeyConstraint("id"),
        **TABLE_OPTIONS,
    )
