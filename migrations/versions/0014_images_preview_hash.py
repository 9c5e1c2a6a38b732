"""Adds ``images.preview_sha256``, so that a picture of another person under a preview's key is found out.

Previews were always named by their hash. Where a key has another form, the hash is not known, and the preview is not
shown until the image is read again.
"""

from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

_NAMED_BY_HASH = r"""
UPDATE images SET preview_sha256 = found.parts[2]
FROM (SELECT id, regexp_match(preview_key, '^preview/([0-9a-f]{2})/(\1[0-9a-f]{62})\.png$') AS parts FROM images) found
WHERE found.id = images.id AND found.parts IS NOT NULL
"""


def upgrade() -> None:
    """The column, and what the names of previews that are there say."""
    op.execute("ALTER TABLE images ADD COLUMN preview_sha256 TEXT")
    op.execute(_NAMED_BY_HASH)


def downgrade() -> None:
    """As it was."""
    op.execute("ALTER TABLE images DROP COLUMN preview_sha256")
