"""Once a draft is there: what becomes of it when its prior film turns out not to be one."""

from uuid import UUID

import pytest

from tests.integration.ledger.studies.test_moved_priors import change
from tests.support.ledger_tools import (
    one,
    put,
    reject,
    rows,
    settle_now,
    sign,
    start_summary,
    state_of,
    take,
)
from tests.support.prior_tools import (
    CURRENT,
    Prior,
    on,
    overwritten,
    send,
    written,
)
from xraygpt_core.errors import Conflict
from xraygpt_core.ledger.studies.chat import ask, chat_input, complete_turn
from xraygpt_core.ledger.studies.purge import purge_study
from xraygpt_core.ledger.studies.refuse import refuse_image
from xraygpt_core.ledger.studies.resummarise import resummarise
from xraygpt_core.ledger.training.serving import note_images, serve
from xraygpt_core.ledger.transaction import Ledger
from xraygpt_core.states import ImageRole, JobKind, ReasonCode, ReviewState

pytestmark = pytest.mark.usefixtures("sound")


def test_an_object_that_is_overwritten_with_another_patients_film_takes_the_drafts_with_it_at_once(
    three: Ledger, before: Prior, now: UUID
) -> None:
    summary_id = written(three, now)
    overwritten(three, before[0], "before", patient_pseudonym="B", **on(1))
    assert rows(three, CURRENT, id=now) == []
    assert one(three, "SELECT prior_image FROM summaries WHERE id = :id", id=summary_id) is None
    settle_now(three, now)
    written(three, now)
    assert (state_of(three, now), one(three, CURRENT, id=now)) == ("summarised", None)


def test_a_signed_text_beside_such_a_film_stays_visible_and_its_new_draft_says_so(
    three: Ledger, before: Prior, now: UUID
) -> None:
    summary_id = written(three, now)
    sign(three, summary_id, ReviewState.ACCEPTED)
    overwritten(three, before[0], "before", patient_pseudonym="B", **on(1))
    settle_now(three, now)
    anew = written(three, now)
    assert one(three, "SELECT review_state FROM summaries WHERE id = :id", id=summary_id) == "accepted"
    assert one(three, "SELECT flags FROM summaries WHERE id = :id", id=anew) == ["supersedes_reviewed"]


def test_a_study_that_waits_for_its_text_is_settled_anew_when_its_prior_is_overwritten(
    three: Ledger, before: Prior, now: UUID
) -> None:
    overwritten(three, before[0], "before", patient_pseudonym="B", **on(1))
    assert state_of(three, now) == "waiting"


def test_a_corrected_film_of_the_same_patient_is_the_prior_of_a_new_draft(
    three: Ledger, before: Prior, now: UUID
) -> None:
    summary_id = written(three, now)
    home = overwritten(three, before[0], "before", **on(1))
    assert home == before[1]
    assert rows(three, CURRENT, id=now) == [{"prior_image": before[0].image_id}]  # until there is a better one
    settle_now(three, home)
    settle_now(three, now)
    anew = written(three, now)
    assert anew != summary_id
    corrected = one(three, "SELECT chosen_image FROM studies WHERE id = :id", id=home)
    assert one(three, CURRENT, id=now) == corrected != before[0].image_id


def test_a_prior_that_another_content_made_unreadable_is_in_no_draft_for_long(
    three: Ledger, before: Prior, now: UUID
) -> None:
    written(three, now)
    key = one(three, "SELECT key FROM object_keys WHERE image_id = :id", id=before[0].image_id)
    reject(three, put(three, key, "broken"))
    settle_now(three, before[1])
    settle_now(three, now)
    written(three, now)
    assert (state_of(three, now), one(three, CURRENT, id=now)) == ("summarised", None)


def test_a_study_whose_issuer_becomes_known_is_the_prior_of_no_study_without_one(
    three: Ledger, before: Prior, now: UUID
) -> None:
    written(three, now)
    named = {"patient_pseudonym": "issuer and patient-1", "patient_id_pseudonym": "patient-1"}
    _, home = send(three, "before", view="LATERAL", **named, **on(1))
    assert home == before[1]
    settle_now(three, now)
    written(three, now)
    assert (state_of(three, now), one(three, CURRENT, id=now)) == ("summarised", None)


def test_a_study_whose_own_issuer_becomes_known_is_written_anew_without_the_prior_that_has_none(
    three: Ledger, before: Prior, now: UUID
) -> None:
    written(three, now)
    named = {"patient_pseudonym": "issuer and patient-1", "patient_id_pseudonym": "patient-1"}
    _, home = send(three, "now", view="OBLIQUE", **named, **on(2))
    assert home == now
    settle_now(three, now)
    assert state_of(three, now) == "queued"
    written(three, now)
    assert one(three, CURRENT, id=now) is None


def test_a_purge_of_the_prior_leaves_the_drafts_that_were_made_with_it(three: Ledger, before: Prior, now: UUID) -> None:
    written(three, now)
    purge_study(three, before[1], lambda _: None)
    assert state_of(three, now) == "summarised"
    assert one(three, CURRENT, id=now) == before[0].image_id


def test_a_question_is_not_answered_with_a_film_that_is_no_prior_any_more(
    three: Ledger, before: Prior, now: UUID
) -> None:
    written(three, now)
    turn = ask(three, now, "Is there an effusion?")
    taken = take(three, JobKind.CHAT, turn.turn_id)
    given = chat_input(three, taken)
    prior = given.further[ImageRole.PRIOR]
    change(three, "its day is unknown", before, now)
    with pytest.raises(Conflict, match="prior"):
        complete_turn(three, taken, "No.", "demo", "f" * 64, {}, prior=prior)
    assert ImageRole.PRIOR not in chat_input(three, taken).further
    complete_turn(three, taken, "No.", "demo", "f" * 64, {})


def test_refusing_a_prior_settles_the_studies_anew_that_were_compared_with_it(
    three: Ledger, before: Prior, now: UUID
) -> None:
    written(three, now)
    serve(three, "stricter")
    note_images(three, "stricter", list(ImageRole))
    assert resummarise(three, study_ids=[before[1]], bundle=None) == 1
    taken, given = start_summary(three, before[1])
    refuse_image(three, taken, given, ReasonCode.NOT_A_CHEST, "as the test says")
    settle_now(three, before[1])
    settle_now(three, now)
    written(three, now)
    assert (state_of(three, now), one(three, CURRENT, id=now)) == ("summarised", None)
