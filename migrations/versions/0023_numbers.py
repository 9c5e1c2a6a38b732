"""A rejected film is found by its number, an installation may keep numbers sealed, and a study's readers are listed.

Films that were rejected before have no names here: their headers were not kept.
"""

from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None

_REJECTED = """
CREATE TABLE rejected_names (
    pseudonym text NOT NULL,
    image_id uuid NOT NULL,
    CONSTRAINT pk_rejected_names PRIMARY KEY (pseudonym, image_id),
    CONSTRAINT fk_rejected_names_image_id FOREIGN KEY (image_id) REFERENCES images (id) ON DELETE CASCADE
)
"""
_REJECTED_IMAGE = "CREATE INDEX ix_rejected_names_image_id ON rejected_names (image_id)"

_SEALED = """
CREATE TABLE sealed_numbers (
    image_id uuid NOT NULL,
    sealed text NOT NULL,
    key_fingerprint text NOT NULL,
    CONSTRAINT pk_sealed_numbers PRIMARY KEY (image_id),
    CONSTRAINT fk_sealed_numbers_image_id FOREIGN KEY (image_id) REFERENCES images (id) ON DELETE CASCADE
)
"""
_KEY = "ALTER TABLE installation ADD COLUMN sealing_fingerprint text"

# Who looked at a study is asked of the whole audit.
_LOOKED = "CREATE INDEX ix_audit_study_id ON audit (study_id) WHERE study_id IS NOT NULL"


def upgrade() -> None:
    """Two tables without a row, a column without a value, and an index of the audit."""
    for statement in (_REJECTED, _REJECTED_IMAGE, _SEALED, _KEY, _LOOKED):
        op.execute(statement)


def downgrade() -> None:
    """The sealed numbers go; the films' headers still hold them."""
    op.execute("DROP INDEX ix_audit_study_id")
    op.execute("ALTER TABLE installation DROP COLUMN sealing_fingerprint")
    op.execute("DROP TABLE sealed_numbers")
    op.execute("DROP TABLE rejected_names")
