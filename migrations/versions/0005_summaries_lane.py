"""Adds ``summaries.lane_rank`` and the indexes of the worklist: drafts that await a review, and signed summaries.

An index cannot look into another table, so a summary stores the lane of its study. Each index holds only the rows of
its list, so a page costs the same with ten summaries and with ten million.
"""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the lane and the two indexes."""
    op.execute("ALTER TABLE summaries ADD COLUMN lane_rank SMALLINT NOT NULL DEFAULT 1")
    op.execute(
        "UPDATE summaries SET lane_rank = s.lane_rank FROM studies s "
        "WHERE s.id = summaries.study_id AND summaries.superseded_at IS NULL AND s.lane_rank <> 1"
    )
    op.execute(
        "CREATE INDEX ix_summaries_awaiting ON summaries (lane_rank, summarised_at, id) "
        "WHERE superseded_at IS NULL AND review_state = 'draft'"
    )
    op.execute(
        "CREATE INDEX ix_summaries_signed ON summaries (reviewed_at, id) "
        "WHERE superseded_at IS NULL AND review_state <> 'draft'"
    )


def downgrade() -> None:
    """As it was."""
    op.execute("DROP INDEX ix_summaries_signed")
    op.execute("DROP INDEX ix_summaries_awaiting")
    op.execute("ALTER TABLE summaries DROP COLUMN lane_rank")
