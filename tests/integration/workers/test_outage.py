"""The buckets are away for longer than all attempts of a job together, and come back."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from tests.chaos.faulty_s3 import FaultyS3, Trouble
from tests.support.consumer_tools import Reader, drain, fill, jobs
from tests.support.worker_bench import Bench
from workers.consumer import Consumer
from workers.heartbeat import JobProgress
from workers.process import breakers_of
from workers.settle import Settle
from xraygpt_core.errors import ObjectMissing, Unavailable
from xraygpt_core.ledger.jobs.fence import Claim
from xraygpt_core.ledger.jobs.reconcile import tick
from xraygpt_core.queue import queues_of
from xraygpt_core.settings import Settings
from xraygpt_core.states import JobKind, Lane
from xraygpt_core.storage import ObjectStore


@pytest.fixture
def proxy(s3_settings: Settings) -> Iterator[FaultyS3]:
    made = FaultyS3(str(s3_settings.s3_endpoint_url))
    yield made
    made.close()


@pytest.fixture
def worker_settings(s3_settings: Settings, proxy: FaultyS3) -> Settings:
    """No pauses: what is tested is what counts as an attempt."""
    return s3_settings.model_copy(
        update={"s3_endpoint_url": proxy.url, "retry_seconds": 0.0, "max_attempts": 3, "sweep_seconds": 0.0}
    )


@pytest.fixture
def guarded(bench: Bench) -> Bench:
    """A worker as it really is: with breakers, whose pauses are too short to be seen."""
    breakers = breakers_of(bench.settings.model_copy(update={"lease_seconds": 1e-9}), bench.store)
    return replace(bench, context=replace(bench.context, breakers=breakers))


class Fetcher(Reader):
    """Reads the objects of its jobs from the bucket, as ingest does, and makes nothing of them."""

    def do(self, claim: Claim, progress: JobProgress, given: Any) -> Any:
        ref = self._bench.rows("SELECT bucket, key, etag FROM object_keys WHERE image_id = :id", id=claim.subject)[0]
        self._bench.store.read(ref["bucket"], ref["key"], etag=ref["etag"], max_bytes=1000)
        return super().do(claim, progress, given)


def attempts(bench: Bench) -> int:
    return int(bench.value("SELECT max(attempts) FROM jobs"))


def drain_often(bench: Bench, reader: Any) -> None:
    """More often than a job has attempts, with the clock's help in between."""
    for _ in range(3 * bench.settings.max_attempts):
        drain(bench, reader)
        tick(bench.ledger)


@pytest.mark.parametrize("trouble", ["busy", "reset"])
def test_an_outage_costs_no_job_an_attempt(guarded: Bench, proxy: FaultyS3, trouble: Trouble) -> None:
    fill(guarded, 12)
    reader = Fetcher(guarded)
    with proxy.in_trouble(trouble, 1.0):
        drain_often(guarded, reader)
        assert jobs(guarded) == {"queued": 12}
        assert attempts(guarded) == 0
    drain(guarded, reader)
    assert jobs(guarded) == {"done": 12}
    assert attempts(guarded) == 1


def test_during_an_outage_hardly_any_job_is_touched(guarded: Bench, proxy: FaultyS3) -> None:
    fill(guarded, 200)
    with proxy.in_trouble("reset", 1.0):
        drain_often(guarded, Fetcher(guarded))
    assert guarded.value("SELECT sum(lease_epoch) FROM jobs") == 1


def test_a_full_disk_is_an_outage(guarded: Bench, proxy: FaultyS3) -> None:
    """The bucket answers, and takes nothing."""

    def store(claim: Claim) -> None:
        guarded.store.put(f"normalised/{claim.subject}", b"image", "image/png")

    fill(guarded, 3)
    reader = Reader(guarded, store)
    with proxy.in_trouble("full", 1.0):
        drain_often(guarded, reader)
        assert attempts(guarded) == 0
    drain(guarded, reader)
    assert jobs(guarded) == {"done": 3}


def test_the_rest_of_a_batch_goes_back_untouched_when_the_buckets_go_away(
    guarded: Bench, proxy: FaultyS3, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.pace.BATCH_SECONDS", 60.0)  # these jobs are short, on however slow a machine
    fill(guarded, 30)
    reader: Fetcher = Fetcher(guarded)
    drain(guarded, reader)
    assert max(reader.batches) >= 4
    fill(guarded, 30, Lane.ROUTINE)
    before = len(reader.seen)

    def goes_away(_claim: Claim) -> None:
        proxy.trouble, proxy.share = "reset", 1.0

    reader._meanwhile = goes_away
    drain(guarded, reader)
    proxy.trouble = "none"
    assert len(reader.seen) == before + 1
    assert attempts(guarded) == 1
    errors = {row["last_error"] for row in guarded.rows("SELECT last_error FROM jobs WHERE state = 'queued'")}
    assert errors == {None, "Unavailable: the bucket does not answer (ConnectionClosedError)"}
    drain(guarded, Fetcher(guarded))
    assert jobs(guarded) == {"done": 60}


def test_the_timeline_tells_why_a_job_was_handed_back(guarded: Bench, proxy: FaultyS3) -> None:
    fill(guarded, 1)
    with proxy.in_trouble("busy", 1.0):
        drain(guarded, Fetcher(guarded))
    told = guarded.rows("SELECT what, detail FROM timeline WHERE what = 'ingest handed back'")
    assert told == [{"what": "ingest handed back", "detail": {"error": "Unavailable: the bucket refuses (SlowDown)"}}]


def test_an_object_that_cannot_be_read_dies_by_itself(guarded: Bench) -> None:
    """The buckets answer everybody else, so it is not an outage."""
    images = fill(guarded, 12)

    def broken(claim: Claim) -> None:
        if claim.subject == images[4]:
            raise Unavailable("the bucket refuses (InternalError)")

    drain_often(guarded, Reader(guarded, broken))
    assert jobs(guarded) == {"done": 11, "dead": 1}
    assert guarded.value("SELECT attempts FROM jobs WHERE state = 'dead'") == guarded.settings.max_attempts


def test_what_needs_no_bucket_goes_on(guarded: Bench, proxy: FaultyS3) -> None:
    study = guarded.register("film", b"film").study_id
    drain(guarded, Reader(guarded))
    fill(guarded, 3)
    work = Consumer(
        guarded.context,
        queues_of(JobKind.SETTLE, JobKind.INGEST),
        {JobKind.INGEST: Fetcher(guarded), JobKind.SETTLE: Settle(guarded.context)},
    )
    with proxy.in_trouble("reset", 1.0):
        for _ in range(3):
            work()
            guarded.until("SELECT 1", 1, "a tick")
    assert guarded.value("SELECT state FROM studies WHERE id = :id", id=study) == "queued"
    assert jobs(guarded) == {"done": 1, "queued": 3}


@pytest.mark.parametrize("lost", ["bucket", "derived_bucket"])
def test_a_missing_bucket_is_an_outage(bench: Bench, lost: str) -> None:
    store = ObjectStore(bench.settings.model_copy(update={lost: "nowhere"}))
    with pytest.raises((ObjectMissing, Unavailable)):
        store.probe(source=True, writes=False)


def test_what_only_needs_our_own_bucket_does_not_ask_the_other(bench: Bench) -> None:
    ObjectStore(bench.settings.model_copy(update={"bucket": "nowhere"})).probe(source=False, writes=True)


@pytest.mark.parametrize("writes", [False, True])
def test_a_look_at_the_buckets_leaves_nothing_there(bench: Bench, writes: bool) -> None:
    bench.store.probe(source=True, writes=writes)
    assert bench.keys(bench.settings.derived_bucket) == []
    assert bench.keys(bench.settings.bucket) == []


def test_who_only_reads_is_not_kept_by_a_full_disk(bench: Bench, proxy: FaultyS3) -> None:
    with proxy.in_trouble("full", 1.0):
        bench.store.probe(source=True, writes=False)
        with pytest.raises(Unavailable):
            bench.store.probe(source=True, writes=True)


def test_a_bucket_that_lists_its_objects_and_does_not_give_them_is_away(bench: Bench, proxy: FaultyS3) -> None:
    bench.store.put("normalised/00/image.png", b"image", "image/png")
    bench.store.probe(source=False, writes=False)
    proxy.only = "/normalised/"
    with proxy.in_trouble("busy", 1.0), pytest.raises(Unavailable):
        bench.store.probe(source=False, writes=False)


def test_an_object_that_is_refused_says_that_the_bucket_answers(bench: Bench, proxy: FaultyS3) -> None:
    """One that was moved to an archive, say."""
    bench.store.put("normalised/00/image.png", b"image", "image/png")
    proxy.only = "/normalised/"
    with proxy.in_trouble("forbidden", 1.0):
        bench.store.probe(source=False, writes=False)
