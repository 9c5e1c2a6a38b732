"""Signatures that were taken back are found by who gave them."""

from alembic import op

revision = "0031"
down_revision = "0030"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Drafts that were signed once: few among all."""
    op.execute(
        "CREATE INDEX ix_summaries_withdrawn ON summaries (study_id) "
        "WHERE superseded_at IS NULL AND review_state = 'draft' AND reviewed_at IS NOT NULL"
    )


def downgrade() -> None:
    """The lists do not look for them."""
    op.execute("DROP INDEX ix_summaries_withdrawn")
