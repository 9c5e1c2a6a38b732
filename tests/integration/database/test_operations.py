"""What docs/operations.md promises about back-up, restore and upgrades, done with real services."""

import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from pydantic import SecretStr
from sqlalchemy import create_engine

from migrations import grants
from migrations.upgrade import upgrade
from tests.support import database_roles
from tests.support.api_keys import create_api_key
from tests.support.audit_tools import act, check, sealed
from tests.support.service_tools import started
from tests.support.worker_bench import Bench
from xraygpt.stack.servers.postgres import Postgres, program
from xraygpt_core.db import driver_url, libpq_url
from xraygpt_core.errors import ConfigurationError
from xraygpt_core.ledger.access.api_keys import check_api_key
from xraygpt_core.ledger.jobs.claims import claim_next
from xraygpt_core.ledger.jobs.reconcile import tick
from xraygpt_core.ledger.preflight import check_fingerprint, check_schema
from xraygpt_core.ledger.studies.read import lookup
from xraygpt_core.ledger.studies.summaries import NewSummary
from xraygpt_core.ledger.studies.summarise import complete_summary, summarise_input
from xraygpt_core.ledger.transaction import Ledger, open_ledger
from xraygpt_core.privacy import load_pseudonymiser
from xraygpt_core.states import JobKind, Lane

SUMMARY = NewSummary("Normal chest.", None, "Normal.", "demo", "b" * 64, {"seed": None}, 7, 1)


def dump(url: str, path: Path) -> None:
    """The command of the page."""
    subprocess.run([program("pg_dump"), "--format=custom", f"--file={path}", url], check=True)


@contextmanager
def restored(directory: Path, path: Path) -> Iterator[Postgres]:
    """Another server with the dump in its database, and what the page does after that."""
    with started(Postgres(directory)) as server:
        restore = [program("pg_restore"), "--no-owner", "--no-acl", "--exit-on-error", f"--dbname={server.url}", path]
        subprocess.run(restore, check=True)
        upgrade(server.url)
        yield server


def test_a_restored_database_finds_its_studies_and_finishes_its_work(
    bench: Bench, tmp_path: Path, database_url: str
) -> None:
    pseudonyms = load_pseudonymiser(bench.settings)
    check_fingerprint(bench.ledger, pseudonyms.fingerprint)
    study = bench.settled(1)
    with bench.ledger.work() as work:
        work.run("UPDATE studies SET accession_pseudonym = :it", {"it": pseudonyms.accession("A1")})
    claim = bench.claimed(JobKind.SUMMARISE)
    given = summarise_input(bench.ledger, claim)
    assert given is not None
    summary = complete_summary(bench.ledger, claim, given, SUMMARY)
    key = create_api_key(bench.ledger, "Dr. A. Okafor")
    said(bench.ledger, summary)
    waiting, running = bench.settled(2), bench.settled(3)
    bench.claimed(JobKind.SUMMARISE)
    sealed(bench.ledger, ["study read", "film read"])
    act(bench.ledger, "not sealed yet")
    _, told = check(bench.ledger)

    dump(database_url, tmp_path / "xraygpt.dump")
    with restored(tmp_path / "other", tmp_path / "xraygpt.dump") as server:
        ledger = open_ledger(bench.settings.model_copy(update={"database_url": SecretStr(server.url)}))
        try:
            finish(ledger, pseudonyms.fingerprint)
            assert lookup(ledger, "accession", pseudonyms.accession("A1") or "") == [study]
            with ledger.work() as work:
                rows = work.rows("SELECT study_id, summary FROM study_summaries ORDER BY study_id")
            assert {row["study_id"] for row in rows} == {study, waiting, running}
            with pytest.raises(ConfigurationError, match="restore the key"):
                check_fingerprint(ledger, "of another key")
            assert check_api_key(ledger, key).name == "Dr. A. Okafor"
            sealed(ledger, ["after the restore"])
            problems, verdict = check(ledger, seen=told.head)
            assert (problems, verdict.rows, verdict.seals) == ([], 4, 2)
            as_it_was(server)
        finally:
            ledger.close()


def said(ledger: Ledger, summary_id: object) -> None:
    """A review, as its table has it."""
    with ledger.work() as work:
        work.run(
            "INSERT INTO reviews (id, summary_id, position, action, reviewer) "
            "VALUES (gen_random_uuid(), :summary, 1, 'accepted', 'Dr. A. Okafor')",
            {"summary": summary_id},
        )


def as_it_was(server: Postgres) -> None:
    """Roles with their rights and no others, and reviews that nobody changes."""
    engine = create_engine(driver_url(server.url))
    with engine.connect() as connection:
        assert grants.granted(connection) == grants.wanted()
    engine.dispose()
    database_roles.let_in(server)
    server.let_in({"xraygpt_reader": "reader"})
    reader = server.url_of("xraygpt_reader", {"xraygpt_reader": "reader"})
    with psycopg.connect(reader) as analyst:
        assert analyst.execute("SELECT reviewer FROM summary_reviews").fetchall() == [("Dr. A. Okafor",)]
    refused = pytest.raises(psycopg.errors.InsufficientPrivilege)
    with psycopg.connect(libpq_url(database_roles.url_as("ingest", server.url)), autocommit=True) as ingest, refused:
        ingest.execute("SELECT summary FROM summaries")
    with psycopg.connect(server.url, autocommit=True) as owner, pytest.raises(psycopg.errors.RestrictViolation):
        owner.execute("UPDATE reviews SET reviewer = 'nobody'")


def finish(ledger: Ledger, fingerprint: str) -> None:
    """Start as a process does, then do what is queued, also what was running when the dump was made."""

    check_schema(ledger)
    check_fingerprint(ledger, fingerprint)
    with ledger.work() as work:  # by the time of a restore every lease has ended
        work.run("UPDATE jobs SET lease_until = clock_timestamp() - interval '1 day' WHERE state = 'running'")
    tick(ledger)
    queues = [(JobKind.SUMMARISE, lane) for lane in Lane]
    while taken := claim_next(ledger, queues, "test"):
        (claim,) = taken
        given = summarise_input(ledger, claim)
        assert given is not None
        complete_summary(ledger, claim, given, SUMMARY)


def test_queued_work_survives_an_upgrade(bench: Bench, film: Callable[..., bytes], database_url: str) -> None:
    for seed in range(60, 64):
        bench.register(f"incoming/{seed}.dcm", film(seed))
    before = bench.start("ingest", XRAYGPT_INGEST_CONCURRENCY="1")
    bench.eventually(lambda: bench.value("SELECT count(*) FROM images WHERE state = 'accepted'"), "some are read")
    before.send_signal(signal.SIGTERM)
    assert before.wait(120) == 0
    assert bench.value("SELECT count(*) FROM jobs WHERE state = 'running'") == 0
    upgrade(database_url)
    bench.start("ingest")
    bench.until("SELECT count(*) FROM studies WHERE state = 'queued'", 4, "all are read by the next version")
