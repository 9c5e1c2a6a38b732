"""Adds ``place`` to ``studies`` and ``jobs``, and puts it into ``ix_jobs_ready``: senders take turns in a lane.

See ``xraygpt_core/ledger/fair_share.py``. Jobs that wait at the upgrade have place 0 and go first, the oldest before
the others, as they would have.
"""

from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """The column of studies and of their jobs, and the index that claims read in its order."""
    op.execute("ALTER TABLE studies ADD COLUMN place BIGINT NOT NULL DEFAULT 0")
    op.execute("ALTER TABLE jobs ADD COLUMN place BIGINT NOT NULL DEFAULT 0")
    _index("kind, lane_rank, place, id")


def downgrade() -> None:
    """As it was."""
    _index("kind, lane_rank, id")
    op.execute("ALTER TABLE jobs DROP COLUMN place")
    op.execute("ALTER TABLE studies DROP COLUMN place")


def _index(columns: str) -> None:
    op.execute("DROP INDEX ix_jobs_ready")
    op.execute(f"CREATE INDEX ix_jobs_ready ON jobs ({columns}) WHERE state = 'queued' AND not_before IS NULL")
