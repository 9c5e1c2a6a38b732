"""The rights of each process's role in the database (:mod:`migrations.rights`), granted again whenever they differ.

The analysts' role may select the views; the versions grant that, too, but a restored database has the tables
without their rights. If the owner of the database may not make roles, none is made and the processes work as the
owner.
"""

import re
from collections.abc import Iterator

from sqlalchemy import Connection, text

from migrations.rights import FUNCTIONS, GRANTS, VIEWS
from xraygpt_core.logins import LOCK_FUNCTIONS, PROCESSES, READER, ROLES, role_of

Grant = tuple[str, str | None, str, str]  # table, column (None: all of them), role, verb

# Another database of this server may make the same one at the same moment.
_MAKE = """
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{role}') THEN
        CREATE ROLE {role} NOLOGIN;
    END IF;
EXCEPTION WHEN duplicate_object OR unique_violation OR insufficient_privilege THEN
    NULL;
END
$$
"""

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

# Revokes what PostgreSQL grants to every role and none of ours needs: temporary tables can fill the disk.
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
    """Grant it, in the transaction of the migration; what is granted already stays untouched.

    Roles that are not there and cannot be made are granted nothing: see :func:`missing`.
    """
    for role in (READER, *ROLES):
        connection.exec_driver_sql(_MAKE.format(role=role))
    connection.exec_driver_sql(f"GRANT USAGE ON SCHEMA public TO {READER}")
    connection.exec_driver_sql(f"GRANT SELECT ON {', '.join(VIEWS)} TO {READER}")
    roles = frozenset(ROLES) - set(missing(connection))
    there, right = granted(connection), wanted(roles)
    wrong = {(table, role) for table, _, role, _ in there ^ right}
    for table, role in sorted(wrong):
        connection.exec_driver_sql(f"REVOKE ALL ON {table} FROM {role}")  # that of columns goes with it
    for table, column, role, verb in sorted(right, key=str):
        if (table, role) in wrong:
            columns = "" if column is None else f' ("{column}")'
            connection.exec_driver_sql(f"GRANT {verb}{columns} ON {table} TO {role}")
    for role in sorted(roles):
        connection.exec_driver_sql(f"GRANT USAGE ON SCHEMA public TO {role}")
        _let_lock(connection, role)
        _let_ask(connection, role)
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
    """Where the superuser took these from every role (xraygpt/stack/superuser.sql), the owner may pass them on."""
    for function in LOCK_FUNCTIONS:
        asked = text("SELECT has_function_privilege(current_user, :function, 'EXECUTE WITH GRANT OPTION')")
        if connection.execute(asked, {"function": f"pg_catalog.{function}"}).scalar():
            connection.exec_driver_sql(f"GRANT EXECUTE ON FUNCTION pg_catalog.{function} TO {role}")


def _let_ask(connection: Connection, role: str) -> None:
    asked = text("SELECT has_function_privilege(:role, :function, 'EXECUTE')")
    for function, processes in FUNCTIONS.items():
        wants = role in map(role_of, processes)
        if connection.execute(asked, {"role": role, "function": function}).scalar() != wants:
            act = "GRANT EXECUTE ON FUNCTION {} TO {}" if wants else "REVOKE EXECUTE ON FUNCTION {} FROM {}"
            connection.exec_driver_sql(act.format(function, role))


def _read(words: str) -> Iterator[tuple[str, str | None]]:
    """``SELECT INSERT UPDATE(state, view)`` as pairs of a verb and a column."""
    for verb, columns in re.findall(r"([A-Z]+)(?:\(([^)]*)\))?", words):
        for column in columns.split(",") if columns else (None,):
            yield verb, column and column.strip()


_LETTERS = {"SELECT": "r", "INSERT": "a", "UPDATE": "c", "DELETE": "d"}


def document() -> str:
    """The table above for docs/operations.md, whose test says when it is out of date."""
    lines = ["| table | " + " | ".join(PROCESSES) + " |", "|---" * (len(PROCESSES) + 1) + "|"]
    for table, processes in sorted(GRANTS.items()):
        cells = [_cell(set(_read(processes.get(process, "")))) for process in PROCESSES]
        lines.append(f"| {table} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _cell(words: set[tuple[str, str | None]]) -> str:
    """``r``, ``a``, ``c``, ``d``; in brackets where it is for some columns only."""
    verbs = {verb for verb, _ in words}
    return " ".join(
        letter if (verb, None) in words else f"({letter})" for verb, letter in _LETTERS.items() if verb in verbs
    )


if __name__ == "__main__":
    print(document())  # noqa: T201  # the table of docs/operations.md
