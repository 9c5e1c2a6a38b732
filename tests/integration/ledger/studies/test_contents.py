"""A key whose content changes: what is replaced, what comes back, what is late, what was purged or deleted."""

from tests.support.ledger_tools import (
    do,
    expire,
    film,
    image_state,
    ingest,
    job,
    job_of,
    one,
    put,
    reject,
    settle_now,
    state_of,
    study_of,
    summarise,
    take,
    until_it_waits,
    whole_study,
)
from tests.support.study_steps import complete_ingest
from xraygpt_core.ledger.jobs.fence import fenced
from xraygpt_core.ledger.jobs.reconcile import tick
from xraygpt_core.ledger.studies import read
from xraygpt_core.ledger.studies.accept import accept_one
from xraygpt_core.ledger.studies.cancel import cancel_study
from xraygpt_core.ledger.studies.end_image import replace_image
from xraygpt_core.ledger.studies.image_status import images_status
from xraygpt_core.ledger.studies.known_objects import note_deleted
from xraygpt_core.ledger.studies.purge import purge_study
from xraygpt_core.ledger.studies.register import ObjectRef, register_in, register_objects
from xraygpt_core.ledger.transaction import Ledger, Work
from xraygpt_core.states import JobKind, Lane


def test_an_overwritten_key_joins_the_old_study_and_replaces_the_old_image(ledger: Ledger) -> None:
    old, study_id = whole_study(ledger, film("u1"), "a")
    new = put(ledger, "a", "e2")
    assert new.new
    assert new.study_id == study_id
    assert ingest(ledger, new, film("u1")) == study_id
    assert image_state(ledger, old.image_id) == ("cancelled", "replaced")
    settle_now(ledger, study_id)
    assert state_of(ledger, study_id) == "queued"
    summarise(ledger, study_id)
    found = read.study(ledger, study_id)
    assert found.summary is not None
    assert found.summary.image_id == new.image_id


def test_who_waits_for_the_new_content_is_not_shown_the_old_summary(ledger: Ledger) -> None:
    old, _ = whole_study(ledger, film("u1"), "a")
    new = put(ledger, "a", "e2")
    status = {status.image_id: status for status in images_status(ledger, [old.image_id, new.image_id])}
    assert status[old.image_id].state == "summarised"
    assert (status[new.image_id].state, status[new.image_id].summary) == ("received", None)
    take(ledger, JobKind.INGEST, new.image_id)
    assert images_status(ledger, [new.image_id])[0].state == "ingesting"


def test_two_contents_of_one_key_in_one_batch_share_a_study(ledger: Ledger) -> None:
    first, second = register_objects(
        ledger, [ObjectRef("source", "a", "e1"), ObjectRef("source", "a", "e2")], Lane.ROUTINE, actor="test"
    )
    assert first.image_id != second.image_id
    assert first.study_id == second.study_id


def test_a_content_that_comes_back_is_read_again_and_counts_again(ledger: Ledger) -> None:
    first, study_id = whole_study(ledger, film("u1"), "a")
    second = put(ledger, "a", "e2")
    ingest(ledger, second, film("u1"))
    settle_now(ledger, study_id)
    summarise(ledger, study_id)
    back = put(ledger, "a", "e1")
    assert (back.image_id, back.new) == (first.image_id, False)
    assert image_state(ledger, first.image_id) == ("received", None)
    ingest(ledger, back, film("u1"))
    settle_now(ledger, study_id)
    summarise(ledger, study_id)
    assert image_state(ledger, second.image_id) == ("cancelled", "replaced")
    found = read.study(ledger, study_id)
    assert found.summary is not None
    assert found.summary.image_id == first.image_id
    assert one(ledger, "SELECT count(*) FROM summaries") == 3


def test_a_content_that_comes_back_after_its_ingest_died_is_read_again(ledger: Ledger) -> None:
    first = put(ledger, "a")
    job_id = job_of(ledger, JobKind.INGEST, first.image_id)
    do(ledger, "UPDATE jobs SET attempts = max_attempts - 1 WHERE id = :id", id=job_id)
    take(ledger, JobKind.INGEST, first.image_id)
    expire(ledger, job_id)
    tick(ledger)
    assert image_state(ledger, first.image_id)[0] == "dead"
    ingest(ledger, put(ledger, "a", "e2"), film("u1"))
    assert image_state(ledger, first.image_id) == ("cancelled", "replaced")
    assert job(ledger, job_id)["state"] == "cancelled"
    put(ledger, "a")
    ingest(ledger, first, film("u1"))
    assert image_state(ledger, first.image_id) == ("accepted", None)


def test_an_object_that_was_gone_when_it_was_read_and_comes_back_is_summarised(ledger: Ledger) -> None:
    registered = put(ledger, "a")
    replace_image(ledger, take(ledger, JobKind.INGEST, registered.image_id), None)
    assert image_state(ledger, registered.image_id) == ("cancelled", "replaced")
    assert state_of(ledger, registered.study_id) == "cancelled"
    put(ledger, "a")
    assert read.study(ledger, registered.study_id).state == "received"
    study_id = ingest(ledger, registered, film("u1"))
    settle_now(ledger, study_id)
    summarise(ledger, study_id)
    assert state_of(ledger, study_id) == "summarised"


def test_an_object_that_was_gone_and_comes_back_with_another_content_is_summarised(ledger: Ledger) -> None:
    registered = put(ledger, "a")
    replace_image(ledger, take(ledger, JobKind.INGEST, registered.image_id), None)
    new = put(ledger, "a", "e2")
    assert images_status(ledger, [new.image_id])[0].state == "received"
    study_id = ingest(ledger, new, film("u1"))
    settle_now(ledger, study_id)
    summarise(ledger, study_id)
    assert images_status(ledger, [new.image_id])[0].state == "summarised"


def test_a_rejected_study_is_open_again_while_its_new_content_is_read(ledger: Ledger) -> None:
    registered = put(ledger, "a")
    reject(ledger, registered)
    assert state_of(ledger, registered.study_id) == "rejected"
    new = put(ledger, "a", "e2")
    assert read.study(ledger, registered.study_id).state == "received"
    reject(ledger, new)
    settle_now(ledger, registered.study_id)
    assert read.study(ledger, registered.study_id).state == "rejected"
    assert image_state(ledger, registered.image_id) == ("cancelled", "replaced")


def test_a_lateral_study_is_rejected_still_when_its_new_content_is_gone(ledger: Ledger) -> None:
    registered = put(ledger, "a")
    study_id = ingest(ledger, registered, film("u1", view="LATERAL"))
    settle_now(ledger, study_id)
    assert state_of(ledger, study_id) == "rejected"
    new = put(ledger, "a", "e2")
    assert read.study(ledger, study_id).state == "received"
    replace_image(ledger, take(ledger, JobKind.INGEST, new.image_id), None)
    found = read.study(ledger, study_id)
    assert (found.state, found.reason_code) == ("rejected", "no_frontal_view")


def test_the_object_that_changed_before_it_was_read_makes_way_for_the_new_one(ledger: Ledger) -> None:
    old = put(ledger, "a")
    replace_image(ledger, take(ledger, JobKind.INGEST, old.image_id), ObjectRef("source", "a", "e2"))
    assert image_state(ledger, old.image_id) == ("cancelled", "replaced")
    new = put(ledger, "a", "e2")
    assert not new.new
    assert new.study_id == old.study_id
    assert state_of(ledger, old.study_id) == "received"


def test_a_late_event_of_an_older_content_does_not_win(ledger: Ledger) -> None:
    """Bucket events come in any order; the sequencer says which content is the newer one."""
    new = put(ledger, "a", "e2", sequencer="0055AED6DCD90281E7")
    ingest(ledger, new, film("u1"))
    old = put(ledger, "a", "e1", sequencer="0055AED6DCD90281E5")
    ingest(ledger, old, film("u1"))
    assert image_state(ledger, old.image_id) == ("cancelled", "replaced")
    assert image_state(ledger, new.image_id) == ("accepted", None)


def test_sequencers_of_unequal_length_compare_as_documented(ledger: Ledger) -> None:
    """The shorter one is filled up with zeros on its right side (Amazon S3 user guide, event message structure)."""
    new = put(ledger, "a", "e2", sequencer="B")
    old = put(ledger, "a", "e1", sequencer="0AFF")
    ingest(ledger, old, film("u1"))
    ingest(ledger, new, film("u1"))
    assert image_state(ledger, old.image_id) == ("cancelled", "replaced")


def test_a_doubled_event_of_a_replaced_content_does_not_bring_it_back(ledger: Ledger) -> None:
    old = put(ledger, "a", "e1", sequencer="01")
    ingest(ledger, old, film("u1"))
    ingest(ledger, put(ledger, "a", "e2", sequencer="02"), film("u1"))
    put(ledger, "a", "e1", sequencer="01")
    assert image_state(ledger, old.image_id) == ("cancelled", "replaced")
    put(ledger, "a", "e1", sequencer="03")
    assert image_state(ledger, old.image_id) == ("received", None)


def test_a_content_that_comes_back_while_its_successor_is_being_accepted_is_read_again(ledger: Ledger) -> None:
    first = put(ledger, "a", "A", sequencer="01")
    study_id = ingest(ledger, first, film("u1"))
    claim = take(ledger, JobKind.INGEST, put(ledger, "a", "B", sequencer="02").image_id)

    def accepted(work: Work) -> object:
        accept_one(ledger, work, claim, film("u1"))
        return until_it_waits(ledger, lambda: put(ledger, "a", "A", sequencer="03"))

    announced = fenced(ledger, claim, accepted)
    assert callable(announced)
    assert announced().image_id == first.image_id
    assert image_state(ledger, first.image_id) == ("received", None)
    assert ingest(ledger, first, film("u1")) == study_id
    assert image_state(ledger, claim.subject) == ("cancelled", "replaced")


def test_a_content_that_comes_back_just_before_its_successor_is_accepted_stays(ledger: Ledger) -> None:
    first = put(ledger, "a", "A", sequencer="01")
    ingest(ledger, first, film("u1"))
    claim = take(ledger, JobKind.INGEST, put(ledger, "a", "B", sequencer="02").image_id)
    with ledger.work() as work:
        back = ObjectRef("source", "a", "A", sequencer="03")
        register_in(ledger, work, [back], Lane.ROUTINE, actor="event", careful=False)
        accepted = until_it_waits(ledger, lambda: complete_ingest(ledger, claim, film("u1")))
    accepted()
    assert image_state(ledger, first.image_id) == ("accepted", None)
    assert image_state(ledger, claim.subject) == ("cancelled", "replaced")


def test_a_purged_object_stays_purged(ledger: Ledger) -> None:
    registered, study_id = whole_study(ledger, film("u1"), "a")
    purge_study(ledger, study_id, lambda _: None)
    again = put(ledger, "a")
    assert (again.image_id, again.study_id, again.new) == (registered.image_id, study_id, False)
    assert one(ledger, "SELECT count(*) FROM object_keys") == 0
    assert one(ledger, "SELECT count(*) FROM jobs WHERE state IN ('queued', 'running')") == 0


def test_a_new_content_under_the_key_of_a_purged_study_is_a_new_study(ledger: Ledger) -> None:
    _, study_id = whole_study(ledger, film("u1"), "a")
    purge_study(ledger, study_id, lambda _: None)
    new = put(ledger, "a", "e2")
    assert new.new
    assert new.study_id != study_id


def test_cancelled_work_does_not_come_back_by_announcing_it_again(ledger: Ledger) -> None:
    registered = put(ledger, "a")
    cancel_study(ledger, registered.study_id)
    again = put(ledger, "a", lane=Lane.STAT)
    assert again.image_id == registered.image_id
    assert image_state(ledger, registered.image_id) == ("cancelled", None)
    assert one(ledger, "SELECT count(*) FROM jobs WHERE state = 'queued'") == 0


def test_a_deleted_object_is_noted_once_and_its_summary_stays(ledger: Ledger) -> None:
    registered, study_id = whole_study(ledger, film("u1"), "a")
    note_deleted(ledger, "source", "a")
    note_deleted(ledger, "source", "a")
    note_deleted(ledger, "source", "never seen")
    steps = [step["what"] for step in read.timeline(ledger, study_id)]
    assert steps.count("object deleted") == 1
    assert read.study(ledger, study_id).summary is not None
    assert study_of(ledger, registered.image_id) == study_id


def test_an_object_deleted_put_back_and_deleted_again_is_noted_twice(ledger: Ledger) -> None:
    _, study_id = whole_study(ledger, film("u1"), "a")
    note_deleted(ledger, "source", "a")
    put(ledger, "a")
    note_deleted(ledger, "source", "a")
    assert [step["what"] for step in read.timeline(ledger, study_id)].count("object deleted") == 2
