"""Signed studies as pairs: the text that a person signed, about a film that is beyond doubt, of patients kept apart."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from tests.support.ledger_tools import (
    do,
    film,
    ingest,
    one,
    put,
    rows,
    settle_now,
    sign,
    study_of,
    summarise,
    whole_study,
)
from xraygpt_core.errors import Conflict, NotFound, TrainingError
from xraygpt_core.ids import new_id
from xraygpt_core.ledger.actor import Actor
from xraygpt_core.ledger.studies.exclude import exclude_study, include_study
from xraygpt_core.ledger.studies.purge import purge_study
from xraygpt_core.ledger.studies.resummarise import resummarise
from xraygpt_core.ledger.training.runs import create_run
from xraygpt_core.ledger.training.signed_pairs import SignedPairs, signed_pairs
from xraygpt_core.ledger.transaction import Ledger
from xraygpt_core.states import Flag, ReviewState
from xraygpt_core.training.pairs import Pair

ALL = "reviewed since 2020-01-01"
MODELS = "Findings: clear lungs. Impression: normal."


def signed(ledger: Ledger, text: str | None = None, patient: str = "patient-1", **image: Any) -> UUID:
    """A study whose summary was accepted, or corrected to this text; its id."""
    number = one(ledger, "SELECT count(*) FROM studies")
    names = {"patient_pseudonym": patient, "accession_pseudonym": f"accession-{number}"}
    _, study_id = whole_study(ledger, film(f"signed-{number}", **(names | image)))
    sign(ledger, current(ledger, study_id), ReviewState.EDITED if text else ReviewState.ACCEPTED, text)
    return study_id


def current(ledger: Ledger, study_id: UUID) -> UUID:
    found: UUID = one(ledger, "SELECT id FROM summaries WHERE study_id = :id AND superseded_at IS NULL", id=study_id)
    return found


def pairs(ledger: Ledger, selection: str = ALL) -> list[Pair]:
    return list(signed_pairs(ledger, selection))


def left_out(ledger: Ledger, selection: str = ALL) -> dict[str, int]:
    given = signed_pairs(ledger, selection)
    list(given)
    return given.reasons


def test_the_signed_text_is_the_target_and_a_corrected_draft_stands_beside_it(ledger: Ledger) -> None:
    accepted = signed(ledger)
    edited = signed(ledger, "A nodule in the right upper lobe.", patient="patient-2")
    found = {pair.pair_id: pair for pair in pairs(ledger)}
    as_is = found[str(current(ledger, accepted))]
    corrected = found[str(current(ledger, edited))]
    assert (as_is.text, as_is.draft, as_is.view) == (MODELS, None, "PA")
    assert (corrected.text, corrected.draft) == ("A nodule in the right upper lobe.", MODELS)
    image = rows(ledger, "SELECT normalised_key, normalised_sha256 FROM images WHERE study_id = :id", id=edited)[0]
    assert (corrected.key, corrected.image) == (image["normalised_key"], image["normalised_sha256"])
    assert "patient-2" not in str(corrected)


def test_a_patient_is_in_one_split_and_stays_there_whatever_else_is_selected(ledger: Ledger) -> None:
    for number in range(12):
        signed(ledger, patient=f"patient-{number // 2}", patient_id_pseudonym=None)
    both = {one.patient: one.split for one in pairs(ledger)}
    assert len(both) == 6
    assert len({(one.patient, one.split) for one in pairs(ledger)}) == 6
    for one_pair in pairs(ledger, f"{ALL} limit 5"):
        assert both[one_pair.patient] == one_pair.split


def test_one_patient_with_and_without_an_issuer_is_one_patient(ledger: Ledger) -> None:
    signed(ledger, patient="with issuer", patient_id_pseudonym="the id alone")
    signed(ledger, patient="the id alone")
    assert len({one.patient for one in pairs(ledger)}) == 1


def test_half_of_the_patients_are_kept_back_if_half_are_asked_for(ledger: Ledger) -> None:
    for number in range(30):
        signed(ledger, patient=f"patient-{number}")
    splits = [pair.split for pair in signed_pairs(ledger, ALL, validation=0.25, test=0.25)]
    assert {"train", "val", "test"} == set(splits)
    assert 5 <= splits.count("train") <= 25


@pytest.mark.parametrize("state", [ReviewState.REJECTED, ReviewState.DRAFT])
def test_what_is_rejected_or_taken_back_is_no_target(ledger: Ledger, state: ReviewState) -> None:
    study_id = signed(ledger)
    sign(ledger, current(ledger, study_id), state)
    assert pairs(ledger) == []
    assert left_out(ledger) == ({"rejected": 1} if state is ReviewState.REJECTED else {})


@pytest.mark.parametrize("table", ["studies", "images", "summaries"])
@pytest.mark.parametrize("flag", [Flag.OUT_OF_SCOPE, Flag.CHEST_UNCERTAIN])
def test_a_doubt_keeps_a_study_out_unless_the_selection_takes_it(ledger: Ledger, table: str, flag: Flag) -> None:
    study_id = signed(ledger)
    place = "id" if table == "studies" else "study_id"
    do(ledger, f"UPDATE {table} SET flags = ARRAY[:flag] WHERE {place} = :id", flag=str(flag), id=study_id)
    assert left_out(ledger) == {"doubtful": 1}
    assert len(pairs(ledger, f"{ALL} with {flag}")) == 1


def test_an_excluded_study_is_given_to_no_run_until_that_is_taken_back(ledger: Ledger) -> None:
    study_id = signed(ledger)
    signed(ledger, patient="patient-2")
    acting = ledger.acting(Actor("Dr. T"))
    assert exclude_study(acting, study_id) == study_id
    with pytest.raises(Conflict):
        exclude_study(ledger, study_id)
    assert (len(pairs(ledger)), left_out(ledger)) == (1, {"excluded": 1})
    include_study(acting, study_id)
    with pytest.raises(Conflict):
        include_study(ledger, study_id)
    assert len(pairs(ledger)) == 2
    for act in (exclude_study, include_study):
        with pytest.raises(NotFound):
            act(ledger, new_id())
    acts = [row["what"] for row in rows(ledger, "SELECT what FROM audit WHERE study_id = :id ORDER BY id", id=study_id)]
    assert acts == ["study excluded from training", "study allowed for training"]


def test_an_excluded_film_stays_out_when_it_moves_to_another_study(ledger: Ledger) -> None:
    study_id = signed(ledger)
    exclude_study(ledger, study_id)
    other = signed(ledger, patient="patient-2")
    do(ledger, "UPDATE images SET study_id = :new WHERE study_id = :old", new=other, old=study_id)
    do(
        ledger,
        "UPDATE summaries SET study_id = :new, superseded_at = clock_timestamp() WHERE study_id = :old",
        new=other,
        old=study_id,
    )
    do(ledger, "DELETE FROM studies WHERE id = :old", old=study_id)
    found = [pair.pair_id for pair in pairs(ledger)]
    assert found == [str(current(ledger, other))]


def test_what_was_excluded_under_its_provisional_id_stays_out(ledger: Ledger) -> None:
    registered = put(ledger)
    home = ingest(ledger, registered, film("home"))
    later = put(ledger)
    exclude_study(ledger, later.study_id)
    assert ingest(ledger, later, film("home")) == home == study_of(ledger, later.image_id)
    settle_now(ledger, home)
    summarise(ledger, home)
    sign(ledger, current(ledger, home), ReviewState.ACCEPTED)
    assert left_out(ledger) == {"excluded": 1}
    include_study(ledger, home)
    assert len(pairs(ledger)) == 1


def test_nothing_is_left_of_a_purged_study(ledger: Ledger) -> None:
    purge_study(ledger, signed(ledger), lambda _: None)
    assert (pairs(ledger), left_out(ledger)) == ([], {})


def test_the_newest_signature_of_a_study_counts_beside_a_newer_draft_too(ledger: Ledger) -> None:
    study_id = signed(ledger, "The signed text.")
    do(ledger, "UPDATE installation SET served_bundle = 'next'")
    resummarise(ledger, study_ids=[study_id], bundle=None)
    summarise(ledger, study_id, text="A newer draft.", bundle="next")
    assert [pair.text for pair in pairs(ledger)] == ["The signed text."]
    sign(ledger, current(ledger, study_id), ReviewState.ACCEPTED)
    assert [pair.text for pair in pairs(ledger)] == ["A newer draft."]
    assert left_out(ledger) == {"older_signature": 1}
    assert [pair.text for pair in pairs(ledger, f"{ALL} bundle demo")] == ["The signed text."]


def test_a_film_that_is_gone_or_that_two_studies_share_is_not_given_twice(ledger: Ledger) -> None:
    for patient in ("patient-1", "patient-2"):
        signed(ledger, patient=patient, normalised_sha256="the same")
    assert left_out(ledger) == {"same_film": 1}
    do(ledger, "UPDATE images SET state = 'cancelled'")
    assert left_out(ledger) == {"film_gone": 2}


def test_the_words_of_a_selection_select(ledger: Ledger) -> None:
    signed(ledger)
    signed(ledger, "Corrected.", patient="patient-2", view="AP")
    assert [pair.text for pair in pairs(ledger, f"{ALL} edited")] == ["Corrected."]
    assert [pair.text for pair in pairs(ledger, f"{ALL} accepted view PA")] == [MODELS]
    assert left_out(ledger, f"{ALL} accepted view AP") == {"other_state": 1, "other_view": 1}
    today = datetime.now(UTC).date()
    assert pairs(ledger, f"reviewed since {today + timedelta(days=1)}") == []
    assert pairs(ledger, f"{ALL} until {today - timedelta(days=1)}") == []
    assert len(pairs(ledger, f"{ALL} until {today + timedelta(days=2)}")) == 2
    assert pairs(ledger, f"{ALL} bundle other") == []
    assert [pair.text for pair in pairs(ledger, f"{ALL} limit 1")] == ["Corrected."], "the newest first"
    with pytest.raises(TrainingError, match="reviewed since"):
        signed_pairs(ledger, "everything")


def test_an_empty_text_teaches_nothing(ledger: Ledger) -> None:
    signed(ledger)
    do(ledger, "UPDATE summaries SET summary = '  '")
    assert left_out(ledger) == {"no_words": 1}


def test_which_studies_a_run_was_given_is_kept(ledger: Ledger) -> None:
    ids = {signed(ledger, patient=f"patient-{number}") for number in range(3)}
    run_id = create_run(ledger, "stage1", {}, None)
    list(signed_pairs(ledger, f"{ALL} limit 2", run_id=run_id))
    used = {row["study_id"] for row in rows(ledger, "SELECT study_id FROM training_used WHERE run_id = :id", id=run_id)}
    assert len(used) == 2
    assert used < ids


def test_many_signatures_are_read_page_by_page_each_once(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(7):
        signed(ledger, patient=f"patient-{number}")
    do(ledger, "UPDATE summaries SET reviewed_at = '2026-01-01T00:00:00Z'")
    monkeypatch.setattr("xraygpt_core.ledger.training.signed_pairs._PAGE", 3)
    assert len({pair.pair_id for pair in pairs(ledger)}) == len(pairs(ledger)) == 7


def test_the_pairs_are_an_iterator_of_pairs(ledger: Ledger) -> None:
    given = signed_pairs(ledger, ALL)
    assert isinstance(given, SignedPairs)
    assert isinstance(iter(given), Iterator)
