"""A lock that makes jobs hang."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import text

from tests.support.worker_bench import Bench
from xraygpt_core.db import Database


@contextmanager
def hanging(bench: Bench) -> Iterator[None]:
    """Nobody can read which object to fetch: what a hang looks like, whatever its cause."""
    other = Database(bench.settings.database_url.get_secret_value(), idle_seconds=300)
    with other.transaction() as connection:
        connection.execute(text("LOCK TABLE object_keys IN ACCESS EXCLUSIVE MODE"))
        yield
    other.close()
