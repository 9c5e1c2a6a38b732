"""Drops ``jobs.rung_at`` and its two indexes; adds ``ix_jobs_ready`` and ``ix_jobs_later``.

A doorbell names no job any more, so a job does not store when it was rung for. ``ix_jobs_ready`` holds the jobs that
may be claimed now, ``ix_jobs_later`` those that wait for their time (a paused backlog waits for ``infinity``). So
neither a claim nor a round of the dispatcher visits a row that it does not take.
"""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Replace the column and its indexes."""
    op.execute("DROP INDEX ix_jobs_rung")
    op.execute("DROP INDEX ix_jobs_unrung")
    op.execute("ALTER TABLE jobs DROP COLUMN rung_at")
    op.execute("CREATE INDEX ix_jobs_ready ON jobs (kind, lane_rank, id) WHERE state = 'queued' AND not_before IS NULL")
    op.execute("CREATE INDEX ix_jobs_later ON jobs (not_before) WHERE state = 'queued' AND not_before IS NOT NULL")


def downgrade() -> None:
    """As it was. Every job counts as not rung, so the dispatcher of the former version rings for all of them."""
    op.execute("DROP INDEX ix_jobs_ready")
    op.execute("DROP INDEX ix_jobs_later")
    op.execute("ALTER TABLE jobs ADD COLUMN rung_at TIMESTAMP WITH TIME ZONE")
    op.execute("CREATE INDEX ix_jobs_unrung ON jobs (kind, lane_rank, id) WHERE state = 'queued' AND rung_at IS NULL")
    op.execute(
        "CREATE INDEX ix_jobs_rung ON jobs (kind, lane_rank, rung_at) WHERE state = 'queued' AND rung_at IS NOT NULL"
    )
