"""Adds the table ``unrotated_images`` and two columns of ``installation``: the state of a rotation of pseudonyms.

From this version on each process has a database role. ``migrations/grants.py`` makes the roles after the last version.
"""

from alembic import op

from xraygpt_core.logins import ROLES

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

_TAKE_BACK = """
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = '{role}') THEN
        REVOKE ALL ON ALL TABLES IN SCHEMA public FROM {role};
        REVOKE ALL ON SCHEMA public FROM {role};
    END IF;
END
$$
"""


def upgrade() -> None:
    """Add the columns and the table."""
    op.execute("ALTER TABLE installation ADD COLUMN hmac_old_fingerprint TEXT, ADD COLUMN hmac_rotated_until UUID")
    op.execute(
        """
        CREATE TABLE unrotated_images (
            image_id UUID NOT NULL,
            CONSTRAINT pk_unrotated_images PRIMARY KEY (image_id),
            CONSTRAINT fk_unrotated_images_image_id FOREIGN KEY (image_id) REFERENCES images (id) ON DELETE CASCADE
        )
        """
    )


def downgrade() -> None:
    """Roles stay, because another database of this server may use them; their rights here are revoked."""
    op.execute("DROP TABLE unrotated_images")
    op.execute("ALTER TABLE installation DROP COLUMN hmac_old_fingerprint, DROP COLUMN hmac_rotated_until")
    for role in ROLES:
        op.execute(_TAKE_BACK.format(role=role))
