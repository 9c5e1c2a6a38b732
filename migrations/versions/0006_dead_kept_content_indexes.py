"""Adds indexes of ``studies`` by age and of ``images`` by content; orders ``ix_jobs_dead`` by id.

They serve retention, the purge (which must know the studies that share a picture), and the replay of dead jobs.
"""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Dead jobs by id instead of by the time of their death; the other two are new."""
    op.execute("DROP INDEX ix_jobs_dead")
    op.execute("CREATE INDEX ix_jobs_dead ON jobs (id) WHERE state = 'dead'")
    op.execute("CREATE INDEX ix_studies_kept ON studies (received_at) WHERE purged_at IS NULL AND alias_of IS NULL")
    op.execute(
        "CREATE INDEX ix_images_normalised_sha256 ON images (normalised_sha256) WHERE normalised_sha256 IS NOT NULL"
    )


def downgrade() -> None:
    """As it was."""
    op.execute("DROP INDEX ix_images_normalised_sha256")
    op.execute("DROP INDEX ix_studies_kept")
    op.execute("DROP INDEX ix_jobs_dead")
    op.execute("CREATE INDEX ix_jobs_dead ON jobs (finished_at) WHERE state = 'dead'")
