"""How a person wants the pages: language and colours."""

from alembic import op

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """One row for each person who chose."""
    op.execute(
        "CREATE TABLE preferences (person text CONSTRAINT pk_preferences PRIMARY KEY, language text, theme text)"
    )


def downgrade() -> None:
    """Everybody has the browser's language and colours again."""
    op.execute("DROP TABLE preferences")
