"""Who may do what in the database: one line per table. It is granted anew whenever it differs from what is there.

A verb with columns is meant for these columns alone. A table that is missing here may be used by nobody but the owner,
and a test says so. The analysts' role may select the views, which the versions grant.
"""

import re
from collections.abc import Iterator

from sqlalchemy import Connection, text

from xraygpt_core.logins import LOCK_FUNCTIONS, ROLES, role_of

Grant = tuple[str, str | None, str, str]  # table, column (None: all of them), role, verb

GRANTS: dict[str, dict[str, str]] = {
    "alembic_version": dict.fromkeys(("gateway", "ingest", "gpu", "training", "control", "events"), "SELECT"),
}

_GRANTED = """
    SELECT c.relname, a.attname, r.rolname, x.privilege_type
    FROM pg_class c
    LEFT JOIN LATERAL (
        SELECT NULL AS attname, c.relacl AS acl
        UNION ALL SELECT attname, attacl FROM pg_attribute WHERE attrelid = c.oid AND attacl IS NOT NULL
    ) a ON true
    CROSS JOIN LATERAL aclexplode(a.acl) x
    JOIN pg_roles r ON r.oid = x.grantee
    WHERE c.relnamespace = 'public'::regnamespace AND r.rolname = ANY(:roles)
"""

_ROLES = "SELECT rolname FROM pg_roles WHERE rolname = ANY(:roles)"

# What PostgreSQL lets everybody do in a database of its own, and nobody of ours needs: a temporary table is a place to
# keep things, and fills the disk.
_CLOSE = """
DO $$
BEGIN
    IF has_database_privilege('public', current_database(), 'TEMPORARY') THEN
        EXECUTE format('REVOKE TEMPORARY ON DATABASE %I FROM PUBLIC', current_database());
    END IF;
END
$$
"""


def wanted(roles: frozenset[str] = frozenset(ROLES)) -> set[Grant]:
    """What the table above says of these roles."""
    return {
        (table, column, role_of(process), verb)
        for table, processes in GRANTS.items()
        for process, words in processes.items()
        if role_of(process) in roles
        for verb, column in _read(words)
    }


def apply(connection: Connection) -> None:
    """Make it so, in the transaction of the migration; what is granted already stays untouched.

    Roles that are not there (their owner may not make any) are granted nothing: see :func:`missing`.
    """
    roles = frozenset(ROLES) - set(missing(connection))
    there, right = granted(connection), wanted(roles)
    wrong = {(table, role) for table, _, role, _ in there ^ right}
    for table, role in sorted(wrong):
        connection.exec_driver_sql(f"REVOKE ALL ON {table} FROM {role}")  # that of columns goes with it
    for table, column, role, verb in sorted(right, key=str):
        if (table, role) in wrong:
            connection.exec_driver_sql(f"GRANT {_verb(verb, column)} ON {table} TO {role}")
    for role in sorted(roles):
        connection.exec_driver_sql(f"GRANT USAGE ON SCHEMA public TO {role}")
        _let_lock(connection, role)
    connection.execute(text(_CLOSE))


def granted(connection: Connection) -> set[Grant]:
    """What these roles may do in the database as it is."""
    rows = connection.execute(text(_GRANTED), {"roles": list(ROLES)})
    return {(table, column, role, verb) for table, column, role, verb in rows}


def missing(connection: Connection) -> list[str]:
    """The roles this server does not have."""
    there = set(connection.execute(text(_ROLES), {"roles": list(ROLES)}).scalars())
    return [role for role in ROLES if role not in there]


def _let_lock(connection: Connection, role: str) -> None:
    """Where the superuser took these from everybody (xraygpt/stack/superuser.sql), the owner may pass them on."""
    for function in LOCK_FUNCTIONS:
        asked = text("SELECT has_function_privilege(current_user, :function, 'EXECUTE WITH GRANT OPTION')")
        if connection.execute(asked, {"function": f"pg_catalog.{function}"}).scalar():
            connection.exec_driver_sql(f"GRANT EXECUTE ON FUNCTION pg_catalog.{function} TO {role}")


def _verb(verb: str, column: str | None) -> str:
    return verb if column is None else f'{verb} ("{column}")'


def _read(words: str) -> Iterator[tuple[str, str | None]]:
    """``SELECT INSERT UPDATE(state, view)`` as pairs of a verb and a column."""
    for verb, columns in re.findall(r"([A-Z]+)(?:\(([^)]*)\))?", words):
        for column in columns.split(",") if columns else (None,):
            yield verb, column and column.strip()
