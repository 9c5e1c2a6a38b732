"""An image that the GPU worker refuses: its study goes on with another, or ends and says why; what is signed stays."""

from uuid import UUID

import pytest

from tests.support.ledger_tools import (
    expire,
    film,
    image_state,
    ingest,
    job,
    new_summary,
    one,
    picture,
    put,
    rows,
    settle_now,
    sign,
    start_summary,
    state_of,
    summarise,
    whole_study,
)
from xraygpt_core.errors import LeaseLost
from xraygpt_core.ledger.studies import read
from xraygpt_core.ledger.studies.refuse import refuse_image
from xraygpt_core.ledger.studies.register import Registered
from xraygpt_core.ledger.studies.resummarise import resummarise
from xraygpt_core.ledger.studies.summarise import complete_summary
from xraygpt_core.ledger.training.serving import serve
from xraygpt_core.ledger.transaction import Ledger
from xraygpt_core.states import Flag, ReasonCode, ReviewState

pytestmark = pytest.mark.usefixtures("sound")


def refuse(ledger: Ledger, study_id: UUID) -> None:
    """What a worker does whose engine takes the study's chosen image for no chest."""
    taken, given = start_summary(ledger, study_id)
    refuse_image(ledger, taken, given, ReasonCode.NOT_A_CHEST, "the score is too low")


def settled(ledger: Ledger, *views: str | None) -> tuple[UUID, list[Registered]]:
    """A study of these views, settled; the first is the largest."""
    images = [put(ledger) for _ in views]
    for number, (image, view) in enumerate(zip(images, views, strict=True)):
        study_id = ingest(ledger, image, film(view=view, rows=2000 - number))
    settle_now(ledger, study_id)
    return study_id, images


def test_a_study_of_one_image_ends_with_the_reason(ledger: Ledger) -> None:
    registered = put(ledger)
    study_id = ingest(ledger, registered, picture())
    settle_now(ledger, study_id)
    refuse(ledger, study_id)
    assert image_state(ledger, registered.image_id) == ("rejected", "not_a_chest")
    assert state_of(ledger, study_id) == "waiting"
    settle_now(ledger, study_id)
    study = read.study(ledger, study_id)
    assert (study.state, study.reason_code, study.summary) == ("rejected", "not_a_chest", None)


def test_the_timeline_says_who_refused_it_and_why(ledger: Ledger) -> None:
    study_id, (image,) = settled(ledger, "PA")
    refuse(ledger, study_id)
    (step,) = [step for step in read.timeline(ledger, study_id) if step["what"] == "image rejected"]
    assert (step["who"], step["image_id"]) == ("gpu", image.image_id)
    assert step["detail"] == {"reason_code": "not_a_chest", "detail": "the score is too low"}


def test_another_frontal_film_is_summarised_instead(ledger: Ledger) -> None:
    study_id, (first, second) = settled(ledger, "PA", "PA")
    refuse(ledger, study_id)
    settle_now(ledger, study_id)
    summarise(ledger, study_id)
    assert one(ledger, "SELECT image_id FROM summaries") == second.image_id
    assert image_state(ledger, first.image_id)[0] == "rejected"
    assert state_of(ledger, study_id) == "summarised"


def test_a_study_whose_lateral_film_is_left_has_no_frontal_view(ledger: Ledger) -> None:
    study_id, _ = settled(ledger, "PA", "LATERAL")
    refuse(ledger, study_id)
    settle_now(ledger, study_id)
    study = read.study(ledger, study_id)
    assert (study.state, study.reason_code) == ("rejected", "no_frontal_view")


def test_an_image_that_is_still_to_be_read_keeps_the_study_open(ledger: Ledger) -> None:
    key = "overwritten"
    first = put(ledger, key)
    study_id = ingest(ledger, first, film())
    settle_now(ledger, study_id)
    second = put(ledger, key, "e2")
    refuse(ledger, study_id)
    settle_now(ledger, study_id)
    assert read.study(ledger, study_id).state == "received"
    assert ingest(ledger, second, film()) == study_id
    settle_now(ledger, study_id)
    summarise(ledger, study_id)
    assert one(ledger, "SELECT image_id FROM summaries") == second.image_id


def test_the_text_of_another_film_is_the_current_one_again(ledger: Ledger) -> None:
    registered, study_id = whole_study(ledger, film("study-1"))
    ingest(ledger, put(ledger), film("study-1", rows=3000))
    settle_now(ledger, study_id)
    refuse(ledger, study_id)
    settle_now(ledger, study_id)
    study = read.study(ledger, study_id)
    assert (study.state, study.summary is not None and study.summary.image_id) == ("summarised", registered.image_id)


def test_a_copy_of_the_refused_film_is_looked_at_for_itself(ledger: Ledger) -> None:
    images = [put(ledger), put(ledger)]
    for image in images:
        study_id = ingest(ledger, image, film("study-1", sop_pseudonym="sop", pixel_sha256="same"))
    for _ in images:
        settle_now(ledger, study_id)
        refuse(ledger, study_id)
    settle_now(ledger, study_id)
    assert [image_state(ledger, image.image_id)[0] for image in images] == ["rejected", "rejected"]
    assert state_of(ledger, study_id) == "rejected"


def again_with_another_bundle(ledger: Ledger, study_id: UUID) -> None:
    serve(ledger, "newer")
    assert resummarise(ledger, study_ids=[study_id], bundle=None) == 1


def test_a_draft_of_a_bundle_that_did_not_look_is_taken_back(ledger: Ledger) -> None:
    registered, study_id = whole_study(ledger)
    again_with_another_bundle(ledger, study_id)
    refuse(ledger, study_id)
    settle_now(ledger, study_id)
    study = read.study(ledger, study_id)
    assert (study.state, study.reason_code, study.summary) == ("rejected", "not_a_chest", None)
    assert image_state(ledger, registered.image_id)[0] == "rejected"


@pytest.mark.parametrize("said", [ReviewState.ACCEPTED, ReviewState.EDITED])
def test_what_a_person_has_signed_stays(ledger: Ledger, said: ReviewState) -> None:
    registered, study_id = whole_study(ledger)
    text = "Clear." if said is ReviewState.EDITED else None
    sign(ledger, one(ledger, "SELECT id FROM summaries"), said, text)
    again_with_another_bundle(ledger, study_id)
    refuse(ledger, study_id)
    study = read.study(ledger, study_id)
    assert (study.state, study.summary is not None and study.summary.review_state) == ("summarised", said)
    assert image_state(ledger, registered.image_id)[0] == "accepted"
    assert read.timeline(ledger, study_id)[-1]["what"] == "signed text kept"


def test_a_signed_study_that_was_settled_for_another_bundle_is_summarised_still(ledger: Ledger) -> None:
    _, study_id = whole_study(ledger, film("study-1"))
    sign(ledger, one(ledger, "SELECT id FROM summaries"), ReviewState.ACCEPTED)
    serve(ledger, "newer")
    ingest(ledger, put(ledger), film("study-1", view="LATERAL"))
    settle_now(ledger, study_id)
    assert state_of(ledger, study_id) == "queued"
    refuse(ledger, study_id)
    assert state_of(ledger, study_id) == "summarised"


def test_a_refused_image_is_looked_at_again_when_somebody_asks_for_its_study(ledger: Ledger) -> None:
    study_id, (image,) = settled(ledger, "PA")
    refuse(ledger, study_id)
    settle_now(ledger, study_id)
    serve(ledger, "newer")
    assert resummarise(ledger, study_ids=[study_id], bundle=None) == 1
    assert resummarise(ledger, study_ids=[study_id], bundle=None) == 0
    settle_now(ledger, study_id)
    summarise(ledger, study_id, bundle="newer")
    assert state_of(ledger, study_id) == "summarised"
    assert image_state(ledger, image.image_id) == ("accepted", None)


def test_what_was_refused_stays_refused_when_all_is_summarised_again(ledger: Ledger) -> None:
    study_id, _ = settled(ledger, "PA")
    refuse(ledger, study_id)
    settle_now(ledger, study_id)
    serve(ledger, "newer")
    assert resummarise(ledger, study_ids=None, bundle=None) == 0


def test_a_worker_whose_lease_has_ended_refuses_nothing(ledger: Ledger) -> None:
    study_id, (image,) = settled(ledger, "PA")
    taken, given = start_summary(ledger, study_id)
    expire(ledger, taken.job_id)
    with pytest.raises(LeaseLost):
        refuse_image(ledger, taken, given, ReasonCode.NOT_A_CHEST, "the score is too low")
    assert image_state(ledger, image.image_id) == ("accepted", None)
    assert job(ledger, taken.job_id)["state"] == "running"


def test_an_image_that_was_replaced_meanwhile_stays_replaced(ledger: Ledger) -> None:
    first = put(ledger, "key")
    study_id = ingest(ledger, first, film("study-1"))
    settle_now(ledger, study_id)
    taken, given = start_summary(ledger, study_id)
    ingest(ledger, put(ledger, "key", "e2"), film("study-1"))
    refuse_image(ledger, taken, given, ReasonCode.NOT_A_CHEST, "the score is too low")
    assert image_state(ledger, first.image_id) == ("cancelled", "replaced")
    settle_now(ledger, study_id)
    summarise(ledger, study_id)
    assert state_of(ledger, study_id) == "summarised"


def test_a_text_carries_its_own_flags_beside_the_ledgers(ledger: Ledger) -> None:
    _, study_id = whole_study(ledger, film("study-1"))
    sign(ledger, one(ledger, "SELECT id FROM summaries"), ReviewState.ACCEPTED)
    ingest(ledger, put(ledger), film("study-1", rows=3000))
    settle_now(ledger, study_id)
    taken, given = start_summary(ledger, study_id)
    summary = new_summary()
    doubtful = type(summary)(**{**summary.__dict__, "flags": (Flag.CHEST_UNCERTAIN,)})
    complete_summary(ledger, taken, given, doubtful)
    (row,) = rows(ledger, "SELECT flags FROM summaries WHERE superseded_at IS NULL")
    assert row["flags"] == ["chest_uncertain", "supersedes_reviewed"]
