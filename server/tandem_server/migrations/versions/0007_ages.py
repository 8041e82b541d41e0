"""What old rows are found by: indexes, imports whose rows are deleted, and revisions that are of the past.

A server of the version before that still runs, and changes orders, leaves their old lines where they are.
"""

from __future__ import annotations

from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op

from tandem_server.storage.dialects import TABLE_OPTIONS, Instant, ascii_text

revision = "0007"
down_revision = "0006"

AT_ONCE = 500


def upgrade() -> None:
    op.create_index("ix_erp_events_age", "erp_events", ["outcome", "received_at"])
    op.create_index("ix_exports_started", "exports", ["started_at"])
    op.add_column("imports", sa.Column("rows_deleted_at", Instant()))
    op.create_index("ix_imports_rows", "imports", ["rows_deleted_at", "updated_at"])
    op.create_table(
        "old_revisions",
        sa.Column("order_id", ascii_text(30), nullable=False),
        sa.Column("revision", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("superseded_at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("order_id", "revision"),
        **TABLE_OPTIONS,
    )
    op.create_index("ix_old_revisions_superseded", "old_revisions", ["superseded_at"])
    _find_old_revisions()


def _find_old_revisions() -> None:
    """Read first and write then: INSERT … SELECT would lock what it reads."""
    connection = op.get_bind()
    query = (
        "SELECT DISTINCT order_lines.order_id, order_lines.revision FROM orders JOIN order_lines "
        "ON order_lines.order_id = orders.id AND order_lines.revision < orders.revision WHERE orders.revision > 1"
    )
    table = sa.table(
        "old_revisions", sa.column("order_id"), sa.column("revision"), sa.column("superseded_at", Instant())
    )
    for rows in connection.execute(sa.text(query)).mappings().partitions(AT_ONCE):
        connection.execute(sa.insert(table), [{**row, "superseded_at": datetime.now(UTC)} for row in rows])
