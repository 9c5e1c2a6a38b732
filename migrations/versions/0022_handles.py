"""Adds the indexes by which a study, summary, chat turn or dead job is found by the last digits of its id.

Five digits stand in an index, so an entry is as small as a number; ids grow in front, so the digits at the end are
random and few rows share them. Of jobs, people name the dead ones alone. Backlogs and runs are few: they need none.
"""

from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None

_WHERE = {"studies": "", "summaries": "", "chat_turns": "", "jobs": " WHERE state = 'dead'"}


def upgrade() -> None:
    """Four indexes; a million rows take a second or two."""
    for table, where in _WHERE.items():
        op.execute(f"CREATE INDEX ix_{table}_tail ON {table} (right(CAST(id AS text), 5)){where}")


def downgrade() -> None:
    """As it was."""
    for table in _WHERE:
        op.execute(f"DROP INDEX ix_{table}_tail")
