"""Transactions of a door's code run as that door's role, so that every test of a route or a job proves its rights, too.

Which door is at work is read from the stack: the innermost module of ``api_gateway`` or ``workers`` below the test.
What a test does itself is the owner's, and so is what all workers share (claims, heartbeats): processes prove that.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import FrameType

import pytest
from sqlalchemy import text

from xraygpt.stack.servers.database_logins import as_role
from xraygpt.stack.servers.postgres import OWNER, Postgres
from xraygpt_core.ledger.transaction import Ledger, Work
from xraygpt_core.logins import ROLES, role_of

ROOT = Path(__file__).parents[2]
WORKERS = {
    "ingest": "ingest",
    "settle": "ingest",
    "gpu": "gpu",
    "serving": "gpu",
    "bundles": "gpu",
    "training": "training",
    "plan": "training",
    "corpora": "training",
    "prepare": "ingest",
    "encode": "gpu",
    "control": "control",
    "rollups": "control",
    "sweep": "control",
    "events": "events",
}


def process_of(frame: FrameType | None) -> str | None:
    """Whose code is at work; None: a test's, or what several share."""
    while frame is not None:
        if (owner := _owner_of(frame.f_code.co_filename)) is not None:
            return owner or None
        frame = frame.f_back
    return None


@cache
def _owner_of(file: str) -> str | None:
    """The process whose code a file is; "" for a test's own act, even where a door called it; None for the rest."""
    path = Path(file)
    if path.is_relative_to(ROOT / "api_gateway"):
        return "gateway"
    if path.parent == ROOT / "workers" and path.stem in WORKERS:
        return WORKERS[path.stem]
    return "" if path.is_relative_to(ROOT / "tests") else None


def may_become(postgres: Postgres) -> None:
    """The owner may take every role, and end its sessions, as it may not elsewhere."""
    with postgres._superuser("postgres") as cursor:
        for role in ROLES:
            cursor.execute(f"GRANT {role} TO {OWNER} WITH INHERIT FALSE, SET TRUE")
        cursor.execute(f"GRANT pg_signal_backend TO {OWNER}")


@contextmanager
def acted_out(patch: pytest.MonkeyPatch) -> Iterator[None]:
    """While this lasts, each transaction of a door's code is in its role."""
    whole = Ledger.work

    @contextmanager
    def work(self: Ledger) -> Iterator[Work]:
        process = process_of(sys._getframe(2))
        with whole(self) as opened:
            if process is not None and _is_owner(self):
                opened.connection.execute(text(f"SET LOCAL ROLE {role_of(process)}"))
            yield opened

    with patch.context() as patched:
        patched.setattr(Ledger, "work", work)
        yield


def _is_owner(ledger: Ledger) -> bool:
    return f"://{OWNER}:" in ledger.database.url


def let_in(postgres: Postgres) -> None:
    """Every role may log in. Passwords belong to the whole server, so they stay what they are."""
    postgres.let_in({role: _password(role) for role in ROLES})


def url_as(process: str, url: str) -> str:
    """The same database as the role of this process."""
    return as_role(url, role_of(process), _password(role_of(process)))


def _password(role: str) -> str:
    return f"password-of-{role}"
