"""Films may be kept in 16 bits, too: where the copy lies, and what its codes mean. Films that were read have none."""

from alembic import op

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None

_IMAGES = """
ALTER TABLE images
    ADD COLUMN deep_key text,
    ADD COLUMN deep_sha256 text,
    ADD COLUMN deep_scale double precision[]
        CONSTRAINT ck_images_two_of_scale CHECK (cardinality(deep_scale) = 2),
    ADD COLUMN deep_window double precision[]
        CONSTRAINT ck_images_two_of_window CHECK (cardinality(deep_window) = 2)
"""
_BY_CONTENT = "CREATE INDEX ix_images_deep_sha256 ON images (deep_sha256) WHERE deep_sha256 IS NOT NULL"


def upgrade() -> None:
    """The columns, and the index by which a purge finds who else has a copy."""
    op.execute(_IMAGES)
    op.execute(_BY_CONTENT)


def downgrade() -> None:
    """The copies stay in the bucket, and no row says where."""
    for name in ("deep_key", "deep_sha256", "deep_scale", "deep_window"):
        op.execute(f"ALTER TABLE images DROP COLUMN {name}")
