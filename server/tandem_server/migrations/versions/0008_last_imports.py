"""The last import of each party is found without reading all of them."""

from __future__ import annotations

from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    op.create_index("ix_imports_last", "imports", ["source", "dry_run", "created_at"])
