"""Databases of the tests: made from a template, and emptied between two tests."""

import contextlib

import psycopg
from psycopg import sql

from xraygpt.stack.servers.postgres import Postgres
from xraygpt_core.models import metadata


def admin(postgres: Postgres, statement: sql.Composable) -> None:
    """Run a statement outside any transaction in the maintenance database."""
    url = postgres.url.rsplit("/", 1)[0] + "/postgres"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(statement)


def empty(url: str) -> None:
    """End what is still connected to a database, and remove every row but those the migrations wrote.

    A page that was closed may still send its last word, which takes its locks in another order.
    """
    for _ in range(3):
        with contextlib.suppress(psycopg.errors.DeadlockDetected), psycopg.connect(url) as connection:
            connection.execute(_EMPTY)
            return
    raise AssertionError(f"{url} is in use")


_ROWS = [table.name for table in reversed(metadata.sorted_tables) if table.name != "installation"]
# One text, one trip to the server: this runs after most tests. A review leaves with its study's purge alone. The audit
# is kept by triggers, which the owner of a table can switch off; the product never does.
_EMPTY = f"""
SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend';
UPDATE studies SET purged_at = clock_timestamp()
WHERE id IN (SELECT study_id FROM summaries JOIN reviews ON summary_id = summaries.id);
DO $$
DECLARE kept text; bare boolean;
BEGIN
    FOREACH kept IN ARRAY ARRAY['audit', 'audit_seals'] LOOP
        EXECUTE format('SELECT NOT EXISTS (SELECT FROM %I)', kept) INTO bare;
        CONTINUE WHEN bare;
        EXECUTE format('ALTER TABLE %I DISABLE TRIGGER USER', kept);
        EXECUTE format('DELETE FROM %I', kept);
        EXECUTE format('ALTER TABLE %I ENABLE ALWAYS TRIGGER audit_is_kept, '
                       'ENABLE ALWAYS TRIGGER audit_is_kept_together', kept);
    END LOOP;
END $$;
{"".join(f"DELETE FROM {name};" for name in _ROWS)}
UPDATE installation SET hmac_fingerprint = NULL, hmac_old_fingerprint = NULL, hmac_rotated_until = NULL,
sealing_fingerprint = NULL, served_bundle = NULL, served_run = NULL, previous_bundle = NULL, previous_run = NULL,
served_encoder = NULL, served_images = NULL, served_clinical = NULL, created_at = clock_timestamp();
"""
