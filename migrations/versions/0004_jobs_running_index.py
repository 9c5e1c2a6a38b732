"""Takes the lease out of the indexes of ``jobs``, drops a foreign key of ``backlog_images``, adds ``backlogs.problem``.

``lease_until`` changes with every heartbeat. In no index, such an update stays within its page (HOT). The search for
expired leases reads all running jobs, which are never many. Backlogs are never removed, so the foreign key from their
images guarded nothing, and cost a row lock for every object of a listing. ``problem`` says why a listing stands still.
"""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Replace the index, drop the key, and leave room in the pages for heartbeats."""
    op.execute("DROP INDEX ix_jobs_leased")
    op.execute("CREATE INDEX ix_jobs_running ON jobs (kind, lane_rank) WHERE state = 'running'")
    op.execute("ALTER TABLE jobs SET (fillfactor = 85)")
    op.execute("ALTER TABLE backlog_images DROP CONSTRAINT fk_backlog_images_backlog_id")
    op.execute("ALTER TABLE backlogs ADD COLUMN problem TEXT")


def downgrade() -> None:
    """As it was."""
    op.execute("ALTER TABLE backlogs DROP COLUMN problem")
    op.execute("DROP INDEX ix_jobs_running")
    op.execute("CREATE INDEX ix_jobs_leased ON jobs (lease_until) WHERE state = 'running'")
    op.execute("ALTER TABLE jobs RESET (fillfactor)")
    op.execute(
        "ALTER TABLE backlog_images ADD CONSTRAINT fk_backlog_images_backlog_id "
        "FOREIGN KEY (backlog_id) REFERENCES backlogs (id) ON DELETE CASCADE"
    )
