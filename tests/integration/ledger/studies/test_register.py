"""Registration on real PostgreSQL and a real broker: once per content, in order, in the most urgent lane asked for."""

import pytest

from tests.support.ledger_tools import (
    do,
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
    take,
    together,
)
from tests.support.study_steps import complete_ingest
from xraygpt_core.ledger.jobs.reconcile import tick
from xraygpt_core.ledger.studies import read
from xraygpt_core.ledger.studies.register import ObjectRef, register_objects
from xraygpt_core.ledger.transaction import Ledger
from xraygpt_core.states import JobKind, Lane

pytestmark = pytest.mark.usefixtures("sound")


def refs(count: int, prefix: str = "k") -> list[ObjectRef]:
    return [ObjectRef("source", f"{prefix}{number:05}", f"e{number}") for number in range(count)]


def lengths(ledger: Ledger, kind: str = "ingest") -> dict[str, int]:
    names = [f"{kind}.{lane}" for lane in Lane]
    return {name.partition(".")[2]: length for name, length in ledger.doorbell.lengths(names).items()}


def test_a_new_object_becomes_an_image_a_study_and_a_job(ledger: Ledger) -> None:
    registered = put(ledger, "folder/film.dcm")
    assert registered.new
    assert registered.uri == "s3://source/folder/film.dcm"
    assert image_state(ledger, registered.image_id) == ("received", None)
    assert state_of(ledger, registered.study_id) == "received"
    found = job(ledger, job_of(ledger, JobKind.INGEST, registered.image_id))
    assert (found["state"], found["attempts"], found["lease_epoch"]) == ("queued", 0, 0)
    assert [step["what"] for step in read.timeline(ledger, registered.study_id)] == ["registered"]


def test_registering_again_finds_the_same_image_and_adds_nothing(ledger: Ledger) -> None:
    first = put(ledger, "a")
    again = put(ledger, "a")
    assert (again.image_id, again.study_id, again.new) == (first.image_id, first.study_id, False)
    assert one(ledger, "SELECT count(*) FROM images") == one(ledger, "SELECT count(*) FROM jobs") == 1


def test_the_answer_keeps_the_order_asked_also_for_known_and_doubled_objects(ledger: Ledger) -> None:
    known = register_objects(ledger, refs(3), Lane.ROUTINE, actor="test")
    asked = [*refs(5)[::-1], refs(1)[0], refs(5)[4]]
    answer = register_objects(ledger, asked, Lane.ROUTINE, actor="test")
    assert [one.uri for one in answer] == [ref.uri for ref in asked]
    assert [one.image_id for one in answer[2:5]] == [one.image_id for one in known[::-1]]
    assert answer[0].image_id == answer[6].image_id
    assert [one.new for one in answer] == [True, True, False, False, False, False, True]


def test_jobs_stand_in_the_order_the_objects_were_given_in(ledger: Ledger) -> None:
    given = [ObjectRef("source", key, "e") for key in ("c", "a", "b")]
    answer = register_objects(ledger, given, Lane.ROUTINE, actor="test")
    order = [row["subject"] for row in rows(ledger, "SELECT subject FROM jobs ORDER BY id")]
    assert order == [one.image_id for one in answer]


def test_the_same_object_from_eight_threads_is_one_image(ledger: Ledger) -> None:
    results = no_errors(together(*[lambda: put(ledger, "same")] * 8))
    assert len({result.image_id for result in results}) == 1
    assert sum(result.new for result in results) == 1
    assert one(ledger, "SELECT count(*) FROM studies") == one(ledger, "SELECT count(*) FROM jobs") == 1


def test_two_listings_in_opposite_order_do_not_lock_each_other_out(ledger: Ledger) -> None:
    batch = refs(300)
    results = no_errors(
        together(
            lambda: register_objects(ledger, batch, Lane.ROUTINE, actor="a"),
            lambda: register_objects(ledger, batch[::-1], Lane.STAT, actor="b"),
            lambda: register_objects(ledger, batch[150:] + batch[:150], Lane.ROUTINE, actor="c"),
        )
    )
    assert {one.image_id for one in results[0]} == {one.image_id for one in results[1]}
    assert one(ledger, "SELECT count(*) FROM images") == 300


def test_a_thousand_objects_are_one_transaction_and_ring_no_more_than_the_window(ledger: Ledger) -> None:
    answer = register_objects(ledger, refs(1000), Lane.ROUTINE, actor="test")
    assert len({one.image_id for one in answer}) == 1000
    assert lengths(ledger)["routine"] == ledger.settings.window


def test_a_backlog_is_not_rung(ledger: Ledger) -> None:
    put(ledger, lane=Lane.BACKLOG)
    assert sum(lengths(ledger).values()) == 0


def test_a_more_urgent_lane_raises_the_open_job_and_rings_again(ledger: Ledger) -> None:
    registered = put(ledger, "a", lane=Lane.BACKLOG)
    put(ledger, "a", lane=Lane.STAT)
    found = job(ledger, job_of(ledger, JobKind.INGEST, registered.image_id))
    assert found["lane_rank"] == Lane.STAT.rank
    assert lengths(ledger)["stat"] == 1
    assert read.study(ledger, registered.study_id).lane == "stat"


def test_a_less_urgent_lane_changes_nothing(ledger: Ledger) -> None:
    registered = put(ledger, "a", lane=Lane.STAT)
    put(ledger, "a", lane=Lane.ROUTINE)
    put(ledger, "a", lane=Lane.BACKLOG)
    assert job(ledger, job_of(ledger, JobKind.INGEST, registered.image_id))["lane_rank"] == Lane.STAT.rank
    assert lengths(ledger) == {"stat": 1, "routine": 0, "backlog": 0}
    assert read.study(ledger, registered.study_id).lane == "stat"


def test_raising_reaches_the_later_jobs_of_the_study(ledger: Ledger) -> None:
    registered = put(ledger, "a", lane=Lane.BACKLOG)
    study_id = ingest(ledger, registered)
    settle_now(ledger, study_id)
    put(ledger, "a", lane=Lane.STAT)
    assert job(ledger, job_of(ledger, JobKind.SUMMARISE, study_id))["lane_rank"] == Lane.STAT.rank
    assert lengths(ledger, "summarise")["stat"] == 1


def test_a_raised_job_that_waits_for_its_pause_is_rung_when_it_is_due_not_now(ledger: Ledger) -> None:
    put(ledger, "a", lane=Lane.BACKLOG)
    do(ledger, "UPDATE jobs SET not_before = clock_timestamp() + interval '1 hour'")
    put(ledger, "a", lane=Lane.STAT)
    assert tick(ledger).rung == 0
    assert lengths(ledger)["stat"] == 0
    do(ledger, "UPDATE jobs SET not_before = clock_timestamp()")
    assert tick(ledger).rung == 1
    assert lengths(ledger)["stat"] == 1


def test_raising_many_wakes_as_many_as_the_window_holds(ledger: Ledger) -> None:
    register_objects(ledger, refs(100), Lane.BACKLOG, actor="test")
    register_objects(ledger, refs(100), Lane.STAT, actor="test")
    assert lengths(ledger)["stat"] == ledger.settings.window
    assert tick(ledger).rung == 0


def test_a_running_job_is_not_raised_but_what_follows_is(ledger: Ledger) -> None:
    registered = put(ledger, "a", lane=Lane.BACKLOG)
    running = take(ledger, JobKind.INGEST, registered.image_id)
    put(ledger, "a", lane=Lane.STAT)
    complete_ingest(ledger, running, film())
    assert job(ledger, job_of(ledger, JobKind.SETTLE, registered.study_id))["lane_rank"] == Lane.STAT.rank


def test_nothing_registered_rings_nothing(ledger: Ledger) -> None:
    assert register_objects(ledger, [], Lane.STAT, actor="test") == []
    assert sum(lengths(ledger).values()) == 0
