"""Adds ``backlogs.changing``: the newest change of a backlog. An older change that is still at work stops for it."""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """The column, empty: no change is at work while a database is migrated."""
    op.execute("ALTER TABLE backlogs ADD COLUMN changing UUID")


def downgrade() -> None:
    """As it was."""
    op.execute("ALTER TABLE backlogs DROP COLUMN changing")
