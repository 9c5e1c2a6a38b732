"""What older versions joined is taken apart: each film goes to its own patient, with all that was written about it."""

from collections.abc import Sequence
from itertools import count
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.ledger_tools import (
    do,
    film,
    ingest,
    new_summary,
    one,
    put,
    rows,
    settle_now,
    sign,
    start_summary,
    state_of,
    study_of,
    summarise,
)
from xraygpt_core.errors import LeaseLost
from xraygpt_core.ledger.studies import pictures, read
from xraygpt_core.ledger.studies.cancel import cancel_study
from xraygpt_core.ledger.studies.chat import ask, transcript
from xraygpt_core.ledger.studies.register import Registered
from xraygpt_core.ledger.studies.split import Group, Names, Split, split_study, suspects
from xraygpt_core.ledger.studies.summarise import complete_summary
from xraygpt_core.ledger.transaction import Ledger
from xraygpt_core.states import Flag, ReviewState

pytestmark = pytest.mark.usefixtures("sound")

A, B = Names("A", None, "accession-A"), Names("B", None, "accession-B")
_numbers = count(1)


def joined(ledger: Ledger, *names: Names, uid: str = "u1") -> tuple[UUID, list[Registered]]:
    """A study as older versions made it of images of these patients: called after the first that says something."""
    given = [put(ledger) for _ in names]
    for registered in given:
        nobody = {"patient_pseudonym": None, "accession_pseudonym": None, "sop_pseudonym": None}
        study_id = ingest(ledger, registered, film(uid, **nobody, rows=2000 + next(_numbers)))
    do(
        ledger,
        "UPDATE studies SET patient_pseudonym = :patient, accession_pseudonym = :accession WHERE id = :id",
        id=study_id,
        patient=next((one.patient_pseudonym for one in names if one.patient_pseudonym), None),
        accession=next((one.accession_pseudonym for one in names if one.accession_pseudonym), None),
    )
    do(ledger, "UPDATE images SET names_read = false WHERE study_id = :id", id=study_id)
    return study_id, given


def summarised(ledger: Ledger, *names: Names) -> tuple[UUID, list[Registered], UUID]:
    """The same with a summary, which is about the largest: the last of them."""
    study_id, given = joined(ledger, *names)
    settle_now(ledger, study_id)
    return study_id, given, summarise(ledger, study_id)


def apart(ledger: Ledger, study_id: UUID, given: Sequence[Registered], *names: Names | None) -> Split:
    """Take it apart; None is an image that could not be read."""
    said = {registered.image_id: name for registered, name in zip(given, names, strict=True) if name is not None}
    return split_study(ledger, study_id, said, apply=True)


def test_each_look_up_leads_to_its_own_film_afterwards(ledger: Ledger) -> None:
    study_id, (a, b) = joined(ledger, A, B)
    split = apart(ledger, study_id, (a, b), A, B)
    assert split == Split(study_id, (a.image_id,), (Group(None, (b.image_id,)),))
    assert [study_of(ledger, one.image_id) for one in (a, b)] == [a.study_id, b.study_id]
    for names, registered in ((A, a), (B, b)):
        assert read.lookup(ledger, "patient", names.patient_pseudonym or "") == [registered.study_id]
        assert read.lookup(ledger, "accession", names.accession_pseudonym or "") == [registered.study_id]
        assert [image.image_id for image in read.study(ledger, registered.study_id).images] == [registered.image_id]


def test_a_16_bit_copy_goes_with_its_film(ledger: Ledger) -> None:
    study_id, given = joined(ledger, A, B)
    for registered in given:
        kept = "deep_key = 'deep/' || id, deep_sha256 = id, deep_scale = ARRAY[0, 1], deep_window = ARRAY[5, 10]"
        do(ledger, f"UPDATE images SET {kept} WHERE id = :id", id=registered.image_id)
    apart(ledger, study_id, given, A, B)
    for registered in given:
        copy = pictures.deep_image_of_study(ledger, registered.study_id, registered.image_id)
        assert (copy.study_id, copy.key) == (registered.study_id, f"deep/{registered.image_id}")


def test_nothing_is_changed_by_looking(ledger: Ledger) -> None:
    study_id, (a, b) = joined(ledger, A, B)
    before = rows(ledger, "SELECT * FROM images ORDER BY id"), rows(ledger, "SELECT * FROM studies ORDER BY id")
    shown = split_study(ledger, study_id, {a.image_id: A, b.image_id: B}, apply=False)
    assert shown.leave == (Group(None, (b.image_id,)),)
    assert before == (
        rows(ledger, "SELECT * FROM images ORDER BY id"), rows(ledger, "SELECT * FROM studies ORDER BY id")
    )  # fmt: skip
    assert suspects(ledger, after=UUID(int=0)) == [study_id]


def test_what_is_taken_apart_is_summarised_anew_and_no_longer_a_suspect(ledger: Ledger) -> None:
    study_id, given, _ = summarised(ledger, A, B)
    apart(ledger, study_id, given, A, B)
    for registered in given:
        settle_now(ledger, registered.study_id)
        summarise(ledger, registered.study_id)
        found = read.study(ledger, registered.study_id)
        assert found.summary is not None
        assert found.summary.image_id == registered.image_id
        assert found.flags == [Flag.STUDY_UID_SHARED]
    assert suspects(ledger, after=UUID(int=0)) == []


def test_a_text_its_review_and_its_chat_go_with_the_film_they_are_about(ledger: Ledger) -> None:
    study_id, (a, b), summary_id = summarised(ledger, A, B)
    sign(ledger, summary_id, ReviewState.EDITED, "Large heart.")
    turn = ask(ledger, study_id, "Is the heart large?")
    apart(ledger, study_id, (a, b), A, B)
    moved = read.study(ledger, b.study_id)
    assert moved.summary is None
    assert moved.reviewed is not None
    assert (moved.reviewed.summary_id, moved.reviewed.summary) == (summary_id, "Large heart.")
    assert [one.turn_id for one in transcript(ledger, b.study_id)] == [turn.turn_id]
    left = read.study(ledger, study_id)
    assert (left.summary, left.reviewed, transcript(ledger, study_id)) == (None, None, [])
    assert pictures.preview(ledger, study_id).key != pictures.preview(ledger, b.study_id).key


def test_a_worker_that_looks_at_the_film_meanwhile_writes_nothing(ledger: Ledger) -> None:
    study_id, given = joined(ledger, A, B)
    settle_now(ledger, study_id)
    claim, asked = start_summary(ledger, study_id)
    apart(ledger, study_id, given, A, B)
    with pytest.raises(LeaseLost):
        complete_summary(ledger, claim, asked, new_summary())
    assert one(ledger, "SELECT count(*) FROM summaries") == 0


def test_an_image_that_cannot_be_read_stays_and_is_asked_for_again(ledger: Ledger) -> None:
    study_id, given = joined(ledger, A, B)
    assert apart(ledger, study_id, given, A, None).leave == ()
    assert suspects(ledger, after=UUID(int=0)) == [study_id]


def test_an_absent_name_stays_with_the_first_patient(ledger: Ledger) -> None:
    nobody = Names(None, None, None)
    study_id, given = joined(ledger, nobody, A, B, nobody)
    split = apart(ledger, study_id, given, nobody, A, B, nobody)
    assert split.leave == (Group(None, (given[2].image_id,)),)


def test_an_issuer_that_contradicts_is_taken_out_and_an_absent_one_is_not(ledger: Ledger) -> None:
    at_x, at_y, plain = Names("1@X", "1", None), Names("1@Y", "1", None), Names("1", None, None)
    study_id, given = joined(ledger, plain, at_x, at_y)
    assert apart(ledger, study_id, given, plain, at_x, at_y).leave == (Group(None, (given[2].image_id,)),)
    assert read.lookup(ledger, "patient", "1") == read.lookup(ledger, "patient", "1@X") == [study_id]


def test_films_go_to_the_study_their_patient_has_by_now(ledger: Ledger) -> None:
    study_id, given = joined(ledger, A, B)
    home = ingest(ledger, put(ledger), film("u1", patient_pseudonym="B", accession_pseudonym=None))
    assert home != study_id
    assert apart(ledger, study_id, given, A, B).leave == (Group(home, (given[1].image_id,)),)
    assert study_of(ledger, given[1].image_id) == read.study(ledger, given[1].study_id).study_id == home
    settle_now(ledger, home)


def test_one_instance_of_two_patients_is_two_images_again(ledger: Ledger) -> None:
    study_id, given = joined(ledger, A, B)
    do(ledger, "UPDATE images SET sop_pseudonym = 's'")
    do(
        ledger,
        "UPDATE images SET duplicate_of = :first WHERE id = :second",
        first=given[0].image_id,
        second=given[1].image_id,
    )
    apart(ledger, study_id, given, A, B)
    assert one(ledger, "SELECT count(duplicate_of) FROM images") == 0


def test_what_a_person_cancelled_stays_cancelled(ledger: Ledger) -> None:
    study_id, (a, b) = joined(ledger, A, B)
    cancel_study(ledger, study_id)
    apart(ledger, study_id, (a, b), A, B)
    assert study_of(ledger, b.image_id) == b.study_id
    assert state_of(ledger, study_id) == state_of(ledger, b.study_id) == "cancelled"
    assert "cancelled" in [step["what"] for step in read.timeline(ledger, b.study_id)]


@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(st.sampled_from([None, "1", "2"]), st.sampled_from([None, "X", "Y"]), st.integers(1, 2)),
        min_size=2,
        max_size=5,
    )
)
def test_whatever_was_joined_is_one_patients_afterwards(ledger: Ledger, who: list[tuple[Any, ...]]) -> None:
    """The fixture ``sound`` says that no study holds two."""
    world = f"w{next(_numbers)}"
    names = [
        Names(
            number and f"{world}|{issuer}|{number}",
            f"{world}|None|{number}" if number and issuer else None,
            f"{world}-{accession}",
        )
        for number, issuer, accession in who
    ]
    study_id, given = joined(ledger, *names, uid=world)
    apart(ledger, study_id, given, *names)
    for name, registered in zip(names, given, strict=True):
        home = study_of(ledger, registered.image_id)
        assert read.study(ledger, registered.study_id).study_id == home
        assert home in read.lookup(ledger, "accession", name.accession_pseudonym or "")
        if name.patient_pseudonym:
            assert home in read.lookup(ledger, "patient", name.patient_pseudonym)
    for home in {study_of(ledger, registered.image_id) for registered in given}:
        assert split_study(ledger, home, {}, apply=False).leave == ()
