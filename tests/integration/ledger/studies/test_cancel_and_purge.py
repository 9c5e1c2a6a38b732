"""What people may do to a study: cancel, purge, retain. Repeating any of it does nothing."""

from typing import Any
from uuid import UUID

import pytest

from tests.support.ledger_tools import (
    do,
    film,
    image_state,
    ingest,
    job,
    job_of,
    new_summary,
    no_errors,
    one,
    put,
    reject,
    rows,
    settle_now,
    start_summary,
    state_of,
    take,
    together,
    whole_study,
)
from tests.support.study_steps import complete_ingest
from xraygpt_core.errors import Conflict, LeaseLost, NotFound, Unavailable
from xraygpt_core.ids import new_id
from xraygpt_core.ledger.jobs.claims import fail
from xraygpt_core.ledger.studies import pictures, read
from xraygpt_core.ledger.studies.accept import ingest_inputs
from xraygpt_core.ledger.studies.cancel import cancel_study
from xraygpt_core.ledger.studies.chat import ask, complete_turn, stream_answer, turn
from xraygpt_core.ledger.studies.purge import expired_studies, purge_study
from xraygpt_core.ledger.studies.summarise import complete_summary
from xraygpt_core.ledger.transaction import Ledger
from xraygpt_core.states import JobKind

pytestmark = pytest.mark.usefixtures("sound")


def open_jobs(ledger: Ledger) -> int:
    return int(one(ledger, "SELECT count(*) FROM jobs WHERE state IN ('queued', 'running')"))


def test_cancelling_stops_all_open_work_of_a_study(ledger: Ledger) -> None:
    study_id = ingest(ledger, put(ledger, "a"), film("u1"))
    reading = put(ledger, "a", "e2")
    running = take(ledger, JobKind.INGEST, reading.image_id)
    cancel_study(ledger, study_id)
    assert open_jobs(ledger) == 0
    assert state_of(ledger, study_id) == "cancelled"
    assert image_state(ledger, reading.image_id) == ("cancelled", None)
    with pytest.raises(LeaseLost):
        complete_ingest(ledger, running, film("u1"))


def test_cancelling_works_under_a_provisional_id_too(ledger: Ledger) -> None:
    home = ingest(ledger, put(ledger), film("u1"))
    second = put(ledger)
    ingest(ledger, second, film("u1"))
    cancel_study(ledger, second.study_id)
    assert state_of(ledger, home) == "cancelled"


def test_what_is_over_cannot_be_cancelled(ledger: Ledger) -> None:
    _, summarised = whole_study(ledger)
    cancelled = put(ledger).study_id
    cancel_study(ledger, cancelled)
    rejected = put(ledger)
    reject(ledger, rejected)
    for study_id in (summarised, cancelled, rejected.study_id):
        with pytest.raises(Conflict):
            cancel_study(ledger, study_id)
    with pytest.raises(NotFound):
        cancel_study(ledger, new_id())


def test_a_summary_that_is_ready_just_after_the_cancellation_is_refused(ledger: Ledger) -> None:
    study_id = ingest(ledger, put(ledger))
    settle_now(ledger, study_id)
    running, given = start_summary(ledger, study_id)
    cancel_study(ledger, study_id)
    with pytest.raises(LeaseLost):
        complete_summary(ledger, running, given, new_summary())
    assert one(ledger, "SELECT count(*) FROM summaries") == 0


def test_of_a_cancellation_and_a_summary_at_the_same_moment_exactly_one_wins(ledger: Ledger) -> None:
    for _ in range(6):
        study_id = ingest(ledger, put(ledger), film(str(new_id())))
        settle_now(ledger, study_id)
        running, given = start_summary(ledger, study_id)
        results = together(
            lambda study_id=study_id: cancel_study(ledger, study_id),
            lambda running=running, given=given: complete_summary(ledger, running, given, new_summary()),
        )
        lost = [type(result) for result in results if isinstance(result, BaseException)]
        assert lost == [Conflict if state_of(ledger, study_id) == "summarised" else LeaseLost]


def test_a_cancellation_and_a_new_content_at_the_same_moment_leave_no_open_work_behind(ledger: Ledger) -> None:
    for number in range(6):
        registered = put(ledger, f"a{number}")
        got = take(ledger, JobKind.INGEST, registered.image_id)
        together(
            lambda got=got, number=number: complete_ingest(ledger, got, film(f"u{number}")),
            lambda registered=registered: cancel_study(ledger, registered.study_id),
            lambda number=number: put(ledger, f"a{number}", "e2"),
        )
        found = read.study(ledger, registered.study_id)
        if found.state == "cancelled" and not [image for image in found.images if image.state == "received"]:
            assert (
                rows(
                    ledger,
                    "SELECT j.id FROM jobs j JOIN images i ON i.id = j.subject "
                    "WHERE i.study_id = :id AND j.kind = 'ingest' AND j.state IN ('queued', 'running')",
                    id=found.study_id,
                )
                == []
            )


@pytest.mark.parametrize("end", ["queued", "running", "dead"])
def test_a_question_about_a_cancelled_study_ends_with_its_job(ledger: Ledger, end: str) -> None:
    _, study_id = whole_study(ledger, film("u1"))
    asked = ask(ledger, study_id, "Is the heart large?").turn_id
    if end != "queued":
        claimed = take(ledger, JobKind.CHAT, asked)
        if end == "dead":
            fail(ledger, claimed, "no", retry=False)
        else:
            stream_answer(ledger, claimed, "The heart")
    ingest(ledger, put(ledger), film("u1"))
    cancel_study(ledger, study_id)
    assert turn(ledger, asked).state == job(ledger, job_of(ledger, JobKind.CHAT, asked))["state"] == "cancelled"


def test_an_answer_that_was_given_stays_when_its_study_is_cancelled(ledger: Ledger) -> None:
    _, study_id = whole_study(ledger, film("u1"))
    asked = ask(ledger, study_id, "Is the heart large?").turn_id
    complete_turn(ledger, take(ledger, JobKind.CHAT, asked), "No.", "demo", "f" * 64, {})
    ingest(ledger, put(ledger), film("u1"))
    cancel_study(ledger, study_id)
    assert (turn(ledger, asked).state, turn(ledger, asked).answer) == ("done", "No.")


def purge(ledger: Ledger, study_id: UUID) -> list[str]:
    """The derived keys that were deleted."""
    deleted: list[str] = []
    purge_study(ledger, study_id, deleted.append)
    return deleted


def test_a_bucket_that_does_not_answer_leaves_the_study_to_be_purged_again(ledger: Ledger) -> None:
    def fails(_: str) -> None:
        raise Unavailable("the bucket does not answer")

    _, study_id = whole_study(ledger, film("u1", normalised_key="n/1", preview_key="p/1"))
    with pytest.raises(Unavailable):
        purge_study(ledger, study_id, fails)
    assert read.study(ledger, study_id).state == "summarised"
    assert sorted(purge(ledger, study_id)) == ["n/1", "p/1"]


def test_a_purged_study_is_forgotten_but_known(ledger: Ledger) -> None:
    found_in_it = film("uid-canary", patient_pseudonym="patient-canary", normalised_key="n/1", preview_key="p/1")
    registered, study_id = whole_study(ledger, found_in_it, "name-canary")
    ask(ledger, study_id, "Is the heart large?")
    assert sorted(purge(ledger, study_id)) == ["n/1", "p/1"]
    found = read.study(ledger, study_id)
    assert (found.state, found.summary, found.view) == ("cancelled", None, None)
    assert [step["what"] for step in read.timeline(ledger, study_id)] == ["purged"]
    assert one(ledger, "SELECT count(*) FROM tombstones") == 1
    assert image_state(ledger, registered.image_id) == ("cancelled", None)
    assert one(ledger, "SELECT count(*) FROM chat_turns") == 0
    with pytest.raises(NotFound):
        pictures.preview(ledger, study_id)
    for table in ("studies", "images", "jobs", "timeline", "tombstones", "object_keys", "summaries"):
        text = one(ledger, f"SELECT COALESCE(string_agg(t::text, ' '), '') FROM {table} t")
        assert "canary" not in text
        assert "clear lungs" not in text


def test_purging_again_does_nothing(ledger: Ledger) -> None:
    _, study_id = whole_study(ledger)
    purge(ledger, study_id)
    before = rows(ledger, "SELECT * FROM studies")
    assert purge(ledger, study_id) == []
    assert rows(ledger, "SELECT * FROM studies") == before
    with pytest.raises(NotFound):
        purge(ledger, new_id())


def test_a_derived_object_that_another_study_shares_stays(ledger: Ledger) -> None:
    shared = {"normalised_key": "n/1", "normalised_sha256": "s1", "preview_key": "p/1"}
    _, first = whole_study(ledger, film("u1", **shared))
    _, second = whole_study(ledger, film("u2", **shared))
    assert purge(ledger, first) == []
    assert sorted(purge(ledger, second)) == ["n/1", "p/1"]


def deep_of(name: str) -> dict[str, Any]:
    return {
        "deep_key": f"deep/{name}",
        "deep_sha256": name,
        "deep_scale": (4095.0, -1.0),
        "deep_window": (2047.5, 4095.0),
    }


def test_a_purge_takes_the_16_bit_copy_and_what_its_codes_meant(ledger: Ledger) -> None:
    _, study_id = whole_study(ledger, film("u1", normalised_key="n/1", preview_key="p/1", **deep_of("one")))
    kept = "SELECT deep_key, deep_sha256, deep_scale, deep_window FROM images WHERE study_id = :id"
    assert rows(ledger, kept, id=study_id) == [
        deep_of("one") | {"deep_scale": [4095, -1], "deep_window": [2047.5, 4095]}
    ]
    assert sorted(purge(ledger, study_id)) == ["deep/one", "n/1", "p/1"]
    assert rows(ledger, kept, id=study_id) == [dict.fromkeys(deep_of("one"))]


def test_a_16_bit_copy_is_shared_by_itself_whatever_the_windows_made_of_it(ledger: Ledger) -> None:
    """The same values under another window make another 8-bit picture; another film's may make the same one."""
    same_values = {"normalised_key": "n/2", "normalised_sha256": "s2", "preview_key": "p/2", **deep_of("one")}
    same_picture = {"normalised_key": "n/1", "normalised_sha256": "s1", "preview_key": "p/1"}
    _, first = whole_study(ledger, film("u1", **same_picture, **deep_of("one")))
    _, second = whole_study(ledger, film("u2", **same_values))
    _, third = whole_study(ledger, film("u3", **same_picture, **deep_of("three")))
    assert purge(ledger, first) == []
    assert sorted(purge(ledger, third)) == ["deep/three", "n/1", "p/1"]
    assert sorted(purge(ledger, second)) == ["deep/one", "n/2", "p/2"]


def test_two_studies_purged_at_the_same_moment_do_not_leave_their_shared_object_to_each_other(ledger: Ledger) -> None:
    shared = {"normalised_key": "n/1", "normalised_sha256": "s1", "preview_key": "p/1"}
    studies = [whole_study(ledger, film(f"u{number}", **shared))[1] for number in range(2)]
    results = no_errors(together(*[lambda study_id=study_id: purge(ledger, study_id) for study_id in studies]))
    assert sorted(key for keys in results for key in keys) == ["n/1", "p/1"]


def test_a_worker_that_reads_a_purged_image_is_told_so(ledger: Ledger) -> None:
    registered = put(ledger)
    got = take(ledger, JobKind.INGEST, registered.image_id)
    purge(ledger, registered.study_id)
    assert ingest_inputs(ledger, [got]) == {}
    assert open_jobs(ledger) == 0


def test_a_purge_and_a_new_content_at_the_same_moment_mix_nothing(ledger: Ledger) -> None:
    """Either the new content is purged as well, or it is a new study; never an image in a purged one."""
    for number in range(8):
        key = f"a{number}"
        _, study_id = whole_study(ledger, film(f"u{number}"), key)
        no_errors(
            together(
                lambda study_id=study_id: purge(ledger, study_id),
                lambda key=key: put(ledger, key, "e2"),
            )
        )
        assert (
            one(ledger, "SELECT count(*) FROM images WHERE study_id = :id AND state <> 'cancelled'", id=study_id) == 0
        )


def test_the_image_of_a_purged_patient_that_comes_under_another_name_is_a_new_study(ledger: Ledger) -> None:
    _, study_id = whole_study(ledger, film("u1"), "a")
    purge(ledger, study_id)
    again = put(ledger, "b")
    assert ingest(ledger, again, film("u1")) == again.study_id


def test_retention_names_the_studies_that_are_too_old(ledger: Ledger) -> None:
    _, old = whole_study(ledger)
    whole_study(ledger)
    _, purged = whole_study(ledger)
    purge(ledger, purged)
    do(
        ledger,
        "UPDATE studies SET received_at = received_at - interval '40 days' WHERE id IN (:a, :b)",
        a=old,
        b=purged,
    )
    keeping = Ledger(ledger.settings.model_copy(update={"retention_days": 30}), ledger.database, ledger.doorbell)
    assert expired_studies(keeping) == [old]
    assert expired_studies(ledger) == []
