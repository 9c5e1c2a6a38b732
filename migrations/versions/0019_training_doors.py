"""Training runs are paused, say why they failed and what they wait for, and have files that trainers alone see.

Adds the role ``trainer``, studies that are excluded from training, and which studies a run was given.
"""

from pathlib import Path

from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

_HERE = Path(__file__)


def upgrade() -> None:
    """Add the columns and tables, and let a key have the new role. A key that held every role holds it, too."""
    op.execute(_HERE.with_suffix(".sql").read_text())


def downgrade() -> None:
    """As it was. A key or session that was a trainer's alone ends."""
    op.execute(_HERE.with_name(f"{_HERE.stem}_undo.sql").read_text())
