"""Adds the table ``reviews`` with triggers that keep its rows, the view ``summary_reviews``, and ``api_keys.kind``.

Existing keys become persons' keys, the kind with fewer rights: a program that names reviewers needs a new one. The
one-machine stack's own key, ``local``, becomes ``both``.
"""

from pathlib import Path

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the table, its rows so far, its triggers, and the view."""
    op.get_bind().exec_driver_sql((Path(__file__).parent / "0008_reviews.sql").read_text())


def downgrade() -> None:
    """Summaries keep their current review; the history is lost."""
    op.execute("DROP VIEW summary_reviews")
    op.execute("DROP TABLE reviews")
    op.execute("DROP FUNCTION reviews_are_kept")
    op.execute("ALTER TABLE api_keys DROP COLUMN kind")
