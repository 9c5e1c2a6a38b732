"""A prefix as one piece of work: every page counts once, and pausing or cancelling loses and doubles nothing."""

from uuid import UUID

import pytest

from tests.support.ledger_tools import (
    film,
    image_state,
    ingest,
    job,
    job_of,
    no_errors,
    one,
    put,
    rows,
    settle_now,
    state_of,
    summarise,
    take,
    together,
    windows_of,
)
from tests.support.study_steps import complete_ingest
from xraygpt_core.errors import Conflict, NotFound
from xraygpt_core.ids import new_id
from xraygpt_core.ledger.backlogs.change import change_backlog
from xraygpt_core.ledger.backlogs.progress import (
    Backlog,
    add_page,
    backlog,
    backlogs,
    create_backlog,
    listings,
    note_problem,
)
from xraygpt_core.ledger.jobs.claims import claim_next, fail
from xraygpt_core.ledger.jobs.reconcile import tick
from xraygpt_core.ledger.studies.end_image import reject_image
from xraygpt_core.ledger.studies.register import ObjectRef
from xraygpt_core.ledger.transaction import Ledger
from xraygpt_core.states import JobKind, Lane, ReasonCode

pytestmark = pytest.mark.usefixtures("sound")


@pytest.fixture
def backlog_id(ledger: Ledger) -> UUID:
    return create_backlog(ledger, "source", "archive/", Lane.BACKLOG, None)


def page(first: int, count: int) -> list[ObjectRef]:
    return [ObjectRef("source", f"archive/{number:04}", "e") for number in range(first, first + count)]


def list_page(ledger: Ledger, first: int, count: int, *, last: bool) -> None:
    (listing,) = listings(ledger)
    refs = page(first, count)
    add_page(ledger, listing, refs, next_after=refs[-1].key if refs else listing.start_after, last=last)


def images(ledger: Ledger) -> list[UUID]:
    return [row["id"] for row in rows(ledger, "SELECT id FROM images ORDER BY id")]


def counts(found: Backlog) -> tuple[int, int, int, int, int, int, int]:
    return (found.listed, found.registered, found.summarised, found.rejected, found.dead, found.cancelled, found.open)


def test_listing_goes_on_behind_its_checkpoint(ledger: Ledger, backlog_id: UUID) -> None:
    list_page(ledger, 0, 3, last=False)
    (listing,) = listings(ledger)
    assert (listing.start_after, listing.bucket, listing.prefix) == ("archive/0002", "source", "archive/")
    list_page(ledger, 3, 2, last=True)
    assert listings(ledger) == []
    found = backlog(ledger, backlog_id)
    assert (found.state, found.lane, found.listed, found.registered) == ("listed", "backlog", 5, 5)


def test_a_page_that_is_registered_twice_counts_once(ledger: Ledger, backlog_id: UUID) -> None:
    (listing,) = listings(ledger)
    no_errors(
        together(
            *[lambda: add_page(ledger, listing, page(0, 20), next_after="archive/0019", last=False)] * 3,
        )
    )
    found = backlog(ledger, backlog_id)
    assert (found.listed, found.registered) == (20, 20)
    assert len(images(ledger)) == 20


def test_an_object_known_before_belongs_to_the_backlog_too(ledger: Ledger, backlog_id: UUID) -> None:
    put(ledger, "archive/0001", "e")
    list_page(ledger, 0, 3, last=True)
    assert backlog(ledger, backlog_id).registered == 3
    assert len(images(ledger)) == 3


def test_an_empty_prefix_is_done_at_once(ledger: Ledger, backlog_id: UUID) -> None:
    list_page(ledger, 0, 0, last=True)
    assert backlog(ledger, backlog_id).state == "done"


def test_progress_adds_up_at_every_moment_and_ends_as_done(ledger: Ledger, backlog_id: UUID) -> None:
    list_page(ledger, 0, 3, last=True)
    given = images(ledger)
    assert counts(backlog(ledger, backlog_id)) == (3, 3, 0, 0, 0, 0, 3)
    complete_ingest(ledger, take(ledger, JobKind.INGEST, given[0]), film("u1"))
    take_and_reject = take(ledger, JobKind.INGEST, given[1])
    assert counts(backlog(ledger, backlog_id)) == (3, 3, 0, 0, 0, 0, 3)
    reject_image(ledger, take_and_reject, ReasonCode.BLANK, "blank")
    fail(ledger, take(ledger, JobKind.INGEST, given[2]), "no", retry=False)
    study_id = one(ledger, "SELECT study_id FROM images WHERE id = :id", id=given[0])
    settle_now(ledger, study_id)
    assert backlog(ledger, backlog_id).open == 1
    summarise(ledger, study_id)
    found = backlog(ledger, backlog_id)
    assert counts(found) == (3, 3, 1, 1, 1, 0, 0)
    assert found.state == "done"
    (seen,) = rows(ledger, "SELECT * FROM backlog_progress")
    assert [seen[name] for name in ("listed", "registered", "summarised", "rejected", "dead", "cancelled", "open")] == [
        3, 3, 1, 1, 1, 0, 0,
    ]  # fmt: skip


def test_a_paused_backlog_rests_and_goes_on(ledger: Ledger, backlog_id: UUID) -> None:
    list_page(ledger, 0, 3, last=False)
    running = take(ledger, JobKind.INGEST, images(ledger)[0])
    change_backlog(ledger, backlog_id, "pause")
    assert listings(ledger) == []
    assert tick(ledger).rung == 0
    assert claim_next(ledger, [(JobKind.INGEST, Lane.BACKLOG)], "w") == []
    complete_ingest(ledger, running, film("u1"))
    change_backlog(ledger, backlog_id, "resume")
    assert len(listings(ledger)) == 1
    assert tick(ledger).rung == 2


def test_a_page_that_comes_after_the_pause_is_not_taken_in(ledger: Ledger, backlog_id: UUID) -> None:
    (listing,) = listings(ledger)
    change_backlog(ledger, backlog_id, "pause")
    add_page(ledger, listing, page(0, 3), next_after="archive/0002", last=True)
    assert images(ledger) == []
    change_backlog(ledger, backlog_id, "resume")
    list_page(ledger, 0, 3, last=True)
    assert backlog(ledger, backlog_id).registered == 3


def test_a_page_and_a_cancellation_at_the_same_moment_leave_no_open_work(ledger: Ledger) -> None:
    for number in range(5):
        backlog_id = create_backlog(ledger, "source", f"p{number}/", Lane.BACKLOG, None)
        listing = next(one for one in listings(ledger) if one.backlog_id == backlog_id)
        refs = [ObjectRef("source", f"p{number}/{n}", "e") for n in range(20)]
        no_errors(
            together(
                lambda listing=listing, refs=refs: add_page(ledger, listing, refs, next_after="x", last=False),
                lambda backlog_id=backlog_id: change_backlog(ledger, backlog_id, "cancel"),
            )
        )
    assert one(ledger, "SELECT count(*) FROM jobs WHERE state = 'queued'") == 0


def test_a_study_asked_for_at_the_bedside_is_no_longer_the_backlogs_to_stop(ledger: Ledger, backlog_id: UUID) -> None:
    list_page(ledger, 0, 2, last=True)
    urgent = put(ledger, "archive/0000", "e", Lane.STAT)
    change_backlog(ledger, backlog_id, "pause")
    assert job(ledger, job_of(ledger, JobKind.INGEST, urgent.image_id))["not_before"] is None
    change_backlog(ledger, backlog_id, "cancel")
    assert image_state(ledger, urgent.image_id) == ("received", None)
    assert backlog(ledger, backlog_id).cancelled == 1
    ingest(ledger, urgent)


def test_a_paused_study_asked_for_at_the_bedside_goes_at_once(ledger: Ledger, backlog_id: UUID) -> None:
    list_page(ledger, 0, 2, last=True)
    change_backlog(ledger, backlog_id, "pause")
    urgent = put(ledger, "archive/0000", "e", Lane.STAT)
    (got,) = claim_next(ledger, [(JobKind.INGEST, Lane.STAT)], "w")
    assert got.subject == urgent.image_id


def test_cancelling_ends_what_is_queued_and_lets_what_runs_finish(ledger: Ledger, backlog_id: UUID) -> None:
    list_page(ledger, 0, 3, last=True)
    running = take(ledger, JobKind.INGEST, images(ledger)[0])
    change_backlog(ledger, backlog_id, "cancel")
    complete_ingest(ledger, running, film("u1"))
    found = backlog(ledger, backlog_id)
    assert (found.state, found.cancelled, found.open) == ("cancelled", 2, 1)


def test_cancelling_one_content_leaves_the_other_content_of_its_study_running(ledger: Ledger, backlog_id: UUID) -> None:
    list_page(ledger, 0, 1, last=True)
    other = put(ledger, "archive/0000", "e2")
    change_backlog(ledger, backlog_id, "cancel")
    study_id = ingest(ledger, other, film("u1"))
    settle_now(ledger, study_id)
    summarise(ledger, study_id)
    assert state_of(ledger, study_id) == "summarised"


@pytest.mark.parametrize(
    ("done", "wanted"),
    [("pause", "pause"), ("cancel", "pause"), ("cancel", "cancel"), ("resume", "resume")],
)
def test_what_does_not_fit_the_state_is_refused(ledger: Ledger, backlog_id: UUID, done: str, wanted: str) -> None:
    if done != "resume":
        change_backlog(ledger, backlog_id, done)
    with pytest.raises(Conflict):
        change_backlog(ledger, backlog_id, wanted)


def test_nobody_changes_a_backlog_that_is_not_there(ledger: Ledger) -> None:
    with pytest.raises(NotFound):
        change_backlog(ledger, new_id(), "pause")
    with pytest.raises(NotFound):
        backlog(ledger, new_id())


def test_backlogs_are_shown_newest_first(ledger: Ledger) -> None:
    given = [create_backlog(ledger, "source", f"{number}/", Lane.BACKLOG, None) for number in range(3)]
    assert [one.backlog_id for one in backlogs(ledger)] == given[::-1]


def test_a_backlog_of_many_windows_is_paused_resumed_and_cancelled_to_its_last_job(
    ledger: Ledger, backlog_id: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    def queued(condition: str) -> int:
        return int(one(ledger, f"SELECT count(*) FROM jobs WHERE state = 'queued' AND {condition}"))

    windows_of(3, monkeypatch)
    list_page(ledger, 0, 9, last=False)
    change_backlog(ledger, backlog_id, "pause")
    assert queued("not_before = 'infinity'") == 9
    change_backlog(ledger, backlog_id, "resume")
    assert queued("not_before IS NULL") == 9
    list_page(ledger, 9, 2, last=True)
    change_backlog(ledger, backlog_id, "cancel")
    assert queued("true") == 0
    assert one(ledger, "SELECT count(*) FROM studies WHERE state = 'cancelled'") == 11


def test_a_change_that_was_interrupted_goes_on_when_it_is_asked_for_again(ledger: Ledger, backlog_id: UUID) -> None:
    list_page(ledger, 0, 3, last=True)
    with ledger.work() as work:
        work.run("UPDATE backlogs SET state = 'cancelled'")
    change_backlog(ledger, backlog_id, "cancel")
    assert backlog(ledger, backlog_id).cancelled == 3
    with pytest.raises(Conflict, match="is cancelled"):
        change_backlog(ledger, backlog_id, "cancel")


def test_a_problem_stands_until_a_page_is_listed(ledger: Ledger, backlog_id: UUID) -> None:
    note_problem(ledger, backlog_id, "the bucket refuses (AccessDenied)")
    assert backlog(ledger, backlog_id).problem == "the bucket refuses (AccessDenied)"
    list_page(ledger, 0, 1, last=False)
    assert backlog(ledger, backlog_id).problem is None


def test_a_large_page_finds_again_what_is_known_of_it(ledger: Ledger, backlog_id: UUID) -> None:
    known = put(ledger, "archive/0100", "e")
    list_page(ledger, 0, 150, last=False)
    list_page(ledger, 150, 150, last=True)
    assert backlog(ledger, backlog_id).registered == 300
    assert len(images(ledger)) == 300
    assert known.image_id in images(ledger)
