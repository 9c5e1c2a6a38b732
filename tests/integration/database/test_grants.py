"""Each process logs in as itself, and PostgreSQL refuses what it has no business with."""

from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import create_engine, text

from migrations import grants
from migrations.upgrade import roles_missing, upgrade
from tests.support import database_roles
from tests.support.ledger_tools import together
from xraygpt.stack.servers.postgres import Postgres
from xraygpt_core.db import driver_url, libpq_url
from xraygpt_core.logins import PROCESSES, ROLES
from xraygpt_core.models import metadata

Connection = psycopg.Connection[tuple[object, ...]]
DOCS = Path(__file__).parents[3] / "docs"


@pytest.fixture
def as_process(database_url: str) -> Iterator[Callable[[str], Connection]]:
    """A session of a process. What everybody may do comes with no template, hence the upgrade."""
    upgrade(database_url)
    opened: list[Connection] = []

    def connect(process: str) -> Connection:
        url = libpq_url(database_roles.url_as(process, database_url))
        opened.append(psycopg.connect(url, autocommit=True))
        return opened[-1]

    yield connect
    for connection in opened:
        connection.close()


def test_what_is_granted_is_what_the_table_says(database_url: str) -> None:
    engine = create_engine(driver_url(database_url))
    with engine.connect() as connection:
        assert grants.granted(connection) == grants.wanted()
    engine.dispose()


def test_every_table_says_who_may_use_it() -> None:
    tables = {table.name for table in metadata.sorted_tables} | {"alembic_version"}
    assert set(grants.GRANTS) == tables
    assert {process for line in grants.GRANTS.values() for process in line} == set(PROCESSES)


def test_granting_again_changes_nothing_and_mends_what_was_changed_by_hand(postgres: Postgres) -> None:
    name = f"mended_{uuid4().hex[:8]}"
    base = postgres.url.rsplit("/", 1)[0]
    with psycopg.connect(f"{base}/postgres", autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {} TEMPLATE xraygpt").format(sql.Identifier(name)))
        with psycopg.connect(f"{base}/{name}", autocommit=True) as owner:
            owner.execute("GRANT SELECT ON api_keys TO xraygpt_gpu")
            owner.execute("REVOKE ALL ON jobs FROM xraygpt_ingest")
            owner.execute("GRANT EXECUTE ON FUNCTION standing_prior TO xraygpt_control")
            owner.execute("REVOKE EXECUTE ON FUNCTION standing_prior FROM xraygpt_gpu")
        upgrade(f"{base}/{name}")
        engine = create_engine(driver_url(f"{base}/{name}"))
        with engine.connect() as looked:
            assert grants.granted(looked) == grants.wanted()
            asked = text("SELECT has_function_privilege(:role, 'standing_prior(uuid, uuid)', 'EXECUTE')")
            may = [looked.execute(asked, {"role": f"xraygpt_{name}"}).scalar() for name in ("control", "gpu", "ingest")]
            assert may == [False, True, True]
        engine.dispose()
        connection.execute(sql.SQL("DROP DATABASE {}").format(sql.Identifier(name)))


FORBIDDEN = {
    "gateway": [
        "UPDATE summaries SET summary = 'Normal.'",
        "UPDATE summaries SET findings = NULL, provenance = '{}'",
        "INSERT INTO summaries (id) VALUES (gen_random_uuid())",
        "UPDATE chat_turns SET question = 'another'",
        "UPDATE reviews SET text = 'another'",
        "UPDATE api_keys SET sha256 = 'mine'",
        "SELECT pair FROM training_texts",
        "DELETE FROM api_keys",
        "UPDATE timeline SET who = 'nobody'",
        "UPDATE object_keys SET key = 'another'",
        "UPDATE images SET study_id = gen_random_uuid()",
        "UPDATE studies SET alias_of = NULL",
        "DELETE FROM studies",
        "DELETE FROM tombstones",
        "UPDATE installation SET tombstone_salt = ''",
    ],
    "ingest": [
        "SELECT summary FROM summaries",
        "SELECT findings, edited_summary, reviewed_by FROM summaries",
        "SELECT question FROM chat_turns",
        "SELECT 1 FROM api_keys",
        "SELECT 1 FROM reviews",
        "SELECT config FROM training_runs",
        "SELECT pair FROM training_texts",
        "SELECT 1 FROM idempotency_keys",
        "SELECT prefix FROM backlogs",
        "UPDATE summaries SET summary = 'Normal.'",
        "DELETE FROM summaries",
        "DELETE FROM timeline",
        "DELETE FROM object_keys",
    ],
    "gpu": [
        "SELECT 1 FROM api_keys",
        "SELECT 1 FROM object_keys",
        "SELECT 1 FROM reviews",
        "SELECT patient_pseudonym FROM studies",
        "SELECT accession_pseudonym FROM images",
        "SELECT hmac_fingerprint FROM installation",
        "UPDATE summaries SET summary = 'Normal.'",
        "UPDATE images SET normalised_sha256 = 'mine'",
        "SELECT 1 FROM timeline",
        "SELECT 1 FROM shadow_drafts",
        "SELECT pair FROM training_texts",
        "UPDATE training_images SET sha256 = 'mine'",
        "DELETE FROM jobs",
    ],
    "training": [
        "SELECT accession_pseudonym FROM studies",
        "SELECT sop_pseudonym FROM images",
        "SELECT question FROM chat_turns",
        "SELECT reviewed_by FROM summaries",
        "SELECT 1 FROM reviews",
        "DELETE FROM training_exclusions",
        "SELECT 1 FROM api_keys",
        "SELECT 1 FROM object_keys",
        "UPDATE training_runs SET bundle = 'mine'",
        "DELETE FROM jobs",
        "UPDATE installation SET served_bundle = 'mine'",
        "UPDATE training_texts SET pair = '{}'",
        "SELECT 1 FROM shadow_drafts",
    ],
    "control": [
        "SELECT summary FROM summaries",
        "SELECT question FROM chat_turns",
        "SELECT text FROM reviews",
        "SELECT text FROM shadow_drafts",
        "SELECT 1 FROM api_keys",
        "SELECT patient_pseudonym FROM studies",
        "UPDATE summaries SET edited_summary = 'Normal.'",
        "INSERT INTO reviews (id) VALUES (gen_random_uuid())",
        "UPDATE installation SET served_bundle = 'mine'",
    ],
    "events": [
        "SELECT summary FROM summaries",
        "SELECT 1 FROM chat_turns",
        "SELECT 1 FROM reviews",
        "SELECT 1 FROM api_keys",
        "SELECT patient_pseudonym FROM studies",
        "DELETE FROM object_keys",
        "DELETE FROM images",
    ],
}
# A function that answers from patients and days.
PRIOR = "SELECT standing_prior(gen_random_uuid(), gen_random_uuid())"
for _process in ("gateway", "training", "control", "events"):
    FORBIDDEN[_process].append(PRIOR)

# What nobody of ours may, beside the owner.
FORBIDDEN_TO_ALL = [
    "CREATE TABLE mine (n int)",
    "CREATE TEMP TABLE mine (n int)",
    "ALTER TABLE reviews DISABLE TRIGGER ALL",
    "TRUNCATE reviews",
    "SET ROLE xraygpt",
    "ALTER ROLE xraygpt PASSWORD 'mine'",
    "SELECT 1 FROM unrotated_images",
    "SELECT lo_create(0)",
    "SELECT pg_logical_emit_message(false, 'a', 'b')",
    "SELECT pg_advisory_lock(1)",
    "SELECT pg_advisory_lock_shared(1)",
    "SELECT pg_read_file('/etc/passwd')",
    "COPY studies TO PROGRAM 'true'",
    "CREATE FUNCTION mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "CREATE ROLE mine",
]


@pytest.mark.parametrize("process", PROCESSES)
def test_a_process_is_refused_what_is_not_its_business(as_process: Callable[[str], Connection], process: str) -> None:
    connection = as_process(process)
    for statement in FORBIDDEN[process] + FORBIDDEN_TO_ALL:
        try:
            connection.execute(statement.encode())
        except psycopg.errors.InsufficientPrivilege:
            continue
        pytest.fail(f"{process} may: {statement}")
    assert connection.execute("SELECT pg_advisory_xact_lock(1)").fetchone() == ("",)


def test_analysts_leave_nothing_behind_and_hold_nothing_up(postgres: Postgres, database_url: str) -> None:
    upgrade(database_url)
    postgres.let_in({"xraygpt_reader": "reader"})
    url = database_url.replace(database_url.split("@")[0], "postgresql://xraygpt_reader:reader")
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in [
            *FORBIDDEN_TO_ALL,
            PRIOR,
            "SELECT pg_advisory_xact_lock(1)",
            "SELECT pg_try_advisory_lock(1)",
        ]:
            with pytest.raises((psycopg.errors.InsufficientPrivilege, psycopg.errors.ReadOnlySqlTransaction)):
                connection.execute(statement.encode())


def test_two_databases_migrate_at_the_same_moment(postgres: Postgres) -> None:
    base = postgres.url.rsplit("/", 1)[0]
    names = [f"pair_{uuid4().hex[:8]}" for _ in range(2)]
    with psycopg.connect(f"{base}/postgres", autocommit=True) as connection:
        for name in names:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        together(*[lambda name=name: upgrade(f"{base}/{name}") for name in names])  # type: ignore[misc]
        for name in names:
            assert roles_missing(f"{base}/{name}") == []
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def test_where_roles_may_not_be_made_the_migration_goes_on_and_says_so(tmp_path: Path) -> None:
    server = Postgres(tmp_path / "postgres")
    server.start()
    try:
        with server._superuser("postgres") as cursor:
            cursor.execute("CREATE ROLE xraygpt_reader NOLOGIN")  # the administrator made that one
            cursor.execute("ALTER ROLE xraygpt NOCREATEROLE")
        upgrade(server.url)
        assert roles_missing(server.url) == list(ROLES)
    finally:
        server.stop()


def test_the_documentation_says_who_may_what() -> None:
    """``python -m migrations.grants`` prints what has to stand there."""
    assert grants.document() in (DOCS / "operations.md").read_text()
