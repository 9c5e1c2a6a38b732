"""Ingest and settle with a real database, broker, bucket and sandbox."""

import hashlib
import json
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from sqlalchemy import text

from tests.support.lock import hanging
from tests.support.worker_bench import Bench
from workers.consumer import Consumer
from workers.ingest import Ingest
from workers.process_tree import descendants
from workers.settle import Settle
from xraygpt_core.db import Database
from xraygpt_core.exit_codes import BROKEN
from xraygpt_core.ledger.jobs.reconcile import tick
from xraygpt_core.ledger.studies.purge import purge_study
from xraygpt_core.ledger.studies.register import ObjectRef, register_objects
from xraygpt_core.privacy import load_pseudonymiser
from xraygpt_core.queue import queues_of
from xraygpt_core.states import JobKind, Lane

Film = Callable[..., bytes]
CANARY = "DOE^CANARY"


@pytest.fixture
def ingest(bench: Bench) -> Iterator[Callable[[], None]]:
    """Does every open ingest and settle job in this process, as a worker would."""
    work = Ingest(bench.context, load_pseudonymiser(bench.settings))
    bodies = {JobKind.INGEST: work, JobKind.SETTLE: Settle(bench.context)}
    queues = queues_of(JobKind.SETTLE, JobKind.INGEST)

    def do() -> None:
        tick(bench.ledger)  # what failed before may be tried again
        Consumer(bench.context, queues, bodies)()

    yield do
    work.close()


def images(bench: Bench) -> list[dict[str, Any]]:
    return bench.rows("SELECT * FROM images ORDER BY id")


def test_a_film_becomes_a_normalised_image_of_pseudonyms(bench: Bench, film: Film, ingest: Callable[[], None]) -> None:
    registered = bench.register("incoming/one.dcm", film(1, PatientName=CANARY))
    ingest()
    (image,) = images(bench)
    png = bench.store.get(image["normalised_key"])
    assert image["state"] == "accepted"
    assert image["normalised_sha256"] == hashlib.sha256(png).hexdigest()
    assert image["normalised_sha256"] in image["normalised_key"]
    assert bench.store.get(image["preview_key"]).startswith(b"\x89PNG")
    (study,) = bench.rows("SELECT * FROM studies WHERE id = :id", id=registered.study_id)
    pseudonyms = load_pseudonymiser(bench.settings)
    assert study["patient_pseudonym"] == pseudonyms.patient("PHANTOM1")
    assert study["accession_pseudonym"] == pseudonyms.accession("A1")
    assert study["uid_pseudonym"] == pseudonyms.study("1.2.826.0.1.1")
    assert (study["state"], study["view"]) == ("queued", "PA")


def test_no_identifier_reaches_the_derived_bucket(bench: Bench, film: Film, ingest: Callable[[], None]) -> None:
    bench.register(f"incoming/{CANARY}.dcm", film(2, PatientName=CANARY))
    ingest()
    for key in bench.keys(bench.settings.derived_bucket):
        assert CANARY not in key
        assert CANARY.encode() not in bench.store.get(key)


def test_what_is_no_film_is_rejected_with_its_reason(bench: Bench, ingest: Callable[[], None]) -> None:
    bench.register("incoming/letter.txt", b"Dear colleague")
    bench.register("incoming/empty.dcm", b"")
    ingest()
    assert [(image["state"], image["reason_code"]) for image in images(bench)] == [
        ("rejected", "not_dicom_or_image"),
        ("rejected", "empty"),
    ]
    assert bench.rows("SELECT DISTINCT state FROM jobs") == [{"state": "done"}]


def test_a_film_overwritten_before_it_is_read_makes_room_for_the_new_one(
    bench: Bench, film: Film, ingest: Callable[[], None]
) -> None:
    bench.register("incoming/one.dcm", film(3))
    bench.upload("incoming/one.dcm", film(4))
    ingest()
    ingest()
    old, new = images(bench)
    assert (old["state"], old["reason_code"]) == ("cancelled", "replaced")
    assert new["state"] == "accepted"


def test_a_key_that_the_bucket_cannot_hold_is_cancelled_and_not_tried_for_ever(
    bench: Bench, ingest: Callable[[], None]
) -> None:
    ref = ObjectRef(bench.settings.bucket, "incoming/../one.dcm", "0" * 32, None, 1)
    register_objects(bench.ledger, [ref], Lane.ROUTINE, actor="test")
    ingest()
    (image,) = images(bench)
    assert (image["state"], image["reason_code"]) == ("cancelled", "replaced")


def test_a_film_deleted_before_it_is_read_is_cancelled(bench: Bench, film: Film, ingest: Callable[[], None]) -> None:
    bench.register("incoming/one.dcm", film(5))
    bench.client.delete_object(Bucket=bench.settings.bucket, Key="incoming/one.dcm")
    ingest()
    (image,) = images(bench)
    assert (image["state"], image["reason_code"]) == ("cancelled", "replaced")


@pytest.fixture
def purged_meanwhile(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody purges the study after its pixels are stored and before the ledger knows of them."""
    put = bench.store.put

    def put_and_purge(key: str, data: bytes, content_type: str) -> None:
        put(key, data, content_type)
        if key.startswith("preview/"):
            study_id = bench.value("SELECT id FROM studies ORDER BY id DESC LIMIT 1")
            purge_study(bench.ledger, study_id, bench.store.delete)

    monkeypatch.setattr(bench.store, "put", put_and_purge)


def test_a_film_purged_while_it_is_read_leaves_nothing(
    bench: Bench, film: Film, ingest: Callable[[], None], purged_meanwhile: None
) -> None:
    bench.register("incoming/one.dcm", film(7))
    ingest()
    assert bench.keys(bench.settings.derived_bucket) == []
    assert bench.value("SELECT normalised_key FROM images") is None


def test_a_purge_leaves_what_another_study_has_too(
    bench: Bench, film: Film, ingest: Callable[[], None], request: pytest.FixtureRequest
) -> None:
    bench.register("incoming/one.dcm", film(8))
    ingest()
    request.getfixturevalue("purged_meanwhile")
    bench.register("incoming/same-pixels.dcm", film(8, study="1.2.3", PatientName="SOMEBODY^ELSE"))
    ingest()
    assert len(bench.keys(bench.settings.derived_bucket)) == 2


def test_our_own_images_are_not_read_again(bench: Bench, ingest: Callable[[], None]) -> None:
    bench.store.put("normalised/0.png", b"png", "image/png")
    head = bench.store.head(bench.settings.derived_bucket, "normalised/0.png")
    ref = ObjectRef(bench.settings.derived_bucket, "normalised/0.png", head.etag)
    register_objects(bench.ledger, [ref], Lane.ROUTINE, actor="test")
    ingest()
    (job,) = bench.rows("SELECT state, attempts, last_error FROM jobs")
    assert (job["state"], job["attempts"]) == ("dead", 1)
    assert "derived bucket" in job["last_error"]


def test_a_bucket_that_is_away_is_retried(bench: Bench, film: Film, ingest: Callable[[], None]) -> None:
    bench.register("incoming/one.dcm", film(6))
    with bench.ledger.work() as work:
        work.run("UPDATE object_keys SET bucket = 'no-such-bucket'")
    ingest()
    (job,) = bench.rows("SELECT state, attempts, last_error FROM jobs")
    assert (job["state"], job["attempts"]) == ("queued", 1)
    assert job["last_error"].startswith("Unavailable")


SUMMARISED_NEXT = "SELECT count(*) FROM studies WHERE state = 'queued'"


def test_a_worker_process_reads_what_is_rung_and_drains(bench: Bench, film: Film) -> None:
    for seed in range(10, 14):
        bench.register(f"incoming/{CANARY}{seed}.dcm", film(seed, PatientName=CANARY))
    worker = bench.start("ingest")
    bench.until(SUMMARISED_NEXT, 4, "four studies are settled")
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(120) == 0
    assert CANARY not in bench.log()
    done = [json.loads(line) for line in bench.log().splitlines() if "job done" in line]
    jobs = bench.rows("SELECT id, kind FROM jobs WHERE state = 'done'")
    assert {(line["job_id"], line["kind"]) for line in done} == {(str(row["id"]), row["kind"]) for row in jobs}


def test_lanes_are_emptied_in_their_order(bench: Bench, film: Film) -> None:
    expected = []
    # One stat film alone: a worker at work takes a second one aside, at the same moment as its next.
    for place, (lane, films) in enumerate([(Lane.BACKLOG, 3), (Lane.ROUTINE, 3), (Lane.STAT, 1)]):
        registered = [
            bench.register(f"{lane}{seed}.dcm", film(20 + 3 * place + seed), lane).image_id for seed in range(films)
        ]
        expected = registered + expected
    bench.start("ingest", XRAYGPT_INGEST_CONCURRENCY="1")
    bench.until("SELECT count(*) FROM jobs WHERE kind = 'ingest' AND state = 'done'", 7, "all are read")
    started = bench.rows("SELECT image_id FROM timeline WHERE what = 'ingest started' ORDER BY id")
    assert [row["image_id"] for row in started] == expected


def test_a_killed_workers_jobs_finish_elsewhere(bench: Bench, film: Film) -> None:
    for seed in range(30, 36):
        bench.register(f"incoming/{seed}.dcm", film(seed))
    first = bench.start("ingest")
    bench.until("SELECT count(*) > 0 FROM jobs WHERE kind = 'ingest' AND state <> 'queued'", True, "a job runs")
    bench.lose(first)
    bench.start("ingest")
    bench.until(SUMMARISED_NEXT, 6, "all are read all the same")
    assert bench.value("SELECT count(*) FROM jobs WHERE state NOT IN ('done', 'queued')") == 0


def test_a_broker_that_forgets_everything_costs_only_time(bench: Bench, film: Film) -> None:
    broker = redis.Redis.from_url(bench.settings.redis_url.get_secret_value())
    for seed in range(40, 46):
        bench.register(f"incoming/{seed}.dcm", film(seed))
    bench.start("ingest")
    bench.until("SELECT count(*) > 0 FROM jobs WHERE kind = 'ingest' AND state <> 'queued'", True, "a job runs")
    broker.flushall()
    broker.close()
    bench.until(SUMMARISED_NEXT, 6, "all are read all the same")


def test_a_job_that_hangs_ends_its_process(bench: Bench, film: Film) -> None:
    bench.register("incoming/one.dcm", film(50))
    with hanging(bench):
        # Shorter than elsewhere, for it is looked at three times a lease, and before the lock is given up; on a busy
        # machine, too, it leaves the time to say why.
        worker = bench.start("ingest", XRAYGPT_STALL_SECONDS="2", XRAYGPT_LEASE_SECONDS="15")
        assert worker.wait(200) == BROKEN
    (job,) = bench.rows("SELECT state, attempts, last_error FROM jobs")
    assert (job["state"], job["attempts"]) == ("queued", 1)
    assert job["last_error"].startswith("stalled")


def test_a_job_that_hangs_inside_the_database_ends_its_process_too(bench: Bench, film: Film) -> None:
    registered = bench.register("incoming/one.dcm", film(51))
    other = Database(bench.settings.database_url.get_secret_value(), idle_seconds=300)
    with other.transaction() as connection:
        connection.execute(text("SELECT id FROM studies WHERE id = :id FOR UPDATE"), {"id": registered.study_id})
        worker = bench.start("ingest", XRAYGPT_STALL_SECONDS="2", XRAYGPT_LEASE_SECONDS="6")
        assert worker.wait(200) == BROKEN
    other.close()
    assert bench.value("SELECT state FROM images") == "received"


def test_a_worker_that_cannot_finish_in_time_hands_its_job_back(bench: Bench, film: Film) -> None:
    bench.register("incoming/one.dcm", film(52))
    with hanging(bench):
        worker = bench.start("ingest", XRAYGPT_DRAIN_SECONDS="1")
        bench.until("SELECT state FROM jobs", "running", "the job is held")
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(120) == 0
    assert bench.rows("SELECT state, attempts FROM jobs") == [{"state": "queued", "attempts": 0}]


def test_nothing_of_a_killed_worker_stays(bench: Bench, film: Film) -> None:
    bench.register("incoming/one.dcm", film(53))
    worker = bench.start("ingest")
    bench.until(SUMMARISED_NEXT, 1, "a film was decoded")
    decoders = descendants(worker.pid)
    worker.kill()
    worker.wait()
    assert decoders
    bench.eventually(lambda: not any(Path(f"/proc/{pid}").exists() for pid in decoders), "the decoders end")
