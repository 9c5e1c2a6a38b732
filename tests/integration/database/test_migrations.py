"""Migrations on real databases: they make what the models say, once, however many try at the same moment."""

import subprocess
import sys
from collections.abc import Iterator
from uuid import UUID, uuid4

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from psycopg import sql
from sqlalchemy import create_engine

from migrations.upgrade import head, upgrade
from tests.support.ledger_tools import together
from xraygpt.stack.servers.postgres import Postgres
from xraygpt_core.db import Database, driver_url
from xraygpt_core.errors import ConfigurationError, Unavailable
from xraygpt_core.ledger.preflight import check_fingerprint, check_schema, installed_at
from xraygpt_core.ledger.transaction import Ledger
from xraygpt_core.models import SCHEMA_VERSION, metadata


@pytest.fixture
def bare_url(postgres: Postgres) -> Iterator[str]:
    """A database nobody migrated."""
    base = postgres.url.rsplit("/", 1)[0]
    name = sql.Identifier(f"bare_{uuid4().hex[:12]}")
    with psycopg.connect(f"{base}/postgres", autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(name))
        yield f"{base}/{name.as_string().strip(chr(34))}"
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(name))


def test_the_migrated_schema_is_the_one_the_models_describe(database_url: str) -> None:
    engine = create_engine(driver_url(database_url))
    with engine.connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"compare_type": True, "compare_server_default": False, "include_object": _ours}
        )
        assert compare_metadata(context, metadata) == []
    engine.dispose()


def _ours(thing: object, name: str | None, kind: str, reflected: bool, compared: object) -> bool:
    return not (kind == "table" and name == "alembic_version")


def test_the_code_knows_the_newest_version() -> None:
    assert head() == SCHEMA_VERSION


def test_upgrading_again_changes_nothing(bare_url: str) -> None:
    assert upgrade(bare_url) == (None, SCHEMA_VERSION)
    assert upgrade(bare_url) == (SCHEMA_VERSION, SCHEMA_VERSION)


def test_three_processes_upgrading_one_database_do_it_once(bare_url: str) -> None:
    results = together(*[lambda: upgrade(bare_url)] * 3)
    assert sorted(results, key=str) == sorted(
        [(None, SCHEMA_VERSION), (SCHEMA_VERSION, SCHEMA_VERSION), (SCHEMA_VERSION, SCHEMA_VERSION)], key=str
    )
    with psycopg.connect(bare_url) as connection:
        row = connection.execute("SELECT count(*) FROM installation").fetchone()
    assert row == (1,)


def test_what_was_reviewed_before_reviews_were_rows_becomes_their_first_row(bare_url: str) -> None:
    upgrade(bare_url, "0007")
    said = [
        ("edited", "Dr. A", "Mine."),
        ("accepted", "Dr. B", "Mine."),
        ("draft", "Dr. C", None),
        ("draft", None, None),
    ]
    with psycopg.connect(bare_url) as connection:
        for state, by, text in said:
            (study,) = connection.execute(
                "INSERT INTO studies (id, lane_rank, state) VALUES (gen_random_uuid(), 1, 'summarised') RETURNING id"
            ).fetchone() or (None,)
            connection.execute(
                "INSERT INTO summaries (id, study_id, image_id, revision, job_id, lease_epoch, bundle, bundle_sha256, "
                "summary, provenance, tokens, batch_size, review_state, reviewed_by, edited_summary) VALUES "
                "(gen_random_uuid(), %s, gen_random_uuid(), 1, gen_random_uuid(), 1, '', '', 'Its.', '{}', 1, 1, "
                "%s, %s, %s)",
                [study, state, by, text],
            )
        for name in ("local", "old"):
            connection.execute(
                "INSERT INTO api_keys (id, name, sha256) VALUES (gen_random_uuid(), %s, %s)", [name, name]
            )
    upgrade(bare_url)
    with psycopg.connect(bare_url) as connection:
        kept = connection.execute("SELECT action, reviewer, text, key_id FROM summary_reviews ORDER BY reviewer")
        assert kept.fetchall() == [(*one, None) for one in said if one[1]]
        assert connection.execute("SELECT kind FROM api_keys ORDER BY name").fetchall() == [("both",), ("person",)]


@pytest.mark.parametrize(("state", "there"), [("rejected", []), ("accepted", ["effusion"])])
def test_what_a_text_that_was_rejected_before_says_is_taken_out(bare_url: str, state: str, there: list[str]) -> None:
    upgrade(bare_url, "0031")
    with psycopg.connect(bare_url) as connection:
        connection.execute(_REVIEWED, {"state": state})
    upgrade(bare_url)
    with psycopg.connect(bare_url) as connection:
        (kept,) = connection.execute("SELECT asserted FROM summaries").fetchall()
        counted = connection.execute("SELECT finding FROM findings WHERE stands").fetchall()
    assert (kept, counted) == ((there,), [(finding,) for finding in there])


_REVIEWED = """
    WITH s AS (
        INSERT INTO studies (id, lane_rank, state) VALUES (gen_random_uuid(), 1, 'summarised') RETURNING id
    ), m AS (
        INSERT INTO summaries (id, study_id, image_id, revision, job_id, lease_epoch, bundle, bundle_sha256, summary,
            provenance, tokens, batch_size, review_state, reviewed_by, reviewed_at, asserted, uncertain)
        SELECT gen_random_uuid(), id, gen_random_uuid(), 1, gen_random_uuid(), 1, '', '', 'Effusion.', '{}', 1, 1,
               %(state)s, 'Dr. A', now(), '{effusion}', '{}' FROM s RETURNING id
    ), t AS (
        INSERT INTO labelled_texts (source, source_id, labeller) SELECT 'draft', id, '1' FROM m
    )
    INSERT INTO finding_labels (source, source_id, position, finding, status, words_from, words_to)
    SELECT 'draft', id, 0, 'effusion', 'present', 0, 8 FROM m
"""


def test_two_databases_have_salts_of_their_own(database_url: str, bare_url: str) -> None:
    upgrade(bare_url)
    salts = set()
    for url in (database_url, bare_url):
        with psycopg.connect(url) as connection:
            salts.add(connection.execute("SELECT tombstone_salt FROM installation").fetchone())
    assert len(salts) == 2


def test_a_server_that_is_away_is_named_in_one_sentence() -> None:
    with pytest.raises(Unavailable, match="PostgreSQL does not answer"):
        upgrade("postgresql://nobody:x@127.0.0.1:1/none")


def test_the_command_migrates_and_says_from_where_to_where(bare_url: str) -> None:
    environment = {"XRAYGPT_DATABASE_URL": bare_url, "PATH": ""}
    done = subprocess.run(
        [sys.executable, "-m", "migrations"], env=environment, capture_output=True, text=True, check=False, timeout=120
    )
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr.strip() == f"migrations: empty -> {SCHEMA_VERSION}"


def test_a_process_starts_on_its_own_schema_only(ledger: Ledger) -> None:
    check_schema(ledger)
    with ledger.work() as work:
        work.run("UPDATE alembic_version SET version_num = '9999'")
    try:
        with pytest.raises(ConfigurationError, match="9999"):
            check_schema(ledger)
    finally:
        with ledger.work() as work:
            work.run("UPDATE alembic_version SET version_num = :version", {"version": SCHEMA_VERSION})


def test_a_process_does_not_start_on_an_empty_database(ledger: Ledger, bare_url: str) -> None:
    database = Database(bare_url)
    bare = Ledger(ledger.settings, database, ledger.doorbell)
    with pytest.raises(ConfigurationError, match="no schema"):
        check_schema(bare)
    database.close()


def test_the_first_key_is_remembered_and_another_one_is_refused(ledger: Ledger) -> None:
    check_fingerprint(ledger, "aaaa")
    check_fingerprint(ledger, "aaaa")
    with pytest.raises(ConfigurationError, match="restore the key"):
        check_fingerprint(ledger, "bbbb")


def test_a_database_knows_since_when_it_is_used(ledger: Ledger) -> None:
    with ledger.work() as work:
        row = work.row("SELECT clock_timestamp() AS now")
    assert row is not None
    assert installed_at(ledger) <= row["now"]


def test_texts_from_before_bundles_declared_a_scope_are_flagged_unless_their_film_was_drawn(bare_url: str) -> None:
    upgrade(bare_url, "0007")
    with psycopg.connect(bare_url) as connection:
        for number, flags in enumerate(("{synthetic}", "{body_part_unknown}")):
            ids = {"id": UUID(int=number + 1), "flags": flags}
            connection.execute(
                "INSERT INTO studies (id, lane_rank, state, flags) VALUES (%(id)s, 1, 'summarised', %(flags)s)", ids
            )
            connection.execute(
                "INSERT INTO summaries (id, study_id, image_id, revision, job_id, lease_epoch, bundle, bundle_sha256, "
                "summary, provenance, tokens, batch_size) "
                "VALUES (%(id)s, %(id)s, %(id)s, 1, %(id)s, 1, 'demo', 'f', 'Normal chest.', '{}', 1, 1)",
                ids,
            )
    upgrade(bare_url)
    with psycopg.connect(bare_url) as connection:
        found = connection.execute(
            "SELECT flags, out_of_scope, scope, consistency FROM study_summaries ORDER BY study_id"
        ).fetchall()
    says = "This bundle does not say what it was made for."
    assert found == [
        (["synthetic"], False, says, []),
        (["body_part_unknown", "out_of_scope"], True, says, []),
    ]


def test_keys_from_before_roles_keep_what_they_could_do_under_names_that_can_be_read(bare_url: str) -> None:
    upgrade(bare_url, "0011")
    names = ["pacs", "pacs", "pacs (2)", "Dr.\u200b R", "\x1b[2J", "\u200b", "pacs", "x" * 300]
    with psycopg.connect(bare_url) as connection:
        for number, name in enumerate(names):
            connection.execute(
                "INSERT INTO api_keys (id, name, sha256, created_at, revoked_at) VALUES "
                "(%s, %s, %s, to_timestamp(%s), CASE WHEN %s = 6 THEN now() END)",
                [UUID(int=number), name, str(number), number, number],
            )
    upgrade(bare_url)
    with psycopg.connect(bare_url) as connection:
        found = connection.execute("SELECT name, cardinality(roles), stat FROM api_keys ORDER BY created_at").fetchall()
    now = ["pacs", "pacs (3)", "pacs (2)", "Dr. R", "[2J", "key 00000000", "pacs", "x" * 200]
    assert found == [(name, 7, True) for name in now]


def test_a_preview_that_is_named_by_its_hash_is_known_by_it(bare_url: str) -> None:
    upgrade(bare_url, "0011")
    sha256 = "ab" * 32
    keys = (f"preview/ab/{sha256}.png", f"preview/cd/{sha256}.png", f"preview/ab/{sha256}.png.old", "p/1", None)
    with psycopg.connect(bare_url) as connection:
        for number, key in enumerate(keys):
            ids = {"id": UUID(int=number + 1), "key": key}
            connection.execute("INSERT INTO studies (id, lane_rank, state) VALUES (%(id)s, 1, 'waiting')", ids)
            connection.execute(
                "INSERT INTO images (id, study_id, state, preview_key) VALUES (%(id)s, %(id)s, 'accepted', %(key)s)",
                ids,
            )
    upgrade(bare_url)
    with psycopg.connect(bare_url) as connection:
        found = connection.execute("SELECT preview_sha256 FROM images ORDER BY id").fetchall()
    assert [row[0] for row in found] == [sha256, None, None, None, None]


def test_jobs_that_were_open_at_the_upgrade_know_their_revision_whatever_their_bundle_is_called(bare_url: str) -> None:
    upgrade(bare_url, "0016")
    study = UUID(int=7)
    jobs = [
        ("ingest", str(study), None),
        ("settle", f"{study}:12", 12),
        ("summarise", f"{study}:12:demo", 12),
        ("summarise", f"{study}:3:a:b", 3),
        ("train", str(study), None),
    ]
    with psycopg.connect(bare_url) as connection:
        for kind, key, _ in jobs:
            connection.execute(
                "INSERT INTO jobs (id, kind, subject, key, lane_rank, max_attempts) "
                "VALUES (gen_random_uuid(), %s, %s, %s, 1, 5)",
                [kind, study, key],
            )
    upgrade(bare_url)
    with psycopg.connect(bare_url) as connection:
        found = connection.execute("SELECT kind, key, revision FROM jobs ORDER BY kind, key").fetchall()
    assert found == sorted(jobs)
