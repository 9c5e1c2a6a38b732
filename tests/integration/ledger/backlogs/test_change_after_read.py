"""Pausing and cancelling a backlog reaches the studies that are read already and wait for their summary, too."""

from contextlib import suppress
from uuid import UUID

import pytest

from tests.support.ledger_tools import (
    begun,
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
    start_summary,
    state_of,
    summarise,
    take,
    together,
)
from tests.support.study_steps import complete_ingest
from xraygpt_core.errors import LeaseLost
from xraygpt_core.ledger.backlogs.change import change_backlog
from xraygpt_core.ledger.backlogs.progress import add_page, backlog, create_backlog, listings
from xraygpt_core.ledger.jobs.claims import claim_next
from xraygpt_core.ledger.jobs.reconcile import tick
from xraygpt_core.ledger.studies.objects import Registered
from xraygpt_core.ledger.studies.register import ObjectRef
from xraygpt_core.ledger.transaction import Ledger
from xraygpt_core.states import JobKind, Lane

pytestmark = pytest.mark.usefixtures("sound")


def read(ledger: Ledger, images: list[Registered]) -> list[UUID]:
    return [ingest(ledger, image, film(f"study {image.image_id}")) for image in images]


def settled(ledger: Ledger, images: list[Registered]) -> list[UUID]:
    studies = read(ledger, images)
    for study_id in studies:
        settle_now(ledger, study_id)
    return studies


def test_a_pause_holds_what_is_read_and_what_is_settled(ledger: Ledger) -> None:
    backlog_id, images = begun(ledger, 3)
    (summarising,) = settled(ledger, images[:1])
    (settling,) = read(ledger, images[1:2])
    change_backlog(ledger, backlog_id, "pause")
    kinds = {JobKind.SUMMARISE: summarising, JobKind.SETTLE: settling, JobKind.INGEST: images[2].image_id}
    for kind, subject in kinds.items():
        assert job(ledger, job_of(ledger, kind, subject))["state"] == "queued"
    assert claim_next(ledger, [(kind, lane) for lane in Lane for kind in kinds], "w", limit=3) == []
    assert tick(ledger).rung == 0


def test_after_a_pause_everything_goes_on_to_its_summary(ledger: Ledger) -> None:
    backlog_id, images = begun(ledger, 3)
    studies = settled(ledger, images[:1]) + read(ledger, images[1:2])
    change_backlog(ledger, backlog_id, "pause")
    change_backlog(ledger, backlog_id, "resume")
    assert tick(ledger).rung > 0
    settle_now(ledger, studies[1])
    studies += settled(ledger, images[2:])
    for study_id in studies:
        summarise(ledger, study_id)
    found = backlog(ledger, backlog_id)
    assert (found.state, found.summarised) == ("done", 3)


def test_what_runs_when_a_pause_comes_is_finished(ledger: Ledger) -> None:
    backlog_id, images = begun(ledger, 1)
    (study_id,) = settled(ledger, images)
    taken, given = start_summary(ledger, study_id)
    change_backlog(ledger, backlog_id, "pause")
    assert job(ledger, taken.job_id)["state"] == "running"
    assert given.study_id == study_id


def test_a_paused_study_that_is_asked_for_at_the_bedside_is_summarised_at_once(ledger: Ledger) -> None:
    backlog_id, images = begun(ledger, 1)
    (study_id,) = settled(ledger, images)
    change_backlog(ledger, backlog_id, "pause")
    put(ledger, "archive/0", "e", Lane.STAT)
    (got,) = claim_next(ledger, [(JobKind.SUMMARISE, Lane.STAT)], "w")
    assert got.subject == study_id


def test_a_cancelled_backlog_leaves_nothing_for_the_gpu(ledger: Ledger) -> None:
    backlog_id, images = begun(ledger, 3)
    studies = settled(ledger, images[:1]) + read(ledger, images[1:2])
    change_backlog(ledger, backlog_id, "cancel")
    found = backlog(ledger, backlog_id)
    assert (found.state, found.cancelled, found.open) == ("cancelled", 3, 0)
    assert [state_of(ledger, study_id) for study_id in studies] == ["cancelled"] * 2
    assert {image_state(ledger, image.image_id) for image in images} == {("cancelled", None)}
    assert rows(ledger, "SELECT FROM jobs WHERE state IN ('queued', 'running')") == []


def test_a_study_that_is_being_summarised_when_its_backlog_is_cancelled_is_finished(ledger: Ledger) -> None:
    backlog_id, images = begun(ledger, 1)
    (study_id,) = settled(ledger, images)
    taken, given = start_summary(ledger, study_id)
    change_backlog(ledger, backlog_id, "cancel")
    assert job(ledger, taken.job_id)["state"] == "running"
    assert given.study_id == study_id
    assert state_of(ledger, study_id) == "queued"


def test_an_image_that_is_being_read_when_its_study_is_cancelled_counts_as_cancelled(ledger: Ledger) -> None:
    backlog_id, images = begun(ledger, 2)
    ingest(ledger, images[0], film("one study"))
    running = take(ledger, JobKind.INGEST, images[1].image_id)
    change_backlog(ledger, backlog_id, "cancel")
    complete_ingest(ledger, running, film("one study"))
    found = backlog(ledger, backlog_id)
    assert (found.cancelled, found.open) == (2, 0)


def test_a_study_with_an_image_that_others_sent_is_not_the_backlogs_to_end(ledger: Ledger) -> None:
    backlog_id, images = begun(ledger, 1)
    ingest(ledger, images[0], film("shared"))
    study_id = ingest(ledger, put(ledger, "elsewhere/1", "e", Lane.BACKLOG), film("shared"))
    change_backlog(ledger, backlog_id, "cancel")
    settle_now(ledger, study_id)
    summarise(ledger, study_id)
    assert state_of(ledger, study_id) == "summarised"


def test_a_study_that_has_a_summary_keeps_it_and_the_new_opinion_comes(ledger: Ledger) -> None:
    backlog_id, images = begun(ledger, 2)
    study_id = ingest(ledger, images[0], film("grows"))
    settle_now(ledger, study_id)
    summarise(ledger, study_id)
    ingest(ledger, images[1], film("grows", rows=4000))
    change_backlog(ledger, backlog_id, "cancel")
    settle_now(ledger, study_id)
    assert one(ledger, "SELECT count(*) FROM summaries WHERE superseded_at IS NULL") == 1
    assert state_of(ledger, study_id) in {"queued", "summarised"}


def test_an_image_that_joins_at_the_moment_of_the_cancellation_is_never_stranded(ledger: Ledger) -> None:
    """The invariants say that an open study has open work; here somebody else's image arrives meanwhile."""
    for number in range(6):
        backlog_id = create_backlog(ledger, "source", f"b{number}/", Lane.BACKLOG, None)
        listing = next(one for one in listings(ledger) if one.backlog_id == backlog_id)
        add_page(ledger, listing, [ObjectRef("source", f"b{number}/1", "e")], next_after="z", last=True)
        ingest(ledger, put(ledger, f"b{number}/1", "e", Lane.BACKLOG), film(f"study {number}"))
        other = put(ledger, f"other/{number}", "e", Lane.BACKLOG)
        joining = take(ledger, JobKind.INGEST, other.image_id)
        no_errors(
            together(
                lambda joining=joining, number=number: complete_ingest(ledger, joining, film(f"study {number}")),
                lambda backlog_id=backlog_id: change_backlog(ledger, backlog_id, "cancel"),
            )
        )


def test_a_summary_that_is_claimed_at_the_moment_of_the_cancellation_is_written_or_cancelled(ledger: Ledger) -> None:
    def claimed_and_written(study_id: UUID) -> None:
        with suppress(AssertionError, LeaseLost):  # cancelled before it could be claimed
            summarise(ledger, study_id)

    backlog_id, images = begun(ledger, 6)
    studies = settled(ledger, images)
    no_errors(
        together(
            lambda: [claimed_and_written(study_id) for study_id in studies],
            lambda: change_backlog(ledger, backlog_id, "cancel"),
        )
    )
    assert {state_of(ledger, study_id) for study_id in studies} <= {"summarised", "cancelled"}
    found = backlog(ledger, backlog_id)
    assert (found.summarised + found.cancelled, found.open) == (6, 0)
