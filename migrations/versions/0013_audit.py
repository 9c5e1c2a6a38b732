"""Adds the audit: ``audit``, ``audit_open`` and ``audit_seals``, with triggers that keep their rows."""

from pathlib import Path

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the empty tables and their triggers."""
    op.get_bind().exec_driver_sql((Path(__file__).parent / "0013_audit.sql").read_text())


def downgrade() -> None:
    """The record is lost: export it first."""
    for table in ("audit_seals", "audit_open", "audit"):
        op.execute(f"DROP TABLE {table}")
    op.execute("DROP FUNCTION audit_is_kept")
