"""Creates the ledger: its tables, the analysts' views, and the role that may read them."""

from pathlib import Path

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create everything."""
    here = Path(__file__).parent
    for name in ("0001_tables.sql", "0001_views.sql"):
        op.get_bind().exec_driver_sql((here / name).read_text())


def downgrade() -> None:
    """There is nothing below the first version: restore a back-up instead."""
    raise RuntimeError("the first version has no version below it: restore a back-up instead")
