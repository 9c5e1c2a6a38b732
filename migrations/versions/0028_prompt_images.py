"""A text may be made from several films, say where it saw what it names, and a rule may answer a question."""

from pathlib import Path

from alembic import op

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None

_COLUMNS = {
    "installation": {"served_images": "text[]"},
    "studies": {"chosen_lateral": "uuid", "chosen_prior": "uuid"},
    "images": {"clinical_key": "text", "clinical_sha256": "text"},
    "summaries": {
        "lateral_image": "uuid",
        "prior_image": "uuid",
        "grounding": "jsonb NOT NULL DEFAULT '[]'",
    },
    "chat_turns": {
        "answered_by": "text NOT NULL DEFAULT 'model' "
        "CONSTRAINT ck_chat_turns_known_answerer CHECK (answered_by IN ('model', 'rule'))"
    },
}

_VIEWS = ("study_summaries", "chat_transcripts")


def upgrade() -> None:
    """Columns without a value or with a constant one: no row is written anew."""
    for table, columns in _COLUMNS.items():
        for name, kind in columns.items():
            op.execute(f"ALTER TABLE {table} ADD COLUMN {name} {kind}")
    _views("0028_views.sql")


def downgrade() -> None:
    """Boxes go, and an answer of a rule looks like one of a model."""
    _views("0011_views.sql")
    for table, columns in _COLUMNS.items():
        for name in columns:
            op.execute(f"ALTER TABLE {table} DROP COLUMN {name}")


def _views(file: str) -> None:
    made = Path(__file__).with_name(file).read_text().split(";\n")
    for name in _VIEWS:
        op.execute(f"DROP VIEW {name}")
        op.execute(next(part for part in made if f"CREATE VIEW {name} AS" in part))
    op.execute(f"GRANT SELECT ON {', '.join(_VIEWS)} TO xraygpt_reader")
