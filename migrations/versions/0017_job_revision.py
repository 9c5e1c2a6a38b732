"""Adds ``jobs.revision``: which revision of its study a settle or summarise job is about.

It is filled from the keys of the jobs that are there. Until now it stood in the key alone.
"""

from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """The column, filled for every job whose key names a revision."""
    op.execute("ALTER TABLE jobs ADD COLUMN revision INTEGER")
    op.execute(
        "UPDATE jobs SET revision = CAST(split_part(key, ':', 2) AS integer) WHERE kind IN ('settle', 'summarise')"
    )


def downgrade() -> None:
    """As it was."""
    op.execute("ALTER TABLE jobs DROP COLUMN revision")
