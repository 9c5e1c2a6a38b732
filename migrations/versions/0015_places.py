"""Adds ``place`` to ``studies`` and ``jobs``, and to the index of claims: senders take turns.

See ``xraygpt_core/ledger/fair_share.py``. Waiting work gets place 0 and goes first, the oldest first, as before.
"""

from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns, and put them into the index of claims."""
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
