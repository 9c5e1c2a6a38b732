"""A backlog that was cancelled and is resumed: its objects are read again, and nothing that others ended comes back."""

from collections.abc import Callable
from itertools import count
from typing import Any
from uuid import UUID

import pytest

from tests.support.ledger_tools import (
    begun,
    film,
    image_state,
    ingest,
    job,
    job_of,
    one,
    put,
    rows,
    settle_now,
    start_summary,
    state_of,
    summarise,
    take,
    windows_of,
)
from tests.support.study_steps import complete_ingest
from xraygpt_core.errors import Conflict
from xraygpt_core.ledger.backlogs import change
from xraygpt_core.ledger.backlogs.change import change_backlog
from xraygpt_core.ledger.backlogs.progress import backlog, listings
from xraygpt_core.ledger.studies.cancel import cancel_study
from xraygpt_core.ledger.studies.end_image import replace_image
from xraygpt_core.ledger.studies.objects import Registered
from xraygpt_core.ledger.studies.purge import purge_study
from xraygpt_core.ledger.studies.read import timeline
from xraygpt_core.ledger.transaction import Ledger
from xraygpt_core.states import JobKind, Lane

pytestmark = pytest.mark.usefixtures("sound")


def cancelled_and_resumed(ledger: Ledger, backlog_id: UUID) -> None:
    change_backlog(ledger, backlog_id, "cancel")
    change_backlog(ledger, backlog_id, "resume")


def finished(ledger: Ledger, image: Registered) -> str:
    """Read, settled, summarised: where the study stands then."""
    study_id = ingest(ledger, image, film(f"study {image.image_id}"))
    settle_now(ledger, study_id)
    summarise(ledger, study_id)
    return state_of(ledger, study_id)


def once_and_then_cut_short(resume_cancelled: Callable[..., None]) -> Callable[..., None]:
    calls = count()

    def cut(*of_window: Any) -> None:
        if next(calls):
            raise InterruptedError
        resume_cancelled(*of_window)

    return cut


def test_what_was_unread_read_or_settled_is_summarised_after_all(ledger: Ledger) -> None:
    backlog_id, images = begun(ledger, 3)
    for image in images[:2]:
        ingest(ledger, image, film(f"study {image.image_id}"))
    settle_now(ledger, images[0].study_id)
    cancelled_and_resumed(ledger, backlog_id)
    found = backlog(ledger, backlog_id)
    assert (found.state, found.cancelled, found.open, found.finished_at) == ("listed", 0, 3, None)
    assert [finished(ledger, image) for image in images] == ["summarised"] * 3
    done = backlog(ledger, backlog_id)
    assert (done.state, done.finished_at is None) == ("done", False)


def test_it_can_be_cancelled_and_resumed_again(ledger: Ledger) -> None:
    backlog_id, (image,) = begun(ledger, 1)
    for _ in range(3):
        cancelled_and_resumed(ledger, backlog_id)
    assert finished(ledger, image) == "summarised"


def test_a_provisional_study_that_comes_back_still_finds_the_one_it_belongs_to(ledger: Ledger) -> None:
    backlog_id, (unread,) = begun(ledger, 1)
    cancelled_and_resumed(ledger, backlog_id)
    home = ingest(ledger, put(ledger, "elsewhere/1", "e"), film("one study"))
    assert ingest(ledger, unread, film("one study")) == home


def test_used_up_attempts_and_a_pause_are_forgotten(ledger: Ledger) -> None:
    backlog_id, (image,) = begun(ledger, 1)
    change_backlog(ledger, backlog_id, "pause")
    cancelled_and_resumed(ledger, backlog_id)
    again = job(ledger, job_of(ledger, JobKind.INGEST, image.image_id))
    assert (again["state"], again["attempts"], again["not_before"]) == ("queued", 0, None)


def test_listing_goes_on_where_it_was_cancelled(ledger: Ledger) -> None:
    backlog_id, _ = begun(ledger, 2, whole=False)
    change_backlog(ledger, backlog_id, "cancel")
    assert listings(ledger) == []
    change_backlog(ledger, backlog_id, "resume")
    (listing,) = listings(ledger)
    assert (listing.backlog_id, listing.start_after) == (backlog_id, "archive/2")


def test_a_study_that_a_person_cancelled_stays_cancelled(ledger: Ledger) -> None:
    backlog_id, images = begun(ledger, 2)
    ingest(ledger, images[1], film("read"))
    for image in images:
        cancel_study(ledger, image.study_id)
    cancelled_and_resumed(ledger, backlog_id)
    assert [state_of(ledger, image.study_id) for image in images] == ["cancelled"] * 2
    assert backlog(ledger, backlog_id).cancelled == 2


def test_what_ended_with_the_last_backlog_that_lists_it_comes_back_with_any_of_them(ledger: Ledger) -> None:
    first, (image,) = begun(ledger, 1)
    second, _ = begun(ledger, 1)
    change_backlog(ledger, first, "cancel")
    change_backlog(ledger, second, "cancel")
    assert image_state(ledger, image.image_id) == ("cancelled", None)
    change_backlog(ledger, first, "resume")
    assert image_state(ledger, image.image_id) == ("received", None)


def test_a_purged_study_stays_purged(ledger: Ledger) -> None:
    backlog_id, images = begun(ledger, 2)
    change_backlog(ledger, backlog_id, "cancel")
    purge_study(ledger, images[0].study_id, lambda _key: None)
    change_backlog(ledger, backlog_id, "resume")
    assert [image_state(ledger, image.image_id)[0] for image in images] == ["cancelled", "received"]


def test_a_content_that_was_replaced_meanwhile_is_not_brought_back(ledger: Ledger) -> None:
    backlog_id, (old,) = begun(ledger, 1)
    change_backlog(ledger, backlog_id, "cancel")
    new = put(ledger, "archive/0", "e2")
    change_backlog(ledger, backlog_id, "resume")
    study_id = ingest(ledger, new, film("u1"))
    ingest(ledger, old, film("u1", pixel_sha256="0" * 64))
    settle_now(ledger, study_id)
    summarise(ledger, study_id)
    assert image_state(ledger, old.image_id) == ("cancelled", "replaced")
    assert state_of(ledger, study_id) == "summarised"


def test_an_object_that_is_gone_when_it_is_read_again_ends_its_study(ledger: Ledger) -> None:
    backlog_id, (image,) = begun(ledger, 1)
    ingest(ledger, image, film("u1"))
    cancelled_and_resumed(ledger, backlog_id)
    replace_image(ledger, take(ledger, JobKind.INGEST, image.image_id), None)
    assert state_of(ledger, image.study_id) == "cancelled"
    assert backlog(ledger, backlog_id).open == 0


def test_an_image_that_was_read_while_its_study_was_cancelled_is_settled_at_once(ledger: Ledger) -> None:
    backlog_id, images = begun(ledger, 2)
    study_id = ingest(ledger, images[0], film("one study"))
    running = take(ledger, JobKind.INGEST, images[1].image_id)
    change_backlog(ledger, backlog_id, "cancel")
    complete_ingest(ledger, running, film("one study"))
    change_backlog(ledger, backlog_id, "resume")
    settle_now(ledger, study_id)
    _, given = start_summary(ledger, study_id)
    assert given.image_id == images[1].image_id
    ingest(ledger, images[0], film("one study"))
    settle_now(ledger, study_id)
    summarise(ledger, study_id)
    assert backlog(ledger, backlog_id).summarised == 2


def test_a_content_of_a_study_that_went_on_without_it_comes_back_alone(ledger: Ledger) -> None:
    backlog_id, (image,) = begun(ledger, 1)
    other = put(ledger, "elsewhere/1", "e")
    change_backlog(ledger, backlog_id, "cancel")
    study_id = ingest(ledger, other, film("shared"))
    settle_now(ledger, study_id)
    summarise(ledger, study_id)
    change_backlog(ledger, backlog_id, "resume")
    assert ingest(ledger, image, film("shared")) == study_id
    settle_now(ledger, study_id)
    assert state_of(ledger, study_id) in {"summarised", "queued"}


def test_the_timeline_tells_the_cancellation_and_its_end(ledger: Ledger) -> None:
    backlog_id, (image,) = begun(ledger, 1)
    cancelled_and_resumed(ledger, backlog_id)
    told = [(step["what"], step["who"]) for step in timeline(ledger, image.study_id)]
    assert told == [("registered", "backlog"), ("cancelled", "backlog"), ("resumed", "backlog")]


def test_a_study_whose_images_lie_in_several_windows_comes_back_whole(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    windows_of(2, monkeypatch)
    backlog_id, images = begun(ledger, 5)
    for image in images:
        ingest(ledger, image, film("one study", sop_pseudonym=f"sop {image.image_id}"))
    cancelled_and_resumed(ledger, backlog_id)
    assert {image_state(ledger, image.image_id) for image in images} == {("received", None)}
    assert one(ledger, "SELECT count(*) FROM studies WHERE alias_of IS NULL AND state = 'received'") == 1


def test_a_resumption_that_was_interrupted_goes_on_when_it_is_asked_for_again(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    backlog_id, images = begun(ledger, 3)
    change_backlog(ledger, backlog_id, "cancel")
    windows_of(1, monkeypatch)
    with monkeypatch.context() as patch:
        patch.setattr(change, "_resume_cancelled", once_and_then_cut_short(change._resume_cancelled))
        with pytest.raises(InterruptedError):
            change_backlog(ledger, backlog_id, "resume")
    assert backlog(ledger, backlog_id).open == 1
    change_backlog(ledger, backlog_id, "resume")
    assert [finished(ledger, image) for image in images] == ["summarised"] * 3
    assert backlog(ledger, backlog_id).state == "done"
    with pytest.raises(Conflict, match="is done"):
        change_backlog(ledger, backlog_id, "resume")


def test_a_backlog_that_is_looked_at_while_it_is_resumed_is_not_taken_for_done(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    backlog_id, _ = begun(ledger, 3)
    change_backlog(ledger, backlog_id, "cancel")
    windows_of(1, monkeypatch)
    seen = []

    def looked_at(*of_window: Any) -> None:
        seen.append(backlog(ledger, backlog_id).state)
        resume_cancelled(*of_window)

    resume_cancelled = change._resume_cancelled
    monkeypatch.setattr(change, "_resume_cancelled", looked_at)
    change_backlog(ledger, backlog_id, "resume")
    assert seen == ["cancelled"] * len(seen)
    assert backlog(ledger, backlog_id).state == "listed"


def test_its_jobs_are_found_by_the_dispatcher(ledger: Ledger) -> None:
    backlog_id, images = begun(ledger, 2)
    cancelled_and_resumed(ledger, backlog_id)
    open_jobs = rows(ledger, "SELECT kind, lane_rank FROM jobs WHERE state = 'queued'")
    assert open_jobs == [{"kind": "ingest", "lane_rank": Lane.BACKLOG.rank}] * len(images)
