"""Adds pseudonyms to ``images`` and ``studies``; a StudyInstanceUID is unique for each patient, not in all.

A study belongs to one patient, and two patients may share a StudyInstanceUID. Images that were read before have
``names_read = false``; ``xraygpt repair`` reads their headers again.
"""

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_UID = "CREATE UNIQUE INDEX ix_studies_uid_pseudonym ON studies ({columns}) WHERE uid_pseudonym IS NOT NULL"


def upgrade() -> None:
    """Add the columns and the unique index."""
    for name in ("patient_pseudonym", "patient_id_pseudonym", "accession_pseudonym"):
        op.execute(f"ALTER TABLE images ADD COLUMN {name} TEXT")
    op.execute("ALTER TABLE images ADD COLUMN names_read BOOLEAN NOT NULL DEFAULT false")
    op.execute("ALTER TABLE studies ADD COLUMN patient_id_pseudonym TEXT")
    op.execute("ALTER TABLE studies ADD COLUMN other_pseudonyms TEXT[] NOT NULL DEFAULT '{}'")
    op.execute("DROP INDEX ix_studies_uid_pseudonym")
    op.execute(_UID.format(columns="uid_pseudonym, patient_pseudonym"))
    op.execute(
        "CREATE INDEX ix_studies_other_pseudonyms ON studies USING gin (other_pseudonyms) "
        "WHERE other_pseudonyms <> '{}'"
    )


def downgrade() -> None:
    """As it was. PostgreSQL refuses if studies of two patients share a StudyInstanceUID: purge one of them first."""
    op.execute("DROP INDEX ix_studies_uid_pseudonym")
    op.execute(_UID.format(columns="uid_pseudonym"))
    op.execute("DROP INDEX ix_studies_other_pseudonyms")
    for name in ("other_pseudonyms", "patient_id_pseudonym"):
        op.execute(f"ALTER TABLE studies DROP COLUMN {name}")
    for name in ("names_read", "accession_pseudonym", "patient_id_pseudonym", "patient_pseudonym"):
        op.execute(f"ALTER TABLE images DROP COLUMN {name}")
