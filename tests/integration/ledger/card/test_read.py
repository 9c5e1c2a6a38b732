"""The card of a study: everything about it in one description, and no day for those who may not see it."""

from datetime import date, time
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import event

from tests.support.ledger_tools import (
    do,
    film,
    ingest,
    new_summary,
    picture,
    put,
    reject,
    settle_now,
    sign,
    start_summary,
)
from xraygpt_core.dicom.types import HeaderFacts
from xraygpt_core.ids import new_id
from xraygpt_core.ledger.card.read import CardLabel, StudyCard, cards
from xraygpt_core.ledger.studies.card import study_card
from xraygpt_core.ledger.studies.purge import purge_study
from xraygpt_core.ledger.studies.summarise import complete_summary
from xraygpt_core.ledger.transaction import Ledger
from xraygpt_core.states import Flag, ReviewState

pytestmark = pytest.mark.usefixtures("sound")

TEXT = "Large left effusion. Possible nodule."


def study(ledger: Ledger, uid: str, facts: HeaderFacts = HeaderFacts(), **changes: Any) -> UUID:  # noqa: B008
    """A study of one film that is summarised."""
    study_id = ingest(ledger, put(ledger), film(uid, facts=facts, **changes))
    settle_now(ledger, study_id)
    taken, given = start_summary(ledger, study_id)
    summary = new_summary(TEXT)
    provenance = {"waited_seconds": 1.5, "generate_seconds": 2.5, "software": {"device": "cuda"}}
    complete_summary(ledger, taken, given, type(summary)(**summary.__dict__ | {"provenance": provenance}))
    return study_id


def card(ledger: Ledger, study_id: UUID, *, dates: bool = True) -> StudyCard:
    return study_card(ledger, study_id, dates=dates)


def on(day: int, hour: int | None = None) -> HeaderFacts:
    return HeaderFacts(date(2021, 3, day), None if hour is None else time(hour))


def test_a_card_describes_a_study_whole(ledger: Ledger) -> None:
    facts = HeaderFacts(date(2021, 3, 4), time(5, 6), "L", (0.5, 0.25), "detector")
    study_id = study(ledger, "u1", facts, flags=(Flag.SYNTHETIC,))
    lateral = put(ledger)
    ingest(ledger, lateral, film("u1", view="LATERAL", deep_scale=(0.0, 0.5), deep_window=(9.0, 20.0)))

    found = card(ledger, study_id)

    assert (found.lane, found.views, found.modality) == ("routine", ("LATERAL", "PA"), "DX")
    assert (found.acquired_on, found.acquired_time) == (date(2021, 3, 4), time(5, 6))
    first, second = found.images
    assert (first.laterality, first.spacing_mm, first.spacing_at, first.chosen) == ("L", (0.5, 0.25), "detector", True)
    assert (first.rows, first.columns, first.flags) == (2000, 2000, ("synthetic",))
    assert (second.image_id, second.view, second.chosen, second.spacing_mm) == (
        lateral.image_id,
        "LATERAL",
        False,
        None,
    )
    assert (first.deep_scale, second.deep_scale, second.deep_window) == (None, (0.0, 0.5), (9.0, 20.0))
    text = found.text
    assert text is not None
    assert (text.waited_seconds, text.generate_seconds, text.device, text.tokens) == (1.5, 2.5, "cuda", 9)
    assert (text.review_state, text.asserted, text.uncertain) == ("draft", ("effusion",), ("nodule",))
    assert text.labels == (
        CardLabel("effusion", "left", None, "present", 11, 19),
        CardLabel("nodule", None, None, "uncertain", 30, 36),
    )


def test_the_labels_are_those_of_the_text_that_stands(ledger: Ledger) -> None:
    study_id = study(ledger, "u1")
    before = card(ledger, study_id).text
    assert before is not None
    sign(ledger, before.summary_id, ReviewState.EDITED, "Pneumothorax.")

    now = card(ledger, study_id).text

    assert now is not None
    assert now.labels == (CardLabel("pneumothorax", None, None, "present", 0, 12),)
    assert (now.review_state, now.asserted) == ("edited", ("pneumothorax",))
    do(ledger, "DELETE FROM labelled_texts")
    do(ledger, "UPDATE summaries SET asserted = NULL, uncertain = NULL")
    unread = card(ledger, study_id).text
    assert unread is not None
    assert (unread.labels, unread.asserted) == (None, None)


def test_the_words_of_a_rejected_text_are_there_and_assert_nothing(ledger: Ledger) -> None:
    study_id = study(ledger, "u1")
    before = card(ledger, study_id).text
    assert before is not None
    sign(ledger, before.summary_id, ReviewState.REJECTED)

    now = card(ledger, study_id).text

    assert now is not None
    assert (now.labels, now.asserted, now.uncertain) == (before.labels, (), ())


def test_the_prior_is_the_same_patients_latest_study_that_was_acquired_earlier(ledger: Ledger) -> None:
    oldest, newest = study(ledger, "u1", on(1)), study(ledger, "u4", on(20))  # the newest arrives second
    morning, noon = study(ledger, "u2", on(10, 8)), study(ledger, "u3", on(10, 12))
    undated, other = study(ledger, "u5"), study(ledger, "u6", on(2), patient_pseudonym="patient-2")

    priors = [card(ledger, one).prior for one in (oldest, morning, noon, newest, undated, other)]

    assert [one and one.study_id for one in priors] == [None, oldest, morning, noon, None, None]
    assert priors[3] is not None
    assert priors[3].acquired_on == date(2021, 3, 10)
    assert priors[3].summary_id == (card(ledger, noon).text or pytest.fail("no text")).summary_id
    assert priors[3].image_id == card(ledger, noon).images[0].image_id
    purge_study(ledger, noon, lambda _: None)
    assert (card(ledger, newest).prior or pytest.fail("no prior")).study_id == morning


def test_of_one_day_without_times_neither_is_the_prior(ledger: Ledger) -> None:
    one, other = study(ledger, "u1", on(1)), study(ledger, "u2", on(1, 8))

    assert [card(ledger, study_id).prior for study_id in (one, other)] == [None, None]


def test_a_number_that_very_many_studies_carry_is_no_persons(ledger: Ledger) -> None:
    study(ledger, "u1", on(1))
    study_id = study(ledger, "u2", on(2))
    many = (
        "INSERT INTO studies (id, lane_rank, state, patient_pseudonym) "
        "SELECT gen_random_uuid(), 1, 'cancelled', 'patient-1' FROM generate_series(1, 200)"
    )
    do(ledger, many)

    assert card(ledger, study_id).prior is None


def test_who_may_not_see_days_sees_none(ledger: Ledger) -> None:
    study(ledger, "u1", on(1))
    found = card(ledger, study(ledger, "u2", on(2, 8)), dates=False)

    assert (found.acquired_on, found.acquired_time) == (None, None)
    assert found.prior is not None
    assert found.prior.acquired_on is None
    assert "2021" not in repr(found).replace(repr(found.received_at), "")


def test_studies_without_a_text_have_cards_too(ledger: Ledger) -> None:
    rejected, waiting = put(ledger), ingest(ledger, put(ledger), picture())
    reject(ledger, rejected)
    with ledger.work() as work:
        found = cards(work, [waiting, new_id(), rejected.study_id], dates=True)

    assert [(one.study_id, one.state, one.reason_code) for one in found] == [
        (waiting, "waiting", None),
        (rejected.study_id, "rejected", "blank"),
    ]
    assert [one.text for one in found] == [None, None]
    assert found[1].images[0].reason_code == "blank"


def test_a_page_of_cards_is_one_statement(ledger: Ledger) -> None:
    ids = [study(ledger, f"u{number}", on(number)) for number in (1, 2, 3)]
    asked: list[str] = []
    with ledger.work() as work:
        event.listen(work.connection, "before_cursor_execute", lambda *given: asked.append(given[2]))
        assert [one.study_id for one in cards(work, ids, dates=True)] == ids

    assert len(asked) == 1
