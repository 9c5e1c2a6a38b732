"""A backlog knows which change of it is the newest: one that still walks through a million images stops for it."""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """The change that is at work; nobody is while a database is migrated."""
    op.execute("ALTER TABLE backlogs ADD COLUMN changing UUID")


def downgrade() -> None:
    """As it was."""
    op.execute("ALTER TABLE backlogs DROP COLUMN changing")
