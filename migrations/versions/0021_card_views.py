"""Analysts' views of every study, with or without a draft: facts, readings, findings and how long each step took."""

from pathlib import Path

from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

_VIEWS = ("all_studies", "study_facts", "readings", "findings", "turnaround")


def upgrade() -> None:
    """Make the views, for the analysts' role to read."""
    op.get_bind().exec_driver_sql(Path(__file__).with_suffix(".sql").read_text())


def downgrade() -> None:
    """Views hold nothing of their own."""
    op.execute(f"DROP VIEW {', '.join(_VIEWS)}")
