"""Adds ``images.preview_sha256``, so that a foreign picture under an image's key is detected.

The names of previews are their hashes, so existing rows get theirs. A preview whose key has another form is not shown
until its image is read again.
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
    """Add the column and fill it from the names of existing previews."""
    op.execute("ALTER TABLE images ADD COLUMN preview_sha256 TEXT")
    op.execute(_NAMED_BY_HASH)


def downgrade() -> None:
    """As it was."""
    op.execute("ALTER TABLE images DROP COLUMN preview_sha256")
