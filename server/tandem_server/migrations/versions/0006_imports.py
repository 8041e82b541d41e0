"""Imports, what became of their rows, and which import touched a customer last."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from tandem_server.storage.dialects import TABLE_OPTIONS, Instant, Json, ascii_text

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.add_column("customers", sa.Column("import_id", ascii_text(40)))
    op.add_column("customers", sa.Column("import_row", sa.Integer()))
    op.create_table(
        "imports",
        sa.Column("id", ascii_text(40), nullable=False),
        sa.Column("source", ascii_text(40), nullable=False),
        sa.Column("state", ascii_text(20), nullable=False),
        sa.Column("mode", ascii_text(20), nullable=False),
        sa.Column("dry_run", sa.Boolean(), nullable=False),
        sa.Column("header", Json(), nullable=False),
        sa.Column("separator", ascii_text(1), nullable=False),
        sa.Column("runner", ascii_text(40), nullable=False),
        sa.Column("next_row", sa.Integer(), nullable=False),
        sa.Column("chain", ascii_text(64), nullable=False),
        *(
            sa.Column(outcome, sa.Integer(), nullable=False)
            for outcome in ("created", "updated", "unchanged", "failed", "ambiguous", "not_reached")
        ),
        sa.Column("error", sa.Text(), nullable=False),
        sa.Column("created_at", Instant(), nullable=False),
        sa.Column("updated_at", Instant(), nullable=False),
        sa.Column("finished_at", Instant()),
        sa.PrimaryKeyConstraint("id", "source"),
        **TABLE_OPTIONS,
    )
    op.create_index("ix_imports_created", "imports", ["created_at", "source"])
    op.create_table(
        "import_chunks",
        sa.Column("import_id", ascii_text(40), nullable=False),
        sa.Column("source", ascii_text(40), nullable=False),
        sa.Column("first_row", sa.Integer(), nullable=False),
        sa.Column("outcomes", ascii_text(500), nullable=False),
        sa.PrimaryKeyConstraint("import_id", "source", "first_row"),
        **TABLE_OPTIONS,
    )
    op.create_table(
        "import_faults",
        sa.Column("import_id", ascii_text(40), nullable=False),
        sa.Column("source", ascii_text(40), nullable=False),
        sa.Column("row_number", sa.Integer(), nullable=False),
        sa.Column("outcome", sa.String(length=20), nullable=False),
        sa.Column("reason", ascii_text(40), nullable=False),
        sa.Column("errors", Json(), nullable=False),
        sa.Column("original", Json(), nullable=False),
        sa.PrimaryKeyConstraint("import_id", "source", "row_number"),
        **TABLE_OPTIONS,
    )
