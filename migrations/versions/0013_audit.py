"""Adds the audit tables: who did what, in rows that are only added and are sealed into a chain of hashes."""

from pathlib import Path

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """The tables, empty, and what keeps them."""
    op.get_bind().exec_driver_sql((Path(__file__).parent / "0013_audit.sql").read_text())


def downgrade() -> None:
    """The record is lost: export it first."""
    for table in ("audit_seals", "audit_open", "audit"):
        op.execute(f"DROP TABLE {table}")
    op.execute("DROP FUNCTION audit_is_kept")
