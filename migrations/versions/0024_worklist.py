"""What lists are chosen by: indexes for filters, orders and words, who reads a study now, and whose a study is.

PostgreSQL's own full-text search, in its configuration ``simple``, needs no extension: the embedded server has none.
"""

from alembic import op

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None

# A text as it stands, corrected or not. New words wait in a short list: a search goes through all of that.
_WORDS = """
CREATE INDEX ix_summaries_words ON summaries
USING gin (to_tsvector('simple'::regconfig, COALESCE(edited_summary, summary)))
WITH (gin_pending_list_limit = 256) WHERE superseded_at IS NULL
"""
_UNCERTAIN = """
CREATE INDEX ix_summaries_uncertain ON summaries USING gin (uncertain)
WHERE superseded_at IS NULL AND uncertain <> '{}'
"""
_TEXT_FLAGS = """
CREATE INDEX ix_summaries_flags ON summaries USING gin (flags) WHERE superseded_at IS NULL AND flags <> '{}'
"""
_REVIEWERS = """
CREATE INDEX ix_summaries_reviewer ON summaries (reviewed_by, reviewed_at)
WHERE superseded_at IS NULL AND review_state <> 'draft'
"""
_REVIEWED = """
CREATE INDEX ix_summaries_reviewed ON summaries (review_state, lane_rank, reviewed_at)
WHERE superseded_at IS NULL AND review_state <> 'draft'
"""
_BUNDLES = "CREATE INDEX ix_summaries_current_bundle ON summaries (bundle) WHERE superseded_at IS NULL"
_FILM_FLAGS = "CREATE INDEX ix_studies_flags ON studies USING gin (flags) WHERE flags <> '{}'"
_VIEWS = "CREATE INDEX ix_studies_view ON studies (view, received_at)"
_LANES = "CREATE INDEX ix_studies_lane ON studies (lane_rank, received_at)"
_ACQUIRED = "CREATE INDEX ix_images_acquired_on ON images (acquired_on, id) WHERE acquired_on IS NOT NULL"

_CLAIMS = """
CREATE TABLE reading_claims (
    study_id uuid CONSTRAINT pk_reading_claims PRIMARY KEY
        CONSTRAINT fk_reading_claims_study_id_studies REFERENCES studies (id),
    key_id uuid CONSTRAINT fk_reading_claims_key_id_api_keys REFERENCES api_keys (id),
    name text NOT NULL,
    until timestamptz NOT NULL
)
"""
_ENDED = "CREATE INDEX ix_reading_claims_until ON reading_claims (until)"
_ASSIGNMENTS = """
CREATE TABLE assignments (
    study_id uuid CONSTRAINT pk_assignments PRIMARY KEY
        CONSTRAINT fk_assignments_study_id_studies REFERENCES studies (id),
    key_id uuid CONSTRAINT fk_assignments_key_id_api_keys REFERENCES api_keys (id),
    name text NOT NULL,
    assigned_by text NOT NULL,
    at timestamptz NOT NULL DEFAULT clock_timestamp()
)
"""
_MINE = "CREATE INDEX ix_assignments_name ON assignments (name, study_id)"

_INDEXES = (
    _WORDS, _UNCERTAIN, _TEXT_FLAGS, _REVIEWERS, _REVIEWED, _BUNDLES, _FILM_FLAGS, _VIEWS, _LANES, _ACQUIRED,
)  # fmt: skip
_MADE = (
    *("ix_summaries_words", "ix_summaries_uncertain", "ix_summaries_flags", "ix_summaries_reviewer"),
    "ix_summaries_reviewed",
    *("ix_summaries_current_bundle", "ix_studies_flags", "ix_studies_view", "ix_studies_lane"),
    "ix_images_acquired_on",
)


def upgrade() -> None:
    """Indexes over what is there, and two tables without a row."""
    for statement in (*_INDEXES, _CLAIMS, _ENDED, _ASSIGNMENTS, _MINE):
        op.execute(statement)


def downgrade() -> None:
    """Who was to read what is lost."""
    op.execute("DROP TABLE assignments")
    op.execute("DROP TABLE reading_claims")
    for name in _MADE:
        op.execute(f"DROP INDEX {name}")
