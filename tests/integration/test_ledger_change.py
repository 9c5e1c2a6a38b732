"""What people may do to a study: cancel, purge, retain, summarise again, replay. Repeating any of it does nothing."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from tests.ledger_tools import (
    do,
    expire,
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
    summarise,
    take,
    together,
    whole_study,
)
from xraygpt_core.errors import Conflict, LeaseLost, NotFound, Unavailable
from xraygpt_core.ids import new_id
from xraygpt_core.ledger import read
from xraygpt_core.ledger.change import cancel_study, expired_studies, purge_study, replay_dead, resummarise
from xraygpt_core.ledger.chat import ask
from xraygpt_core.ledger.control import tick
from xraygpt_core.ledger.core import Ledger
from xraygpt_core.ledger.ingest import complete_ingest, ingest_inputs
from xraygpt_core.ledger.jobs import fail
from xraygpt_core.ledger.serving import serve
from xraygpt_core.ledger.summarise import complete_summary
from xraygpt_core.states import JobKind, Lane

pytestmark = pytest.mark.usefixtures("sound")


def open_jobs(ledger: Ledger) -> int:
    return int(one(ledger, "SELECT count(*) FROM jobs WHERE state IN ('queued', 'running')"))


def bury_job(ledger: Ledger, kind: JobKind, subject: object, error: str = "out of luck") -> None:
    fail(ledger, take(ledger, kind, subject), error, retry=False)  # type: ignore[arg-type]


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
        read.preview_key(ledger, study_id)
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


def test_summarising_again_needs_another_bundle_and_repeats_nothing(ledger: Ledger) -> None:
    _, study_id = whole_study(ledger)
    assert resummarise(ledger, study_ids=[study_id], bundle=None) == 0
    serve(ledger, "better")
    assert resummarise(ledger, study_ids=None, bundle="better") == 1
    assert resummarise(ledger, study_ids=None, bundle="better") == 0
    queued = job(ledger, job_of(ledger, JobKind.SUMMARISE, study_id))
    assert queued["lane_rank"] == Lane.BACKLOG.rank
    assert state_of(ledger, study_id) == "summarised"
    summarise(ledger, study_id, bundle="better")
    assert resummarise(ledger, study_ids=None, bundle=None) == 0
    found = read.study(ledger, study_id).summary
    assert found is not None
    assert found.bundle == "better"


def test_a_second_opinion_given_with_the_former_bundle_can_be_asked_for_once_more(ledger: Ledger) -> None:
    """A worker that has not noticed the promotion yet takes the job."""
    _, study_id = whole_study(ledger)
    serve(ledger, "better")
    assert resummarise(ledger, study_ids=None, bundle=None) == 1
    summarise(ledger, study_id, bundle="demo")
    assert resummarise(ledger, study_ids=None, bundle=None) == 1
    assert resummarise(ledger, study_ids=None, bundle=None) == 0
    summarise(ledger, study_id, bundle="better")
    assert resummarise(ledger, study_ids=None, bundle=None) == 0
    assert one(ledger, "SELECT count(*) FROM summaries") == 3


def test_summarising_again_with_a_bundle_that_is_not_served_is_refused(ledger: Ledger) -> None:
    with pytest.raises(Conflict):
        resummarise(ledger, study_ids=None, bundle="better")
    with pytest.raises(NotFound):
        resummarise(ledger, study_ids=[new_id()], bundle=None)


def test_summarising_again_picks_by_bundle_day_and_view(ledger: Ledger) -> None:
    for view in ("PA", "AP"):
        whole_study(ledger, film(view, view=view))
    serve(ledger, "better")
    now = datetime.now(UTC)
    assert resummarise(ledger, study_ids=None, bundle=None, from_bundle="other") == 0
    assert resummarise(ledger, study_ids=None, bundle=None, since=now + timedelta(days=1)) == 0
    assert resummarise(ledger, study_ids=None, bundle=None, until=now - timedelta(days=1)) == 0
    assert resummarise(ledger, study_ids=None, bundle=None, from_bundle="demo", view="AP") == 1
    assert resummarise(ledger, study_ids=None, bundle=None, since=now - timedelta(days=1)) == 1


def test_a_second_opinion_that_fails_leaves_the_study_summarised(ledger: Ledger) -> None:
    _, study_id = whole_study(ledger)
    serve(ledger, "better")
    resummarise(ledger, study_ids=None, bundle=None)
    bury_job(ledger, JobKind.SUMMARISE, study_id)
    assert state_of(ledger, study_id) == "summarised"


def test_a_second_opinion_of_a_study_that_changed_meanwhile_is_not_given(ledger: Ledger) -> None:
    _, study_id = whole_study(ledger, film("u1", view="AP"))
    serve(ledger, "better")
    resummarise(ledger, study_ids=None, bundle=None)
    running, given = start_summary(ledger, study_id)
    ingest(ledger, put(ledger), film("u1", view="PA"))
    complete_summary(ledger, running, given, new_summary(bundle="better"))
    assert state_of(ledger, study_id) == "waiting"
    settle_now(ledger, study_id)
    summarise(ledger, study_id, bundle="better")
    assert one(ledger, "SELECT count(*) FROM summaries WHERE superseded_at IS NULL") == 1


def test_a_dead_study_may_be_summarised_with_another_bundle(ledger: Ledger) -> None:
    study_id = ingest(ledger, put(ledger))
    settle_now(ledger, study_id)
    bury_job(ledger, JobKind.SUMMARISE, study_id)
    serve(ledger, "better")
    assert resummarise(ledger, study_ids=None, bundle=None) == 1
    assert state_of(ledger, study_id) == "queued"
    summarise(ledger, study_id, bundle="better")
    assert state_of(ledger, study_id) == "summarised"


@pytest.mark.parametrize("kind", [JobKind.INGEST, JobKind.SETTLE, JobKind.SUMMARISE])
def test_a_dead_job_goes_on_where_it_died(ledger: Ledger, kind: JobKind) -> None:
    registered = put(ledger)
    study_id = registered.study_id
    if kind is not JobKind.INGEST:
        ingest(ledger, registered, film("u1"))
    if kind is JobKind.SUMMARISE:
        settle_now(ledger, study_id)
    subject = registered.image_id if kind is JobKind.INGEST else study_id
    bury_job(ledger, kind, subject)
    assert read.study(ledger, study_id).state == "dead"
    epoch = job(ledger, job_of(ledger, kind, subject))["lease_epoch"]
    ledger.doorbell.app.control.purge()
    assert replay_dead(ledger) == 1
    assert replay_dead(ledger) == 0
    found = job(ledger, job_of(ledger, kind, subject))
    assert (found["state"], found["attempts"], found["lease_epoch"]) == ("queued", 0, epoch)
    assert read.study(ledger, study_id).state in {"received", "waiting", "queued"}
    assert tick(ledger).rung == 1
    if kind is JobKind.INGEST:
        ingest(ledger, registered, film("u1"))
    if kind is not JobKind.SUMMARISE:
        settle_now(ledger, study_id)
    summarise(ledger, study_id)
    assert state_of(ledger, study_id) == "summarised"


def test_dead_jobs_are_replayed_by_id_by_reason_or_all(ledger: Ledger) -> None:
    for number in range(4):
        bury_job(ledger, JobKind.INGEST, put(ledger).image_id, f"100% wrong {number}")
    ids = [row["job_id"] for row in read.dead(ledger)]
    assert replay_dead(ledger, job_ids=ids[:1]) == 1
    assert replay_dead(ledger, reason="wrong 2") == 1
    assert replay_dead(ledger, reason="%3") == 0
    assert replay_dead(ledger, job_ids=[]) == 0
    assert replay_dead(ledger) == 2


def test_replaying_what_the_study_has_left_behind_does_not_open_it_for_ever(ledger: Ledger) -> None:
    study_id = ingest(ledger, put(ledger), film("u1", view="AP"))
    settle_now(ledger, study_id)
    old = job_of(ledger, JobKind.SUMMARISE, study_id)
    bury_job(ledger, JobKind.SUMMARISE, study_id)
    ingest(ledger, put(ledger), film("u1", view="PA"))
    bury_job(ledger, JobKind.SETTLE, study_id)
    assert replay_dead(ledger, job_ids=[old]) == 1
    assert state_of(ledger, study_id) == "dead"


def test_a_cancelled_study_has_nothing_to_replay(ledger: Ledger) -> None:
    registered = put(ledger)
    bury_job(ledger, JobKind.INGEST, registered.image_id)
    cancel_study(ledger, registered.study_id)
    assert replay_dead(ledger) == 0
    assert state_of(ledger, registered.study_id) == "cancelled"


def test_replayed_work_that_loses_its_worker_again_counts_its_attempts_afresh(ledger: Ledger) -> None:
    registered = put(ledger)
    bury_job(ledger, JobKind.INGEST, registered.image_id)
    replay_dead(ledger)
    got = take(ledger, JobKind.INGEST, registered.image_id)
    assert (got.attempts, got.epoch) == (1, 2)
    expire(ledger, got.job_id)
    assert tick(ledger).requeued == 1
