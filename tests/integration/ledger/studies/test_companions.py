"""The films beside the chosen one: which the model is shown, what a late one changes, and that others cost nothing."""

from dataclasses import replace
from datetime import date, time
from typing import Any
from uuid import UUID

import pytest

from tests.support.ledger_tools import (
    do,
    film,
    ingest,
    new_summary,
    one,
    put,
    rows,
    settle_now,
    start_summary,
    state_of,
    summarise,
    take,
)
from xraygpt_core.dicom.types import HeaderFacts
from xraygpt_core.ledger.studies.chat import ask, chat_input
from xraygpt_core.ledger.studies.purge import purge_study
from xraygpt_core.ledger.studies.resummarise import resummarise
from xraygpt_core.ledger.studies.summarise import complete_summary
from xraygpt_core.ledger.training.serving import note_images, roll_back, serve, served_bundle
from xraygpt_core.ledger.transaction import Ledger
from xraygpt_core.states import Flag, ImageRole, JobKind, Lane, Origin

pytestmark = pytest.mark.usefixtures("sound")

FRONTAL, LATERAL, PRIOR = ImageRole


@pytest.fixture
def three(ledger: Ledger) -> Ledger:
    """A ledger whose served bundle looks at all three films."""
    note_images(ledger, "demo", list(ImageRole))
    return ledger


def on(day: int, hour: int | None = None) -> dict[str, Any]:
    return {"facts": HeaderFacts(acquired_on=date(2021, 3, day), acquired_time=None if hour is None else time(hour))}


def send(ledger: Ledger, uid: str, view: str = "PA", lane: Lane = Lane.ROUTINE, **changes: Any) -> tuple[UUID, UUID]:
    """An image comes and is read: the image and its study."""
    registered = put(ledger, lane=lane)
    return registered.image_id, ingest(ledger, registered, film(uid, view=view, **changes))


def shown(ledger: Ledger, study_id: UUID) -> dict[ImageRole, UUID]:
    """The further films that the newest summarise job hands over."""
    _, given = start_summary(ledger, study_id)
    return {role: one.image_id for role, one in given.further.items()}


def written(ledger: Ledger, study_id: UUID) -> UUID:
    """A summary as a worker writes it whose bundle looks at all three films."""
    taken, given = start_summary(ledger, study_id)
    films = {f"{role}_image": found.image_id for role, found in given.further.items()}
    return complete_summary(ledger, taken, given, replace(new_summary(), **films))


def summarised(ledger: Ledger, uid: str, **changes: Any) -> tuple[UUID, UUID]:
    image_id, study_id = send(ledger, uid, **changes)
    settle_now(ledger, study_id)
    written(ledger, study_id)
    return image_id, study_id


def test_the_lateral_and_the_prior_are_handed_over_with_their_hashes(three: Ledger) -> None:
    before, _ = summarised(three, "before", **on(1))
    send(three, "now", **on(2))
    lateral, study_id = send(three, "now", "LATERAL", **on(2))
    settle_now(three, study_id)
    _, given = start_summary(three, study_id)
    assert {role: found.image_id for role, found in given.further.items()} == {LATERAL: lateral, PRIOR: before}
    for found in given.further.values():
        keys = rows(three, "SELECT normalised_key, normalised_sha256 FROM images WHERE id = :id", id=found.image_id)
        assert keys == [{"normalised_key": found.key, "normalised_sha256": found.sha256}]


def test_a_bundle_of_one_film_asks_for_no_other(ledger: Ledger) -> None:
    note_images(ledger, "demo", [FRONTAL])
    summarised(ledger, "before", **on(1))
    send(ledger, "now", **on(2))
    _, study_id = send(ledger, "now", "LATERAL", **on(2))
    settle_now(ledger, study_id)
    assert shown(ledger, study_id) == {}


def test_the_better_lateral_is_chosen_whatever_came_first(three: Ledger) -> None:
    send(three, "u")
    send(three, "u", "LATERAL", rows=4000, flags=(Flag.IMPLAUSIBLE_PIXELS,))
    send(three, "u", "LATERAL", rows=4000, origin=Origin.PROCESSED)
    send(three, "u", "LATERAL", rows=500)
    large, study_id = send(three, "u", "LATERAL", rows=3000)
    send(three, "u", "OBLIQUE", rows=4000)
    settle_now(three, study_id)
    assert shown(three, study_id) == {LATERAL: large}


def test_of_unknown_days_none_is_the_prior(three: Ledger) -> None:
    summarised(three, "undated")
    for uid, facts in (("dated", on(2)), ("undated again", {})):
        _, study_id = send(three, uid, **facts)
        settle_now(three, study_id)
        assert shown(three, study_id) == {}


def test_the_latest_earlier_study_is_the_prior_and_another_patients_never(three: Ledger) -> None:
    summarised(three, "old", **on(1))
    morning, _ = summarised(three, "morning", **on(5, 8))
    summarised(three, "later", **on(9))
    summarised(three, "other", patient_pseudonym="patient-2", **on(5, 9))
    _, study_id = send(three, "now", **on(5, 12))
    settle_now(three, study_id)
    assert shown(three, study_id) == {PRIOR: morning}


def test_a_film_whose_own_header_names_another_patient_is_no_prior(three: Ledger) -> None:
    image_id, _ = summarised(three, "before", **on(1))
    do(three, "UPDATE images SET patient_pseudonym = 'patient-2' WHERE id = :id", id=image_id)
    _, study_id = send(three, "now", **on(2))
    settle_now(three, study_id)
    assert shown(three, study_id) == {}


def test_a_prior_that_was_purged_meanwhile_is_not_handed_over(three: Ledger) -> None:
    _, before = summarised(three, "before", **on(1))
    _, study_id = send(three, "now", **on(2))
    settle_now(three, study_id)
    purge_study(three, before, lambda _: None)
    assert shown(three, study_id) == {}


def test_a_purge_forgets_which_films_were_shown(three: Ledger) -> None:
    summarised(three, "before", **on(1))
    _, study_id = summarised(three, "now", **on(2))
    purge_study(three, study_id, lambda _: None)
    assert rows(three, "SELECT chosen_lateral, chosen_prior FROM studies WHERE id = :id", id=study_id) == [
        {"chosen_lateral": None, "chosen_prior": None}
    ]


def test_a_late_lateral_supersedes_the_draft_where_the_bundle_looks_at_it(three: Ledger) -> None:
    _, study_id = summarised(three, "u")
    lateral, _ = send(three, "u", "LATERAL")
    settle_now(three, study_id)
    assert state_of(three, study_id) == "queued"
    written(three, study_id)
    assert one(three, "SELECT lateral_image FROM summaries WHERE superseded_at IS NULL") == lateral
    send(three, "u", "OBLIQUE")
    settle_now(three, study_id)
    assert state_of(three, study_id) == "summarised"


def test_a_lateral_that_is_replaced_by_another_film_supersedes_the_draft_too(three: Ledger) -> None:
    lateral = put(three, "lateral")
    ingest(three, lateral, film("u", view="LATERAL"))
    _, study_id = summarised(three, "u")
    ingest(three, put(three, "lateral", "e2"), film("u", view="OBLIQUE"))
    settle_now(three, study_id)
    assert state_of(three, study_id) == "queued"
    assert shown(three, study_id) == {}


def test_a_late_lateral_changes_nothing_for_a_bundle_that_does_not_look_at_it(ledger: Ledger) -> None:
    note_images(ledger, "demo", [FRONTAL, PRIOR])
    _, study_id = summarised(ledger, "u")
    send(ledger, "u", "LATERAL")
    settle_now(ledger, study_id)
    assert state_of(ledger, study_id) == "summarised"
    assert one(ledger, "SELECT count(*) FROM summaries") == 1


def test_a_late_prior_supersedes_nothing(three: Ledger) -> None:
    _, study_id = summarised(three, "now", **on(2))
    summarised(three, "before", **on(1))
    assert state_of(three, study_id) == "summarised"


def test_a_stat_draft_without_the_lateral_answers_no_job_that_has_it(three: Ledger) -> None:
    _, study_id = send(three, "u", lane=Lane.STAT)
    settle_now(three, study_id)
    taken, given = start_summary(three, study_id)
    send(three, "u", "LATERAL", Lane.STAT)
    settle_now(three, study_id)
    complete_summary(three, taken, given, new_summary("without the lateral"))
    assert state_of(three, study_id) == "queued"
    written(three, study_id)
    assert one(three, "SELECT count(*) FROM summaries WHERE superseded_at IS NULL AND lateral_image IS NOT NULL") == 1


def test_summaries_that_are_asked_for_anew_get_the_films_that_the_new_bundle_looks_at(ledger: Ledger) -> None:
    note_images(ledger, "demo", [FRONTAL])
    before, _ = summarised(ledger, "before", **on(1))
    lateral, _ = send(ledger, "now", "LATERAL", **on(2))
    _, study_id = summarised(ledger, "now", **on(2))
    serve(ledger, "maira")
    assert resummarise(ledger, study_ids=[study_id], bundle=None) == 1
    assert shown(ledger, study_id) == {LATERAL: lateral, PRIOR: before}


def test_the_roles_belong_to_the_served_bundle_and_are_unknown_after_another_was_promoted(ledger: Ledger) -> None:
    def roles() -> list[str] | None:
        found: list[str] | None = one(ledger, "SELECT served_images FROM installation")
        return found

    assert roles() is None
    before = served_bundle(ledger)
    note_images(ledger, "demo", [FRONTAL, LATERAL])
    assert roles() == ["frontal", "lateral"]
    assert served_bundle(ledger) == before  # a worker that watches it does not leave
    serve(ledger, "other")
    assert roles() is None
    note_images(ledger, "demo", [FRONTAL])  # a worker that has loaded the one before
    assert roles() is None
    roll_back(ledger)
    assert roles() is None


def test_what_comes_before_a_worker_has_loaded_the_promoted_bundle_gets_its_films_too(ledger: Ledger) -> None:
    note_images(ledger, "demo", [FRONTAL])
    before, _ = summarised(ledger, "before", **on(1))
    serve(ledger, "maira")
    send(ledger, "now", **on(2))
    lateral, study_id = send(ledger, "now", "LATERAL", **on(2))
    settle_now(ledger, study_id)
    note_images(ledger, "maira", list(ImageRole))
    assert shown(ledger, study_id) == {LATERAL: lateral, PRIOR: before}


def test_a_question_is_about_the_films_that_the_summary_was_made_from(three: Ledger) -> None:
    before, _ = summarised(three, "before", **on(1))
    send(three, "now", **on(2))
    lateral, study_id = send(three, "now", "LATERAL", **on(2))
    settle_now(three, study_id)
    written(three, study_id)
    turn = ask(three, study_id, "Is there an effusion?")
    given = chat_input(three, take(three, JobKind.CHAT, turn.turn_id))
    assert {role: found.image_id for role, found in given.further.items()} == {LATERAL: lateral, PRIOR: before}


def test_a_question_that_no_film_answers_is_answered_by_a_rule_at_once(ledger: Ledger) -> None:
    _, study_id = send(ledger, "u")
    settle_now(ledger, study_id)
    summarise(ledger, study_id)
    turn = ask(ledger, study_id, "Is the knee fractured?")
    assert (turn.state, turn.answered_by) == ("done", "rule")
    assert turn.answer == "This is a chest X-ray: it does not show the knee."
    assert turn.answered_at is not None
    assert one(ledger, "SELECT count(*) FROM jobs WHERE kind = 'chat'") == 0
    later = ask(ledger, study_id, "Is there an effusion?")
    assert (later.state, later.answered_by) == ("queued", "model")
    assert chat_input(ledger, take(ledger, JobKind.CHAT, later.turn_id)).turns == ()  # the model said none of it


def test_a_comparison_is_refused_only_where_the_summary_had_no_prior(three: Ledger) -> None:
    _, first = summarised(three, "before", **on(1))
    _, second = summarised(three, "now", **on(2))
    question = "Has anything changed since the prior film?"
    assert ask(three, first, question).answered_by == "rule"
    assert ask(three, second, question).answered_by == "model"


def test_a_comparison_is_refused_where_the_bundle_that_answers_looks_at_no_prior(three: Ledger) -> None:
    summarised(three, "before", **on(1))
    _, study_id = summarised(three, "now", **on(2))
    serve(three, "frontal alone")
    question = "Has anything changed since the prior film?"
    assert ask(three, study_id, question).answered_by == "model"  # no worker has loaded it yet
    note_images(three, "frontal alone", [FRONTAL])
    assert ask(three, study_id, question).answered_by == "rule"
