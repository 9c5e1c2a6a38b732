"""What bucket events come to in the ledger: doubled, in any order, about objects that changed meanwhile."""

from collections.abc import Callable
from itertools import permutations
from typing import Any

import pytest

from tests.support.worker_bench import Bench, claim_some
from xraygpt_core.bucket_events import EventCounts, register_events
from xraygpt_core.ledger.jobs.claims import fail
from xraygpt_core.ledger.operations.rollup import roll_up
from xraygpt_core.ledger.studies.register import ObjectRef, register_objects
from xraygpt_core.metrics import INGEST_EVENTS
from xraygpt_core.s3_events import Events, ObjectHint
from xraygpt_core.states import JobKind, Lane

Hint = Callable[..., ObjectHint]
NEWEST = "SELECT etag, deleted_at FROM object_keys WHERE key = :key ORDER BY seen_at DESC LIMIT 1"


@pytest.fixture
def hint(bench: Bench) -> Hint:
    def make(key: str, etag: str | None = None, sequencer: str | None = None, kind: Any = "created") -> ObjectHint:
        return ObjectHint(bench.settings.bucket, key, etag, None, None, sequencer, kind)

    return make


def note(bench: Bench, *hints: ObjectHint) -> EventCounts:
    return register_events(bench.ledger, bench.store, Events("aws", hints), Lane.ROUTINE)


def test_whatever_the_order_the_last_content_counts(bench: Bench, hint: Hint) -> None:
    story = [("A", "01", "created"), ("B", "0200", "created"), (None, "03", "deleted"), ("C", "0301", "created")]
    for number, order in enumerate(permutations(story)):
        for etag, sequencer, kind in [*order, *order]:  # and everything twice
            note(bench, hint(f"k{number}", etag, sequencer, kind))
        (newest,) = bench.rows(NEWEST, key=f"k{number}")
        assert (newest["etag"], newest["deleted_at"]) == ("C", None), order
    assert bench.value("SELECT count(*) FROM images") == 3 * 24
    assert bench.value("SELECT count(*) FROM jobs") == 3 * 24


def test_a_late_delete_of_an_earlier_content_is_not_noted(bench: Bench, hint: Hint) -> None:
    note(bench, hint("k", "A", "0A"))
    note(bench, hint("k", None, "09FF", "deleted"))
    assert bench.value("SELECT count(*) FROM timeline WHERE what = 'object deleted'") == 0
    note(bench, hint("k", None, "0A0001", "deleted"))
    assert bench.value("SELECT count(*) FROM timeline WHERE what = 'object deleted'") == 1


def test_a_late_copy_of_the_creation_does_not_undo_the_delete(bench: Bench, hint: Hint) -> None:
    note(bench, hint("k", "A", "01"), hint("k", None, "03", "deleted"), hint("k", "A", "02"))
    assert bench.value("SELECT deleted_at IS NOT NULL FROM object_keys") is True


def test_a_delete_without_a_sequencer_is_believed(bench: Bench, hint: Hint) -> None:
    note(bench, hint("k", "A", "01"), hint("k", None, None, "deleted"))
    assert bench.value("SELECT deleted_at IS NOT NULL FROM object_keys") is True


def test_the_bucket_is_asked_for_an_etag_the_event_lacks(bench: Bench, hint: Hint) -> None:
    ref = bench.upload("k", b"film")
    assert note(bench, hint("k"), hint("gone")) == EventCounts(registered=1, ignored=1)
    assert bench.value("SELECT etag FROM object_keys") == ref.etag


def test_the_empty_object_that_stands_for_a_folder_becomes_nothing(bench: Bench) -> None:
    bench.upload("films/2026/", b"")
    empty = "d41d8cd98f00b204e9800998ecf8427e"
    for etag, size in ((empty, 0), (empty, None), (None, None)):
        marker = ObjectHint(bench.settings.bucket, "films/2026/", etag, None, size, None, "created")
        assert note(bench, marker) == EventCounts(ignored=1)
    assert bench.value("SELECT count(*) FROM studies") == 0
    full = ObjectHint(bench.settings.bucket, "films/full/", "abc", None, 4, None, "created")
    assert note(bench, full) == EventCounts(registered=1)


def test_what_was_noted_is_counted_by_dialect(bench: Bench, hint: Hint) -> None:
    def counted(result: str) -> float:
        return INGEST_EVENTS.labels("aws", result)._value.get()

    before = [counted("registered"), counted("ignored")]
    note(bench, hint("k", "A"), ObjectHint("elsewhere", "k", "A", None, None, None, "created"))
    assert [counted("registered"), counted("ignored")] == [before[0] + 1, before[1] + 1]


def lanes_of_ingest(bench: Bench) -> list[tuple[str, str, int]]:
    """What the operators' history says of ingest, lane by lane: arrived."""
    roll_up(bench.ledger)
    found = bench.rows("SELECT kind, lane, arrived FROM work_history WHERE kind = 'ingest' ORDER BY lane")
    return [(row["kind"], row["lane"], row["arrived"]) for row in found]


@pytest.mark.parametrize("lane", [Lane.STAT, Lane.ROUTINE])
def test_a_submitted_film_is_taken_in_its_own_lane_though_the_event_comes_first(
    bench: Bench, hint: Hint, lane: Lane
) -> None:
    note(bench, hint("uploads/a", "A"))
    assert claim_some(bench.ledger, JobKind.INGEST, 9) == [], "it is left to the client that submits it"

    register_objects(bench.ledger, [ObjectRef(bench.settings.bucket, "uploads/a", "A")], lane, actor="gateway")

    (claim,) = claim_some(bench.ledger, JobKind.INGEST, 9)
    assert claim.lane is lane
    assert lanes_of_ingest(bench) == [("ingest", lane, 1)]


def test_a_film_submitted_to_the_backlog_does_not_wait_for_its_client_any_more(bench: Bench, hint: Hint) -> None:
    note(bench, hint("uploads/a", "A"))
    register_objects(bench.ledger, [ObjectRef(bench.settings.bucket, "uploads/a", "A")], Lane.BACKLOG, actor="gateway")

    assert [claim.lane for claim in claim_some(bench.ledger, JobKind.INGEST, 9)] == [Lane.BACKLOG]


def test_an_upload_whose_client_died_is_taken_after_a_while(bench: Bench, hint: Hint) -> None:
    note(bench, hint("uploads/a", "A"), hint("uploads/a", "A"))
    wait = bench.value("SELECT extract(epoch FROM not_before - created_at) FROM jobs")
    assert 0 < wait <= 11
    bench.rows("UPDATE jobs SET not_before = clock_timestamp() RETURNING id")

    assert [claim.lane for claim in claim_some(bench.ledger, JobKind.INGEST, 9)] == [Lane.BACKLOG]


def test_a_retry_keeps_its_pause_when_its_film_is_submitted_again(bench: Bench, hint: Hint) -> None:
    note(bench, hint("uploads/a", "A"))
    bench.rows("UPDATE jobs SET not_before = NULL RETURNING id")
    (claim,) = claim_some(bench.ledger, JobKind.INGEST, 1)
    fail(bench.ledger, claim, "the bucket does not answer")
    bench.rows("UPDATE jobs SET not_before = clock_timestamp() + interval '1 hour' RETURNING id")

    register_objects(bench.ledger, [ObjectRef(bench.settings.bucket, "uploads/a", "A")], Lane.STAT, actor="gateway")

    assert bench.value("SELECT not_before > clock_timestamp() FROM jobs") is True
