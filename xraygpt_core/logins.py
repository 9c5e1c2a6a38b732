"""The roles that our processes have in PostgreSQL, one each, so that each has the rights it needs and no more.

Migrations make them without a password and grant their rights (``migrations/grants.py``). The stack, or the operator,
gives them passwords. Roles belong to the whole server, not to one database: two installations on one server share them.
"""

PROCESSES = ("gateway", "ingest", "gpu", "training", "control", "events")
READER = "xraygpt_reader"  # analysts, and `query`

# Only some roles may call these: a process that holds such a lock keeps control or ingest waiting.
LOCK_FUNCTIONS = ("pg_advisory_xact_lock(bigint)", "pg_try_advisory_xact_lock(bigint)")


def role_of(process: str) -> str:
    """The role of one of :data:`PROCESSES`."""
    return f"xraygpt_{process}"


ROLES = tuple(role_of(process) for process in PROCESSES)
