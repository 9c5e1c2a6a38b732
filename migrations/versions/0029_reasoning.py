"""Keeps what a model thought apart from what it says: ``reasoning`` of summaries and answers, and in their views."""

from pathlib import Path

from alembic import op

revision = "0029"
down_revision = "0028"
branch_labels = None
depends_on = None

_TABLES = ("summaries", "chat_turns")
_VIEWS = ("study_summaries", "chat_transcripts")


def upgrade() -> None:
    """The column, and the same as the last one of each view."""
    for table in _TABLES:
        op.execute(f"ALTER TABLE {table} ADD COLUMN reasoning TEXT")
    for view in _VIEWS:
        op.execute(_statement("0029_views.sql", f"VIEW {view} AS"))


def downgrade() -> None:
    """Without what models thought."""
    for view in _VIEWS:
        op.execute(f"DROP VIEW {view}")
        op.execute(_statement("0028_views.sql", f"VIEW {view} AS"))
    op.execute(f"GRANT SELECT ON {', '.join(_VIEWS)} TO xraygpt_reader")
    for table in _TABLES:
        op.execute(f"ALTER TABLE {table} DROP COLUMN reasoning")


def _statement(file: str, holds: str) -> str:
    """The one statement of a file that holds these words."""
    parts = Path(__file__).with_name(file).read_text().split(";\n")
    return next(part for part in parts if holds in part)
