"""Rollups of the work, a row for each worker process, and events that could not be read; views of the first two.

The rollups fill themselves: the control worker goes through the last week once (``xraygpt_core/ledger/operations``).
"""

from pathlib import Path

from alembic import op

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None

_VIEWS = ("workers_now", "workers_hourly", "work_history", "backlog_history")
_TABLES = ("unreadable_events", "workers", "backlog_rollup", "worker_rollup", "work_rollup")


def upgrade() -> None:
    """Make them. The one index on a large table holds a time for each finished job: a second for a million."""
    op.execute(Path(__file__).with_suffix(".sql").read_text())
    op.execute("CREATE INDEX ix_jobs_finished ON jobs (finished_at) WHERE finished_at IS NOT NULL")


def downgrade() -> None:
    """As it was. What the rollups know beyond the jobs themselves, such as the ages of queues, is gone."""
    for view in _VIEWS:
        op.execute(f"DROP VIEW {view}")
    op.execute("DROP INDEX ix_jobs_finished")
    for table in _TABLES:
        op.execute(f"DROP TABLE {table}")
