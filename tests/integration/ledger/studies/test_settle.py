"""Settling and summarising: one current summary per study, of the right image, whatever comes late."""

from datetime import UTC, datetime

import pytest
from sqlalchemy.exc import IntegrityError

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
    picture,
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
from tests.support.study_steps import settle
from xraygpt_core.db import sqlstate
from xraygpt_core.ids import new_id
from xraygpt_core.ledger.studies import read
from xraygpt_core.ledger.studies.image_status import images_status
from xraygpt_core.ledger.studies.summarise import complete_summary, summarise_input
from xraygpt_core.ledger.training.serving import serve
from xraygpt_core.ledger.transaction import Ledger
from xraygpt_core.states import Flag, JobKind, Origin

pytestmark = pytest.mark.usefixtures("sound")


@pytest.fixture
def patient(ledger: Ledger) -> Ledger:
    """A ledger that waits for the rest of a study."""
    return Ledger(ledger.settings.model_copy(update={"settle_seconds": 600.0}), ledger.database, ledger.doorbell)


def wait_of_settle(ledger: Ledger, study_id: object) -> datetime | None:
    found: datetime | None = job(ledger, job_of(ledger, JobKind.SETTLE, study_id))["not_before"]  # type: ignore[arg-type]
    return found


def texts(ledger: Ledger) -> list[tuple[str, bool]]:
    found = rows(ledger, "SELECT summary, superseded_at IS NULL AS current FROM summaries ORDER BY id")
    return [(row["summary"], row["current"]) for row in found]


def test_a_dicom_study_waits_for_its_rest_and_a_picture_does_not(patient: Ledger) -> None:
    study_id = ingest(patient, put(patient), film("u1"))
    waits = wait_of_settle(patient, study_id)
    assert waits is not None
    assert waits > datetime.now(UTC)
    assert wait_of_settle(patient, ingest(patient, put(patient), picture())) is None


def test_a_study_that_is_complete_by_its_own_count_does_not_wait(patient: Ledger) -> None:
    study_id = ingest(patient, put(patient), film("u1", expected_images=2))
    assert wait_of_settle(patient, study_id) is not None
    ingest(patient, put(patient), film("u1", expected_images=2))
    assert wait_of_settle(patient, study_id) is None


def test_a_copy_or_a_replaced_image_does_not_complete_a_study(patient: Ledger) -> None:
    study_id = ingest(patient, put(patient, "a"), film("u1", expected_images=2, sop_pseudonym="s", pixel_sha256="p"))
    ingest(patient, put(patient, "a", "e2"), film("u1", expected_images=2, sop_pseudonym="s", pixel_sha256="p"))
    ingest(patient, put(patient, "b"), film("u1", expected_images=2, sop_pseudonym="s", pixel_sha256="p"))
    assert wait_of_settle(patient, study_id) is not None


def test_a_settled_study_asks_for_one_summary_of_the_chosen_image(ledger: Ledger) -> None:
    lateral, frontal = put(ledger), put(ledger)
    study_id = ingest(ledger, lateral, film("u1", view="LATERAL"))
    ingest(ledger, frontal, film("u1", view="AP", flags=(Flag.BODY_PART_UNKNOWN,)))
    settle_now(ledger, study_id)
    found = read.study(ledger, study_id)
    assert (found.state, found.view, found.flags) == ("queued", "AP", ["body_part_unknown"])
    assert [image.image_id for image in found.images if image.chosen] == [frontal.image_id]
    given = start_summary(ledger, study_id)[1]
    assert (given.image_id, given.revision) == (frontal.image_id, 2)
    assert read.study(ledger, study_id).state == "running"


def test_pa_is_chosen_before_ap(ledger: Ledger) -> None:
    ap, pa = put(ledger), put(ledger)
    study_id = ingest(ledger, ap, film("u1", view="AP", rows=4000))
    ingest(ledger, pa, film("u1", view="PA", rows=1000))
    settle_now(ledger, study_id)
    assert start_summary(ledger, study_id)[1].image_id == pa.image_id


def test_what_was_computed_from_a_film_is_not_summarised_before_it(ledger: Ledger) -> None:
    bone, derived, original = put(ledger), put(ledger), put(ledger)
    study_id = ingest(ledger, bone, film("u1", view="PA", origin=Origin.BONE, flags=(Flag.DERIVED_IMAGE,)))
    settle_now(ledger, study_id)
    assert read.study(ledger, study_id).flags == ["derived_image"]
    ingest(ledger, derived, film("u1", view="PA", rows=4000, origin=Origin.PROCESSED))
    ingest(ledger, original, film("u1", view="PA"))
    settle_now(ledger, study_id)
    assert start_summary(ledger, study_id)[1].image_id == original.image_id
    assert read.study(ledger, study_id).flags == []


def test_side_views_alone_end_the_study_as_rejected(ledger: Ledger) -> None:
    registered = put(ledger)
    study_id = ingest(ledger, registered, film("u1", view="OBLIQUE"))
    ingest(ledger, put(ledger), film("u1", view="LATERAL"))
    settle_now(ledger, study_id)
    status = images_status(ledger, [registered.image_id])[0]
    assert (status.state, status.reason_code) == ("rejected", "no_frontal_view")
    assert image_state(ledger, registered.image_id) == ("accepted", None)


def test_a_frontal_view_that_comes_late_opens_a_rejected_study_again(ledger: Ledger) -> None:
    study_id = ingest(ledger, put(ledger), film("u1", view="LATERAL"))
    settle_now(ledger, study_id)
    ingest(ledger, put(ledger), film("u1", view="PA"))
    settle_now(ledger, study_id)
    summarise(ledger, study_id)
    found = read.study(ledger, study_id)
    assert (found.state, found.reason_code) == ("summarised", None)


def test_a_settle_job_of_an_older_revision_does_nothing(ledger: Ledger) -> None:
    study_id = ingest(ledger, put(ledger), film("u1"))
    stale = take(ledger, JobKind.SETTLE, study_id)
    ingest(ledger, put(ledger), film("u1"))
    settle(ledger, stale)
    assert state_of(ledger, study_id) == "waiting"
    assert one(ledger, "SELECT count(*) FROM jobs WHERE kind = 'summarise'") == 0


def test_each_revision_is_settled_once(ledger: Ledger) -> None:
    study_id = ingest(ledger, put(ledger), film("u1"))
    ingest(ledger, put(ledger), film("u1"))
    keys = [row["key"] for row in rows(ledger, "SELECT key FROM jobs WHERE kind = 'settle' ORDER BY id")]
    assert keys == [f"{study_id}:1", f"{study_id}:2"]


def test_a_late_image_that_is_not_chosen_makes_no_new_summary(ledger: Ledger) -> None:
    _, study_id = whole_study(ledger, film("u1", view="PA"))
    late = put(ledger)
    ingest(ledger, late, film("u1", view="LATERAL"))
    settle_now(ledger, study_id)
    assert state_of(ledger, study_id) == "summarised"
    assert len(texts(ledger)) == 1
    assert images_status(ledger, [late.image_id])[0].state == "summarised"


def test_a_late_image_that_is_better_supersedes(ledger: Ledger) -> None:
    _, study_id = whole_study(ledger, film("u1", view="AP"))
    ingest(ledger, put(ledger), film("u1", view="PA"))
    settle_now(ledger, study_id)
    assert state_of(ledger, study_id) == "queued"
    summarise(ledger, study_id, text="of the PA view")
    assert [current for _, current in texts(ledger)] == [False, True]


def test_the_same_image_is_summarised_again_when_another_bundle_is_served(ledger: Ledger) -> None:
    _, study_id = whole_study(ledger, film("u1", view="PA"))
    serve(ledger, "another")
    ingest(ledger, put(ledger), film("u1", view="LATERAL"))
    settle_now(ledger, study_id)
    assert state_of(ledger, study_id) == "queued"
    summarise(ledger, study_id, bundle="another")


def test_a_summary_of_a_study_that_changed_meanwhile_is_kept_as_superseded(ledger: Ledger) -> None:
    study_id = ingest(ledger, put(ledger), film("u1", view="AP"))
    settle_now(ledger, study_id)
    running, given = start_summary(ledger, study_id)
    ingest(ledger, put(ledger), film("u1", view="PA"))
    complete_summary(ledger, running, given, new_summary("too late"))
    assert texts(ledger) == [("too late", False)]
    assert state_of(ledger, study_id) == "waiting"
    assert read.timeline(ledger, study_id)[-1]["what"] == "summarised, superseded meanwhile"
    settle_now(ledger, study_id)
    summarise(ledger, study_id, text="of both")
    assert texts(ledger) == [("too late", False), ("of both", True)]


def test_a_summarise_job_of_an_older_revision_is_closed_without_work(ledger: Ledger) -> None:
    study_id = ingest(ledger, put(ledger), film("u1", view="AP"))
    settle_now(ledger, study_id)
    ingest(ledger, put(ledger), film("u1", view="PA"))
    stale = take(ledger, JobKind.SUMMARISE, study_id)
    assert summarise_input(ledger, stale) is None
    assert job(ledger, stale.job_id)["state"] == "cancelled"
    assert state_of(ledger, study_id) == "waiting"


def test_a_summary_carries_its_provenance_its_epoch_and_its_bundle(ledger: Ledger) -> None:
    registered, study_id = whole_study(ledger)
    found = read.study(ledger, study_id).summary
    assert found is not None
    assert (found.bundle, found.bundle_sha256, found.lease_epoch) == ("demo", "f" * 64, 1)
    assert (found.provenance, found.image_id) == ({"seed": 1}, registered.image_id)
    assert found.notice
    assert read.summary(ledger, found.summary_id) == found


def test_the_database_itself_refuses_a_second_current_summary(ledger: Ledger) -> None:
    _, study_id = whole_study(ledger)
    with pytest.raises(IntegrityError) as caught:
        do(
            ledger,
            "INSERT INTO summaries (id, study_id, image_id, revision, job_id, lease_epoch, bundle, bundle_sha256, "
            "summary, provenance, tokens, batch_size) SELECT :id, study_id, image_id, revision, :id, 1, bundle, "
            "bundle_sha256, summary, provenance, 1, 1 FROM summaries WHERE study_id = :study",
            id=new_id(),
            study=study_id,
        )
    assert sqlstate(caught.value.orig) == "23505"  # unique_violation
    assert "ix_summaries_current" in str(caught.value.orig)


def test_two_summaries_completed_at_the_same_moment_leave_one_current(ledger: Ledger) -> None:
    _, study_id = whole_study(ledger)
    runs = []
    for bundle in ("b1", "b2"):
        do(
            ledger,
            "INSERT INTO jobs (id, kind, subject, revision, key, lane_rank, max_attempts) "
            "VALUES (:id, 'summarise', :study, 1, :key, 1, 5)",
            id=new_id(),
            study=study_id,
            key=f"{study_id}:1:{bundle}",
        )
        runs.append((start_summary(ledger, study_id), bundle))
    no_errors(
        together(
            *[
                lambda run=run, bundle=bundle: complete_summary(ledger, *run, new_summary(bundle, bundle))
                for run, bundle in runs
            ]
        )
    )
    assert sorted(current for _, current in texts(ledger)) == [False, False, True]


def test_the_rejected_content_of_a_study_does_not_stop_its_other_images(ledger: Ledger) -> None:
    study_id = ingest(ledger, put(ledger), film("u1"))
    reject(ledger, put(ledger))
    settle_now(ledger, study_id)
    summarise(ledger, study_id)
    assert state_of(ledger, study_id) == "summarised"
