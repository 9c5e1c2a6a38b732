"""What the tests of the embedded services share: one that runs, its sudden end, and what the process list says."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from psycopg2 import sql

from xraygpt.stack.servers.postgres import OWNER, Postgres

CANARY = "CANARY^SURNAME"


def hurry(postgres: Postgres) -> None:
    """What only a machine that loses its power, or a password that can be guessed, would need: no test's server does.

    A connection costs half as much without the thousands of rounds over the password, a commit without its fsync.
    """
    with postgres._superuser("postgres") as cursor:
        for setting in ("fsync = off", "full_page_writes = off", "scram_iterations = 1"):
            cursor.execute(f"ALTER SYSTEM SET {setting}")
        cursor.execute("SELECT pg_reload_conf()")
        cursor.execute("SET scram_iterations = 1")  # this session's at once
        password = sql.Literal(postgres.password)
        cursor.execute(sql.SQL("ALTER ROLE {} PASSWORD {}").format(sql.Identifier(OWNER), password))


@contextmanager
def started(service: Any) -> Iterator[Any]:
    """Run it for a while."""
    service.start()
    try:
        yield service
    finally:
        service.stop()


def kill(service: Any) -> None:
    """SIGKILL, and reap it."""
    os.kill(service.pid, 9)
    os.waitpid(service.pid, 0)


def command_line(pid: int) -> str:
    """What everybody on the machine may read."""
    return Path(f"/proc/{pid}/cmdline").read_text()
