"""Adds ``images.origin``: how the pixels came about. A film is summarised before an image that was computed from it."""

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Images that were read before count as films, as they did; their flags say what is known of them."""
    op.execute("ALTER TABLE images ADD COLUMN origin SMALLINT NOT NULL DEFAULT 0")


def downgrade() -> None:
    """As it was."""
    op.execute("ALTER TABLE images DROP COLUMN origin")
