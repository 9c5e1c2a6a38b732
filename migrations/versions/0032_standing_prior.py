"""Whether a film still stands as the prior of a study, and which studies and texts have a film as their prior."""

from pathlib import Path

from alembic import op

revision = "0032"
down_revision = "0031"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds the function and two indexes, each of few rows."""
    op.get_bind().exec_driver_sql(Path(__file__).with_suffix(".sql").read_text())


def downgrade() -> None:
    """Drops them; the release before asks for none."""
    op.execute("DROP INDEX ix_summaries_prior")
    op.execute("DROP INDEX ix_studies_prior")
    op.execute("DROP FUNCTION standing_prior")
