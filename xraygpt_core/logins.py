"""The roles that our processes have in PostgreSQL, one each, so that each can do what it must and no more.

Migrations make them without a password and say what they may (``migrations/grants.py``); who starts the processes lets
them log in. Roles belong to the whole server, not to one database: two installations on one server share them.
"""

PROCESSES = ("gateway", "ingest", "gpu", "training", "control", "events")
READER = "xraygpt_reader"  # analysts, and `query`

# Where all but those who are named lose it: whoever holds one of these locks keeps control or ingest waiting.
LOCK_FUNCTIONS = ("pg_advisory_xact_lock(bigint)", "pg_try_advisory_xact_lock(bigint)")


def role_of(process: str) -> str:
    """The role of one of :data:`PROCESSES`."""
    return f"xraygpt_{process}"


ROLES = tuple(role_of(process) for process in PROCESSES)
