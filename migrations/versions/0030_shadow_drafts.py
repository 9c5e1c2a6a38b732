"""Two models side by side: comparisons, the texts of both, and a view of those."""

from pathlib import Path

from alembic import op

revision = "0030"
down_revision = "0029"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables, empty, and the view for the analysts' role to read."""
    op.get_bind().exec_driver_sql(Path(__file__).with_suffix(".sql").read_text())


def downgrade() -> None:
    """The texts of comparisons are gone; those that readers see stay."""
    op.execute("DROP VIEW shadow_readings")
    op.execute("DROP TABLE shadow_drafts")
    op.execute("DROP TABLE comparisons")
