"""Adds ``consistency`` to ``summaries`` and ``chat_turns``, ``flags`` to ``chat_turns``, and both to the views.

No bundle declared a scope before this version. So texts about real films are flagged ``out_of_scope``; texts about
phantoms stay as they are. All of them say that their bundle declared nothing.
"""

from pathlib import Path

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

_FLAG_SUMMARIES = """
UPDATE summaries t SET flags = t.flags || ARRAY['out_of_scope'] FROM studies s
WHERE s.id = t.study_id AND NOT 'synthetic' = ANY(s.flags) AND NOT 'out_of_scope' = ANY(t.flags)
"""

_FLAG_TURNS = """
UPDATE chat_turns t SET flags = t.flags || ARRAY['out_of_scope'] FROM studies s
WHERE s.id = t.study_id AND NOT 'synthetic' = ANY(s.flags) AND t.state = 'done'
"""

_NAMES = ("study_summaries", "chat_transcripts")
_REVIEWS = "summary_reviews"


def upgrade() -> None:
    """Add the columns, flag existing texts, and replace the views."""
    op.execute("ALTER TABLE summaries ADD COLUMN consistency JSONB NOT NULL DEFAULT '[]'")
    op.execute("ALTER TABLE chat_turns ADD COLUMN consistency JSONB NOT NULL DEFAULT '[]'")
    op.execute("ALTER TABLE chat_turns ADD COLUMN flags TEXT[] NOT NULL DEFAULT '{}'")
    op.execute(_FLAG_SUMMARIES)
    op.execute(_FLAG_TURNS)
    _views("0011_views.sql", *_NAMES, _REVIEWS)


def downgrade() -> None:
    """As it was, except for the flags: an earlier version shows an unknown flag as it is written."""
    _views("0001_views.sql", *_NAMES)
    _views("0008_reviews.sql", _REVIEWS)
    op.execute("ALTER TABLE chat_turns DROP COLUMN flags")
    op.execute("ALTER TABLE chat_turns DROP COLUMN consistency")
    op.execute("ALTER TABLE summaries DROP COLUMN consistency")


def _views(file: str, *names: str) -> None:
    made = Path(__file__).with_name(file).read_text().split(";\n")
    for name in names:
        op.execute(f"DROP VIEW {name}")
        op.execute(next(part for part in made if f"CREATE VIEW {name} AS" in part))
    op.execute(f"GRANT SELECT ON {', '.join(names)} TO xraygpt_reader")
