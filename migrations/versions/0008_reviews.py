"""Adds the table ``reviews``, whose rows are only added, and ``api_keys.kind``: a person or a program holds a key.

Keys that were made before become persons', the kind that may do less: a program that names reviewers needs a new one.
The one-machine stack's own, ``local``, becomes both.
"""

from pathlib import Path

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """The table with what is known so far, what keeps it, and the view."""
    op.get_bind().exec_driver_sql((Path(__file__).parent / "0008_reviews.sql").read_text())


def downgrade() -> None:
    """The summaries keep how they stand; earlier reviews are lost."""
    op.execute("DROP VIEW summary_reviews")
    op.execute("DROP TABLE reviews")
    op.execute("DROP FUNCTION reviews_are_kept")
    op.execute("ALTER TABLE api_keys DROP COLUMN kind")
