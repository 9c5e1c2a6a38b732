"""A study that was only stopped with its backlog: a film that somebody else sends opens it again, and is summarised."""

from uuid import UUID

import pytest

from tests.support.ledger_tools import (
    begun,
    film,
    image_state,
    ingest,
    one,
    put,
    reject,
    settle_now,
    start_summary,
    state_of,
    summarise,
    take,
    until_it_waits,
)
from tests.support.study_steps import complete_ingest
from xraygpt_core.ledger.backlogs.change import change_backlog
from xraygpt_core.ledger.backlogs.progress import backlog
from xraygpt_core.ledger.jobs.fence import fenced
from xraygpt_core.ledger.studies.cancel import cancel_study
from xraygpt_core.ledger.studies.end_image import end_image
from xraygpt_core.ledger.studies.grouping import lock_group
from xraygpt_core.ledger.studies.image_status import images_status
from xraygpt_core.ledger.studies.objects import ObjectRef, Registered
from xraygpt_core.ledger.studies.read import timeline
from xraygpt_core.ledger.studies.register import register_in
from xraygpt_core.ledger.transaction import Ledger, Work
from xraygpt_core.states import JobKind, Lane, ReasonCode

pytestmark = pytest.mark.usefixtures("sound")


def cancelled(ledger: Ledger, *studies: str) -> tuple[UUID, list[Registered]]:
    """A cancelled backlog with one image for each of these studies, read before, and one that was not read."""
    backlog_id, images = begun(ledger, len(studies) + 1)
    for image, study in zip(images, studies, strict=False):
        ingest(ledger, image, film(study))
    change_backlog(ledger, backlog_id, "cancel")
    return backlog_id, images


def summarised(ledger: Ledger, image: Registered, study: str) -> UUID:
    """Read this film, settle and summarise its study."""
    study_id = ingest(ledger, image, film(study))
    _, given = settled(ledger, study_id)
    assert given == image.image_id
    summarise(ledger, study_id)
    return study_id


def settled(ledger: Ledger, study_id: UUID) -> tuple[UUID, UUID]:
    settle_now(ledger, study_id)
    return study_id, one(ledger, "SELECT chosen_image FROM studies WHERE id = :id", id=study_id)


def steps(ledger: Ledger, study_id: UUID) -> list[str]:
    return [str(step["what"]) for step in timeline(ledger, study_id)]


def test_a_new_content_is_shown_as_received_at_once_and_is_summarised(ledger: Ledger) -> None:
    _, (unread,) = cancelled(ledger)
    new = put(ledger, unread.uri.removeprefix("s3://source/"), "e-new", Lane.STAT)
    assert images_status(ledger, [new.image_id])[0].state == "received"
    study_id = summarised(ledger, new, "S")
    assert state_of(ledger, study_id) == "summarised"
    assert image_state(ledger, unread.image_id) == ("cancelled", None)
    assert "reopened" in steps(ledger, study_id)


def test_a_new_content_that_is_rejected_closes_the_study_again_and_says_why(ledger: Ledger) -> None:
    _, (unread,) = cancelled(ledger)
    new = put(ledger, "archive/0", "e-new")
    reject(ledger, new, ReasonCode.BLANK)
    assert state_of(ledger, unread.study_id) == "rejected"


def test_another_film_of_a_cancelled_study_is_summarised(ledger: Ledger) -> None:
    _, (read, _) = cancelled(ledger, "S")
    study_id = summarised(ledger, put(ledger, "today/1", "e", Lane.STAT), "S")
    assert study_id == read.study_id
    assert steps(ledger, study_id).count("reopened") == 1


def test_a_film_of_another_backlog_opens_the_study_too(ledger: Ledger) -> None:
    cancelled(ledger, "S")
    _, images = begun(ledger, 1, prefix="elsewhere/")
    assert state_of(ledger, summarised(ledger, images[0], "S")) == "summarised"


def test_a_film_of_the_backlog_itself_that_was_being_read_does_not(ledger: Ledger) -> None:
    backlog_id, images = begun(ledger, 2)
    study_id = ingest(ledger, images[0], film("S"))
    running = take(ledger, JobKind.INGEST, images[1].image_id)
    change_backlog(ledger, backlog_id, "cancel")
    complete_ingest(ledger, running, film("S"))
    assert state_of(ledger, study_id) == "cancelled"
    assert backlog(ledger, backlog_id).open == 0


def test_a_film_of_the_backlog_that_was_asked_for_at_the_bedside_does(ledger: Ledger) -> None:
    backlog_id, images = begun(ledger, 2)
    study_id = ingest(ledger, images[0], film("S"))
    running = take(ledger, JobKind.INGEST, images[1].image_id)
    change_backlog(ledger, backlog_id, "cancel")
    put(ledger, "archive/1", "e", Lane.STAT)
    complete_ingest(ledger, running, film("S"))
    settle_now(ledger, study_id)
    _, given = start_summary(ledger, study_id)
    assert given.image_id == images[1].image_id


def test_what_a_person_cancelled_swallows_later_films(ledger: Ledger) -> None:
    backlog_id, images = begun(ledger, 1)
    study_id = ingest(ledger, images[0], film("S"))
    cancel_study(ledger, study_id)
    change_backlog(ledger, backlog_id, "cancel")
    assert ingest(ledger, put(ledger, "today/1", "e", Lane.STAT), film("S")) == study_id
    assert ingest(ledger, put(ledger, "archive/0", "e-new", Lane.STAT), film("S")) == study_id
    assert state_of(ledger, study_id) == "cancelled"


def test_a_study_that_a_person_cancelled_is_not_opened_by_resuming_a_backlog_that_lists_a_film_of_it(
    ledger: Ledger,
) -> None:
    first = put(ledger, "archive/0", "before")
    cancel_study(ledger, first.study_id)
    backlog_id, images = begun(ledger, 1)
    change_backlog(ledger, backlog_id, "cancel")
    change_backlog(ledger, backlog_id, "resume")
    ingest(ledger, images[0], film("S"))
    assert state_of(ledger, first.study_id) == "cancelled"


def test_an_opened_study_takes_its_other_films_back_when_the_backlog_is_resumed(ledger: Ledger) -> None:
    backlog_id, (read, _) = cancelled(ledger, "S")
    study_id = summarised(ledger, put(ledger, "today/1", "e"), "S")
    change_backlog(ledger, backlog_id, "resume")
    assert image_state(ledger, read.image_id) == ("received", None)
    assert ingest(ledger, read, film("S")) == study_id
    settle_now(ledger, study_id)


def test_a_content_that_is_being_registered_while_its_study_is_stopped_keeps_it_open(ledger: Ledger) -> None:
    backlog_id, (unread,) = begun(ledger, 1)
    with ledger.work() as work:
        ref = ObjectRef("source", "archive/0", "e2")
        (new,) = register_in(ledger, work, [ref], Lane.ROUTINE, actor="event", careful=False)
        cancelling = until_it_waits(ledger, lambda: change_backlog(ledger, backlog_id, "cancel"))
    cancelling()
    assert image_state(ledger, unread.image_id) == ("cancelled", None)
    assert state_of(ledger, unread.study_id) == "received"
    assert state_of(ledger, summarised(ledger, new, "S")) == "summarised"


def test_a_study_whose_other_content_is_being_rejected_while_it_is_stopped_is_closed(ledger: Ledger) -> None:
    backlog_id, (unread,) = begun(ledger, 1)
    other = put(ledger, "archive/0", "e2", Lane.ROUTINE)
    claim = take(ledger, JobKind.INGEST, other.image_id)

    def rejected(work: Work) -> object:
        end_image(work, claim, lock_group(work, other.image_id, None), "rejected", ReasonCode.BLANK, "blank")
        return until_it_waits(ledger, lambda: change_backlog(ledger, backlog_id, "cancel"))

    cancelling = fenced(ledger, claim, rejected)
    assert callable(cancelling)
    cancelling()
    assert image_state(ledger, unread.image_id) == ("cancelled", None)
    assert state_of(ledger, unread.study_id) == "cancelled"
