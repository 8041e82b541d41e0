"""Keys of callers."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from tandem_server.storage.dialects import TABLE_OPTIONS, Instant, Json, ascii_text

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_table(
        "api_keys",
        sa.Column("id", ascii_text(30), nullable=False),
        sa.Column("digest", ascii_text(64), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("roles", Json(), nullable=False),
        sa.Column("source", ascii_text(40)),
        sa.Column("erp", ascii_text(40)),
        sa.Column("created_by", sa.String(length=100), nullable=False),
        sa.Column("created_at", Instant(), nullable=False),
        sa.Column("expires_at", Instant()),
        sa.Column("revoked_at", Instant()),
        sa.Column("last_used_at", Instant()),
        sa.PrimaryKeyConstraint("id"),
        **TABLE_OPTIONS,
    )
