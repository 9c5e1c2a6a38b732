"""Makes three indexes of ``studies`` partial: they hold only rows with a pseudonym.

A registered object has no pseudonyms until it is read, and a million of them left a million empty entries.
"""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_PSEUDONYMS = ("patient_pseudonym", "accession_pseudonym")


def upgrade() -> None:
    """Replace whole indexes by partial ones."""
    op.execute("ALTER TABLE studies DROP CONSTRAINT uq_studies_uid_pseudonym")
    op.execute(
        "CREATE UNIQUE INDEX ix_studies_uid_pseudonym ON studies (uid_pseudonym) WHERE uid_pseudonym IS NOT NULL"
    )
    for name in _PSEUDONYMS:
        op.execute(f"DROP INDEX ix_studies_{name}")
        op.execute(f"CREATE INDEX ix_studies_{name} ON studies ({name}) WHERE {name} IS NOT NULL")


def downgrade() -> None:
    """As it was."""
    for name in _PSEUDONYMS:
        op.execute(f"DROP INDEX ix_studies_{name}")
        op.execute(f"CREATE INDEX ix_studies_{name} ON studies ({name})")
    op.execute("DROP INDEX ix_studies_uid_pseudonym")
    op.execute("ALTER TABLE studies ADD CONSTRAINT uq_studies_uid_pseudonym UNIQUE (uid_pseudonym)")
