"""Triggers that let a study or an image change its state only as the tables of ``lifecycle.py`` say."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from xraygpt_core.ledger.studies.lifecycle import IMAGE_TRANSITIONS, STUDY_TRANSITIONS

_KNOWN = ", ".join(
    f"'{table} {before} {after}'"
    for table, rows in (("images", IMAGE_TRANSITIONS), ("studies", STUDY_TRANSITIONS))
    for row in rows
    for before in row.before
    for after in row.after
)

_STATE = "CASE WHEN {row}.state = 'cancelled' AND {row}.reason_code = 'replaced' THEN 'replaced' ELSE {row}.state END"

_INSTALL = f"""
    SET lock_timeout = '10s';
    CREATE FUNCTION only_known_transitions() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        was text := {_STATE.format(row="OLD")};
        becomes text := {_STATE.format(row="NEW")};
    BEGIN
        IF was <> becomes AND format('%s %s %s', TG_TABLE_NAME, was, becomes) NOT IN ({_KNOWN}) THEN
            RAISE EXCEPTION 'lifecycle.py knows no way for % from % to %', TG_TABLE_NAME, was, becomes;
        END IF;
        RETURN NULL;
    END $$;
    CREATE TRIGGER only_known_transitions AFTER UPDATE ON studies
        FOR EACH ROW EXECUTE FUNCTION only_known_transitions();
    CREATE TRIGGER only_known_transitions AFTER UPDATE ON images
        FOR EACH ROW EXECUTE FUNCTION only_known_transitions();
"""

_REMOVE = "SET lock_timeout = '10s'; DROP FUNCTION only_known_transitions CASCADE"


@contextmanager
def only_known_transitions(url: str) -> Iterator[None]:
    """While this holds, any other change of state fails in this database, whatever makes it."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(_INSTALL)
    try:
        yield
    finally:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(_REMOVE)
