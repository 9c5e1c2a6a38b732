"""A film that turns out to be another patient's is lateral or prior of the first one's studies no more."""

from dataclasses import replace
from datetime import date
from typing import Any
from uuid import UUID

import pytest

from tests.support.ledger_tools import do, film, ingest, new_summary, one, put, settle_now, start_summary, state_of
from xraygpt_core.dicom.types import HeaderFacts
from xraygpt_core.errors import NotFound
from xraygpt_core.ledger.studies import pictures
from xraygpt_core.ledger.studies.split import Names, split_study
from xraygpt_core.ledger.studies.summarise import complete_summary
from xraygpt_core.ledger.training.serving import note_images
from xraygpt_core.ledger.transaction import Ledger
from xraygpt_core.states import ImageRole

pytestmark = pytest.mark.usefixtures("sound")

NO_NAMES = {"patient_pseudonym": None, "accession_pseudonym": None, "sop_pseudonym": None}


@pytest.fixture
def three(ledger: Ledger) -> Ledger:
    """A ledger whose served bundle looks at all three films."""
    note_images(ledger, "demo", list(ImageRole))
    return ledger


def read_film(ledger: Ledger, uid: str, day: int, **changes: Any) -> tuple[UUID, UUID]:
    registered = put(ledger)
    facts = HeaderFacts(acquired_on=date(2021, 3, day))
    return registered.image_id, ingest(ledger, registered, film(uid, facts=facts, **changes))


def written(ledger: Ledger, study_id: UUID) -> UUID:
    """A summary as a worker writes it whose bundle looks at all three films."""
    taken, given = start_summary(ledger, study_id)
    films: dict[str, Any] = {f"{role}_image": found.image_id for role, found in given.further.items()}
    return complete_summary(ledger, taken, given, replace(new_summary(), **films))


def joined(ledger: Ledger, **of_second: Any) -> tuple[UUID, UUID, UUID]:
    """A study as older versions made it of two patients' films: it is called A's. Study, A's film, B's film."""
    mine, _ = read_film(ledger, "old", 1, **NO_NAMES)
    other, study_id = read_film(ledger, "old", 1, **NO_NAMES, **{"rows": 4000} | of_second)
    do(ledger, "UPDATE studies SET patient_pseudonym = 'A' WHERE id = :id", id=study_id)
    do(ledger, "UPDATE images SET names_read = false WHERE study_id = :id", id=study_id)
    settle_now(ledger, study_id)
    written(ledger, study_id)
    return study_id, mine, other


def apart(ledger: Ledger, study_id: UUID, mine: UUID, other: UUID) -> None:
    names = {mine: Names("A", None, None), other: Names("B", None, None)}
    assert split_study(ledger, study_id, names, apply=True).leave


def shown(ledger: Ledger, study_id: UUID) -> set[UUID]:
    _, given = start_summary(ledger, study_id)
    return {film.image_id for film in given.further.values()}


def test_a_text_that_compared_with_another_patients_film_counts_no_more_and_is_written_anew(three: Ledger) -> None:
    old, mine, other = joined(three)
    _, now = read_film(three, "now", 2, patient_pseudonym="A")
    settle_now(three, now)
    summary_id = written(three, now)
    assert pictures.film(three, summary_id, ImageRole.PRIOR).image_id == other
    apart(three, old, mine, other)
    assert one(three, "SELECT superseded_at IS NOT NULL FROM summaries WHERE id = :id", id=summary_id)
    with pytest.raises(NotFound):
        pictures.film(three, summary_id, ImageRole.PRIOR)
    settle_now(three, old)
    written(three, old)
    settle_now(three, now)
    anew = written(three, now)
    assert state_of(three, now) == "summarised"
    assert one(three, "SELECT prior_image FROM summaries WHERE id = :id", id=anew) == mine


def test_a_summary_that_waits_is_not_shown_another_patients_film(three: Ledger) -> None:
    old, mine, other = joined(three)
    _, now = read_film(three, "now", 2, patient_pseudonym="A")
    settle_now(three, now)
    assert one(three, "SELECT chosen_prior FROM studies WHERE id = :id", id=now) == other
    apart(three, old, mine, other)
    settle_now(three, now)
    assert other not in shown(three, now)


@pytest.mark.parametrize("serves", [[ImageRole.FRONTAL], list(ImageRole)])
def test_a_text_that_saw_another_patients_lateral_counts_no_more_whatever_is_served_now(
    three: Ledger, serves: list[ImageRole]
) -> None:
    old, mine, other = joined(three, view="LATERAL")
    summary_id = one(three, "SELECT id FROM summaries")
    assert one(three, "SELECT lateral_image FROM summaries") == other
    note_images(three, "demo", serves)
    apart(three, old, mine, other)
    assert one(three, "SELECT superseded_at IS NOT NULL FROM summaries WHERE id = :id", id=summary_id)
    assert one(three, "SELECT lateral_image FROM summaries WHERE id = :id", id=summary_id) is None
    settle_now(three, old)
    assert shown(three, old) == set()


def test_a_text_that_goes_with_its_film_leaves_the_first_patients_films_behind(three: Ledger) -> None:
    _, before = read_film(three, "before", 1, patient_pseudonym="A")
    settle_now(three, before)
    written(three, before)
    mine, _ = read_film(three, "old", 3, **NO_NAMES, view="LATERAL")
    other, old = read_film(three, "old", 3, **NO_NAMES, rows=4000)
    do(three, "UPDATE studies SET patient_pseudonym = 'A' WHERE id = :id", id=old)
    do(three, "UPDATE images SET names_read = false WHERE study_id = :id", id=old)
    settle_now(three, old)
    summary_id = written(three, old)
    films = "SELECT num_nonnulls(lateral_image, prior_image) FROM summaries WHERE id = :id"
    assert one(three, films, id=summary_id) == 2
    apart(three, old, mine, other)
    assert one(three, films, id=summary_id) == 0
