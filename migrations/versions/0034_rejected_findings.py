"""What a rejected text says does not count as a finding."""

from pathlib import Path

from alembic import op

revision = "0034"
down_revision = "0033"
branch_labels = None
depends_on = None

# What was rejected before: a text that was labelled asserts nothing, one that was not stays so.
_REJECTED = """
UPDATE summaries SET asserted = CASE WHEN asserted IS NOT NULL THEN CAST('{}' AS text[]) END,
       uncertain = CASE WHEN uncertain IS NOT NULL THEN CAST('{}' AS text[]) END
WHERE review_state = 'rejected' AND (asserted <> '{}' OR uncertain <> '{}')
"""

# The findings of the text that stands, read from its labels again.
_AS_BEFORE = """
UPDATE summaries SET asserted = named.present, uncertain = named.perhaps
FROM (
    SELECT m.id, COALESCE(array_agg(DISTINCT l.finding ORDER BY l.finding) FILTER (WHERE l.status = 'present'), '{}')
               AS present,
           COALESCE(array_agg(DISTINCT l.finding ORDER BY l.finding) FILTER (
               WHERE l.status = 'uncertain' AND NOT EXISTS (
                   SELECT FROM finding_labels o WHERE o.source = l.source AND o.source_id = l.source_id
                   AND o.finding = l.finding AND o.status = 'present')), '{}') AS perhaps
    FROM summaries m
    LEFT JOIN LATERAL (
        SELECT r.id FROM reviews r WHERE r.summary_id = m.id AND r.text = m.edited_summary
        ORDER BY r.position DESC LIMIT 1) r ON true
    JOIN finding_labels l ON (l.source, l.source_id) = (
        CASE WHEN m.edited_summary IS NULL THEN 'draft' ELSE 'review' END, COALESCE(r.id, m.id))
    WHERE m.review_state = 'rejected' GROUP BY m.id
) AS named
WHERE summaries.id = named.id
"""


def upgrade() -> None:
    """The view has the same columns; of the summaries only the rejected ones are written anew."""
    op.get_bind().exec_driver_sql(Path(__file__).with_suffix(".sql").read_text())
    op.execute(_REJECTED)


def downgrade() -> None:
    """Rejected texts count again."""
    made = Path(__file__).with_name("0021_card_views.sql").read_text().split(";\n")
    before = next(part for part in made if "CREATE VIEW findings AS" in part)
    op.execute(before.replace("CREATE VIEW findings", "CREATE OR REPLACE VIEW findings"))
    op.execute(_AS_BEFORE)
