"""Adds ``images.origin``: how the pixels came about, so that a computed image is never summarised before a film."""

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; existing images count as films, as before."""
    op.execute("ALTER TABLE images ADD COLUMN origin SMALLINT NOT NULL DEFAULT 0")


def downgrade() -> None:
    """As it was."""
    op.execute("ALTER TABLE images DROP COLUMN origin")
