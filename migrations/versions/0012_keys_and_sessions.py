"""Adds roles, owner, expiry and last use to ``api_keys``, cleans their names, and adds the table ``sessions``.

Existing keys get every role and the lane ``stat``, so they can do what they could. Names lose their invisible letters,
and of several valid keys of one name the oldest keeps it; the others are numbered. All of them stay valid.
"""

import re
from itertools import count

from alembic import op
from sqlalchemy import text

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

_ROLES = "ARRAY['reader', 'lead', 'analyst', 'operator', 'admin', 'service']"
# As the ledger refuses them (xraygpt_core/ledger/access/api_keys.py) at the time of this version.
_UNSEEN = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)
_LONGEST_NAME = 200

_COLUMNS = f"""
ALTER TABLE api_keys
    ADD COLUMN roles TEXT[] NOT NULL DEFAULT {_ROLES},
    ADD COLUMN stat BOOLEAN NOT NULL DEFAULT true,
    ADD COLUMN owner TEXT,
    ADD COLUMN expires_at TIMESTAMP WITH TIME ZONE,
    ADD COLUMN last_used_at TIMESTAMP WITH TIME ZONE,
    ADD COLUMN replaced_by UUID CONSTRAINT fk_api_keys_replaced_by REFERENCES api_keys (id),
    ADD CONSTRAINT ck_api_keys_known_roles CHECK (roles <@ {_ROLES} AND cardinality(roles) > 0);
ALTER TABLE api_keys ALTER COLUMN roles DROP DEFAULT, ALTER COLUMN stat SET DEFAULT false
"""

# A key that was replaced shares its name with the one that replaces it until it expires.
_INDEX = """
CREATE UNIQUE INDEX ix_api_keys_name ON api_keys (name) WHERE revoked_at IS NULL AND replaced_by IS NULL
"""

_SESSIONS = f"""
CREATE TABLE sessions (
    id UUID NOT NULL,
    token_sha256 TEXT NOT NULL,
    person TEXT NOT NULL,
    kind TEXT NOT NULL,
    roles TEXT[] NOT NULL,
    stat BOOLEAN NOT NULL DEFAULT false,
    how TEXT NOT NULL,
    key_id UUID,
    opened_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    used_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    ended_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT pk_sessions PRIMARY KEY (id),
    CONSTRAINT uq_sessions_token_sha256 UNIQUE (token_sha256),
    CONSTRAINT fk_sessions_key_id FOREIGN KEY (key_id) REFERENCES api_keys (id),
    CONSTRAINT ck_sessions_known_roles CHECK (roles <@ {_ROLES} AND cardinality(roles) > 0)
);
CREATE INDEX ix_sessions_opened_at ON sessions (opened_at)
"""


def upgrade() -> None:
    """Add the columns, clean the names, and add the table."""
    op.execute(_COLUMNS)
    _rename()
    op.execute(_INDEX)
    op.execute(_SESSIONS)


def downgrade() -> None:
    """Every key may do everything again, and every browser must sign in again."""
    op.execute("DROP TABLE sessions")
    op.execute("DROP INDEX ix_api_keys_name")
    op.execute("ALTER TABLE api_keys DROP CONSTRAINT ck_api_keys_known_roles")
    for name in ("replaced_by", "last_used_at", "expires_at", "owner", "stat", "roles"):
        op.execute(f"ALTER TABLE api_keys DROP COLUMN {name}")


def _rename() -> None:
    """Give every key a name that can be read, and every valid one a name of its own."""
    keys = "SELECT id, name, revoked_at IS NULL AS valid FROM api_keys ORDER BY created_at, id"
    found = op.get_bind().execute(text(keys)).all()
    borne, taken = {key.name for key in found}, set[str]()
    for key in found:
        new = _seen(key.name) or f"key {str(key.id)[:8]}"
        if key.valid and new in taken:
            new = _free(new, borne | taken)
        if key.valid:
            taken.add(new)
        if new != key.name:
            op.get_bind().execute(text("UPDATE api_keys SET name = :name WHERE id = :id"), {"id": key.id, "name": new})


def _seen(name: str) -> str:
    shown = "".join(letter for letter in name if letter.isprintable())
    return " ".join(_UNSEEN.sub("", shown).split())[:_LONGEST_NAME].strip()


def _free(name: str, taken: set[str]) -> str:
    """The name with the first number that is free."""
    begin = name[: _LONGEST_NAME - 10]
    return next(one for one in (f"{begin} ({number})" for number in count(2)) if one not in taken)
