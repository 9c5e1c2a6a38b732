"""What a request says of its films, under seal; and what a comparison shows its models beside the film."""

from alembic import op

revision = "0033"
down_revision = "0032"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """A table, empty, and columns without a value or with a constant one."""
    op.execute(
        "CREATE TABLE request_words ("
        "image_id uuid NOT NULL, number bigint NOT NULL GENERATED ALWAYS AS IDENTITY, box bytea NOT NULL, "
        "sha256 text NOT NULL, revision integer NOT NULL DEFAULT 0, at timestamptz NOT NULL DEFAULT clock_timestamp(), "
        "CONSTRAINT pk_request_words PRIMARY KEY (image_id, number), "
        "CONSTRAINT fk_request_words_image_id_images FOREIGN KEY (image_id) REFERENCES images (id) ON DELETE CASCADE)"
    )
    op.execute("ALTER TABLE installation ADD COLUMN served_clinical boolean")
    op.execute("ALTER TABLE shadow_drafts ADD COLUMN beside jsonb NOT NULL DEFAULT '{}'")


def downgrade() -> None:
    """The words of requests are gone; those of headers stay."""
    op.execute("ALTER TABLE shadow_drafts DROP COLUMN beside")
    op.execute("ALTER TABLE installation DROP COLUMN served_clinical")
    op.execute("DROP TABLE request_words")
