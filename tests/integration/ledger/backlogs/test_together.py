"""Two backlogs that list the same objects, and objects that others announced: each stops only what is its own."""

import pytest

from tests.support.ledger_tools import (
    begun,
    film,
    image_state,
    ingest,
    one,
    put,
    settle_now,
    state_of,
    summarise,
    until_it_waits,
)
from xraygpt_core.ledger.backlogs.change import change_backlog
from xraygpt_core.ledger.backlogs.progress import backlog, create_backlog
from xraygpt_core.ledger.jobs.claims import claim_next
from xraygpt_core.ledger.studies.register import ObjectRef, register_in
from xraygpt_core.ledger.transaction import Ledger
from xraygpt_core.states import JobKind, Lane

pytestmark = pytest.mark.usefixtures("sound")

INGEST = [(JobKind.INGEST, Lane.BACKLOG)]


def claimable(ledger: Ledger) -> int:
    """How many objects could be read now."""
    return int(one(ledger, "SELECT count(*) FROM jobs WHERE state = 'queued' AND not_before IS NULL"))


def test_cancelling_one_leaves_what_the_other_lists_alone(ledger: Ledger) -> None:
    first, _ = begun(ledger, 3)
    second, images = begun(ledger, 2)
    change_backlog(ledger, first, "cancel")
    assert (backlog(ledger, first).cancelled, backlog(ledger, second).cancelled) == (1, 0)
    assert {image_state(ledger, image.image_id) for image in images} == {("received", None)}


def test_a_paused_backlog_still_keeps_what_the_other_cancels(ledger: Ledger) -> None:
    first, _ = begun(ledger, 2)
    second, _ = begun(ledger, 2)
    change_backlog(ledger, second, "pause")
    change_backlog(ledger, first, "cancel")
    assert backlog(ledger, second).open == 2
    change_backlog(ledger, second, "resume")
    assert claimable(ledger) == 2


def test_what_both_list_is_cancelled_with_the_last_of_them(ledger: Ledger) -> None:
    first, _ = begun(ledger, 2)
    second, _ = begun(ledger, 2)
    change_backlog(ledger, first, "cancel")
    change_backlog(ledger, second, "cancel")
    assert (backlog(ledger, first).cancelled, backlog(ledger, second).cancelled) == (2, 2)


def test_pausing_one_leaves_what_the_other_lists_at_work(ledger: Ledger) -> None:
    first, _ = begun(ledger, 3)
    second, _ = begun(ledger, 2)
    change_backlog(ledger, first, "pause")
    assert claimable(ledger) == 2
    change_backlog(ledger, second, "pause")
    assert claimable(ledger) == 0
    change_backlog(ledger, first, "resume")
    assert claimable(ledger) == 3


def test_a_page_of_another_backlog_wakes_what_a_paused_one_holds(ledger: Ledger) -> None:
    first, images = begun(ledger, 3)
    ingest(ledger, images[0], film("read"))
    change_backlog(ledger, first, "pause")
    begun(ledger, 2)
    assert claimable(ledger) == 2
    assert [claim.subject for claim in claim_next(ledger, INGEST, "w", limit=8)] == [images[1].image_id]


@pytest.mark.parametrize("wanted", ["pause", "cancel"])
def test_a_page_that_is_being_listed_while_another_backlog_is_stopped_goes_on(ledger: Ledger, wanted: str) -> None:
    first, images = begun(ledger, 2)
    second = create_backlog(ledger, "source", "archive/", Lane.BACKLOG, None)
    refs = [ObjectRef("source", f"archive/{number}", "e") for number in range(2)]
    with ledger.work() as work:
        found = register_in(ledger, work, refs, Lane.BACKLOG, actor="backlog", careful=False)
        stopping = until_it_waits(ledger, lambda: change_backlog(ledger, first, wanted))
        for each in found:
            work.run(
                "INSERT INTO backlog_images (backlog_id, image_id) VALUES (:id, :image)",
                {"id": second, "image": each.image_id},
            )
    stopping()
    assert claimable(ledger) == len(images)


def test_what_others_announced_before_is_not_the_backlogs_to_stop(ledger: Ledger) -> None:
    uploaded = put(ledger, "archive/0", "e", Lane.BACKLOG)
    backlog_id, _ = begun(ledger, 2)
    change_backlog(ledger, backlog_id, "pause")
    assert claimable(ledger) == 1
    change_backlog(ledger, backlog_id, "cancel")
    study_id = ingest(ledger, uploaded, film("S"))
    settle_now(ledger, study_id)
    summarise(ledger, study_id)
    assert (state_of(ledger, study_id), backlog(ledger, backlog_id).cancelled) == ("summarised", 1)


def test_a_read_study_that_another_backlog_lists_too_goes_on_to_its_summary(ledger: Ledger) -> None:
    first, images = begun(ledger, 1)
    study_id = ingest(ledger, images[0], film("S"))
    begun(ledger, 1)
    change_backlog(ledger, first, "pause")
    settle_now(ledger, study_id)
    change_backlog(ledger, first, "cancel")
    summarise(ledger, study_id)
    assert state_of(ledger, study_id) == "summarised"


def test_pausing_leaves_a_study_with_an_image_that_others_sent_at_work(ledger: Ledger) -> None:
    backlog_id, images = begun(ledger, 1)
    ingest(ledger, images[0], film("shared"))
    study_id = ingest(ledger, put(ledger, "elsewhere/1", "e", Lane.BACKLOG), film("shared"))
    change_backlog(ledger, backlog_id, "pause")
    settle_now(ledger, study_id)
