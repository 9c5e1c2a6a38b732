"""What a study's card says: what each film's header tells, and the findings that each text names.

Films and texts that are there already have neither: ``xraygpt facts`` and ``xraygpt relabel`` fill them in.
"""

from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

_IMAGES = """
ALTER TABLE images
    ADD COLUMN acquired_on date,
    ADD COLUMN acquired_time time,
    ADD COLUMN laterality text CONSTRAINT ck_images_known_side CHECK (laterality IN ('L', 'R')),
    ADD COLUMN spacing_mm real[] CONSTRAINT ck_images_two_spacings CHECK (cardinality(spacing_mm) = 2),
    ADD COLUMN spacing_at text CONSTRAINT ck_images_known_plane CHECK (spacing_at IN ('patient', 'detector')),
    ADD COLUMN facts_read boolean NOT NULL DEFAULT false
"""

_TEXTS = """
CREATE TABLE labelled_texts (
    source text NOT NULL CONSTRAINT ck_labelled_texts_known_source CHECK (source IN ('draft', 'review', 'answer')),
    source_id uuid NOT NULL,
    labeller text NOT NULL,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT pk_labelled_texts PRIMARY KEY (source, source_id)
)
"""

_LABELS = """
CREATE TABLE finding_labels (
    source text NOT NULL,
    source_id uuid NOT NULL,
    position smallint NOT NULL,
    finding text NOT NULL,
    side text CONSTRAINT ck_finding_labels_known_side CHECK (side IN ('left', 'right')),
    zone text CONSTRAINT ck_finding_labels_known_zone CHECK (zone IN ('upper', 'mid', 'lower')),
    status text NOT NULL CONSTRAINT ck_finding_labels_known_status
        CHECK (status IN ('present', 'absent', 'uncertain')),
    words_from integer NOT NULL,
    words_to integer NOT NULL,
    CONSTRAINT pk_finding_labels PRIMARY KEY (source, source_id, position),
    CONSTRAINT fk_finding_labels_source_source_id FOREIGN KEY (source, source_id)
        REFERENCES labelled_texts (source, source_id) ON DELETE CASCADE
)
"""

# Of the text as it stands: a list is filtered and its chips are drawn from these alone.
_STANDING = "ALTER TABLE summaries ADD COLUMN asserted text[], ADD COLUMN uncertain text[]"
_BY_FINDING = """
CREATE INDEX ix_summaries_asserted ON summaries USING gin (asserted)
WHERE superseded_at IS NULL AND asserted <> '{}'
"""
_ANALYSTS = "ALTER TABLE installation ADD COLUMN analyst_dates boolean NOT NULL DEFAULT false"


def upgrade() -> None:
    """Columns without a value, and two tables without a row: nothing is rewritten."""
    for statement in (_IMAGES, _TEXTS, _LABELS, _STANDING, _BY_FINDING, _ANALYSTS):
        op.execute(statement)


def downgrade() -> None:
    """What was read from headers and texts goes; both are there to be read again."""
    op.execute("ALTER TABLE installation DROP COLUMN analyst_dates")
    op.execute("DROP INDEX ix_summaries_asserted")
    op.execute("ALTER TABLE summaries DROP COLUMN asserted, DROP COLUMN uncertain")
    op.execute("DROP TABLE finding_labels")
    op.execute("DROP TABLE labelled_texts")
    op.execute(
        "ALTER TABLE images DROP COLUMN acquired_on, DROP COLUMN acquired_time, DROP COLUMN laterality, "
        "DROP COLUMN spacing_mm, DROP COLUMN spacing_at, DROP COLUMN facts_read"
    )
