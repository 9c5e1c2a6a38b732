"""Adds ``backlogs.changing``: the id of the newest change, for which an earlier change of a million images stops."""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; no change is under way during a migration."""
    op.execute("ALTER TABLE backlogs ADD COLUMN changing UUID")


def downgrade() -> None:
    """As it was."""
    op.execute("ALTER TABLE backlogs DROP COLUMN changing")
