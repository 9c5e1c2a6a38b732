"""A text carries its limits: is its film outside of what the model was made for, and where does it contradict itself.

No bundle declared anything before this version. Texts about people's films are flagged as outside, for nobody can say
that they are not; texts about drawn films stay as they are, and say that their bundle declared nothing.
"""

from alembic import op

revision = "0011"
down_revision = "0007"
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

_SAYS = "COALESCE({0}.provenance -> 'scope' ->> 'says', 'This bundle does not say what it was made for.')"

_SUMMARIES = """
CREATE VIEW study_summaries AS
SELECT s.id AS study_id,
       s.patient_pseudonym,
       s.accession_pseudonym,
       s.view,
       (ARRAY['stat', 'routine', 'backlog'])[s.lane_rank + 1] AS lane,
       s.state,
       m.findings,
       m.impression,
       COALESCE(m.edited_summary, m.summary) AS summary,
       m.bundle,
       m.bundle_sha256,
       m.lease_epoch,
       s.received_at,
       m.summarised_at,
       m.review_state{more}
FROM studies s
JOIN summaries m ON m.study_id = s.id AND m.superseded_at IS NULL
"""

_TRANSCRIPTS = """
CREATE VIEW chat_transcripts AS
SELECT t.id AS turn_id,
       t.study_id,
       t.summary_id,
       t.position,
       t.question,
       t.answer,
       t.state,
       t.bundle,
       t.bundle_sha256,
       t.asked_at,
       t.answered_at{more}
FROM chat_turns t
"""

_MORE_OF_SUMMARIES = f""",
       s.flags || m.flags AS flags,
       'out_of_scope' = ANY(m.flags) AS out_of_scope,
       {_SAYS.format("m")} AS scope,
       m.consistency"""

_MORE_OF_TURNS = f""",
       t.flags,
       'out_of_scope' = ANY(t.flags) AS out_of_scope,
       CASE WHEN t.state = 'done' THEN {_SAYS.format("t")} END AS scope,
       t.consistency"""


def upgrade() -> None:
    """The columns, what is known of texts that are there, and the views."""
    op.execute("ALTER TABLE summaries ADD COLUMN consistency JSONB NOT NULL DEFAULT '[]'")
    op.execute("ALTER TABLE chat_turns ADD COLUMN consistency JSONB NOT NULL DEFAULT '[]'")
    op.execute("ALTER TABLE chat_turns ADD COLUMN flags TEXT[] NOT NULL DEFAULT '{}'")
    op.execute(_FLAG_SUMMARIES)
    op.execute(_FLAG_TURNS)
    _views(_MORE_OF_SUMMARIES, _MORE_OF_TURNS)


def downgrade() -> None:
    """As it was, but for the flags: a version that does not know one shows it as it is written."""
    _views("", "")
    op.execute("ALTER TABLE chat_turns DROP COLUMN flags")
    op.execute("ALTER TABLE chat_turns DROP COLUMN consistency")
    op.execute("ALTER TABLE summaries DROP COLUMN consistency")


def _views(of_summaries: str, of_turns: str) -> None:
    for name, body, more in (
        ("study_summaries", _SUMMARIES, of_summaries),
        ("chat_transcripts", _TRANSCRIPTS, of_turns),
    ):
        op.execute(f"DROP VIEW {name}")
        op.execute(body.format(more=more))
        op.execute(f"GRANT SELECT ON {name} TO xraygpt_reader")
