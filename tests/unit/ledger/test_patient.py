"""Whose image is it, of the studies that carry one StudyInstanceUID? Decided by what is named, never by a guess."""

from uuid import UUID

import pytest

from xraygpt_core.ledger.studies.patient import Patient, study_for

NOBODY = Patient(None, None)


def named(number: str, issuer: str | None = None) -> Patient:
    return Patient(f"{issuer or ''}|{number}", f"|{number}" if issuer else None)


ONE, TWO, AT_X, AT_Y = named("1"), named("2"), named("1", "X"), named("1", "Y")


@pytest.mark.parametrize("other", [TWO, named("2", "X")])
@pytest.mark.parametrize("one", [ONE, AT_X])
def test_another_id_contradicts_whoever_issued_it(one: Patient, other: Patient) -> None:
    assert one.contradicts(other)
    assert other.contradicts(one)


def test_a_name_is_learnt_with_its_issuer_and_forgotten_never() -> None:
    assert ONE.learns(AT_X)
    assert not any(one.learns(other) for one, other in [(NOBODY, ONE), (AT_X, ONE), (AT_X, AT_Y), (ONE, ONE)])


def test_one_id_under_two_issuers_contradicts() -> None:
    assert AT_X.contradicts(AT_Y)


@pytest.mark.parametrize(("one", "other"), [(ONE, NOBODY), (AT_X, NOBODY), (AT_X, ONE), (ONE, ONE), (NOBODY, NOBODY)])
def test_what_is_absent_contradicts_nobody(one: Patient, other: Patient) -> None:
    assert not one.contradicts(other)
    assert not other.contradicts(one)


@pytest.mark.parametrize(
    ("image", "owners", "home"),
    [
        pytest.param(ONE, [], None, id="the first of its UID"),
        pytest.param(ONE, [TWO, ONE], 1, id="its own patient's, of several"),
        pytest.param(TWO, [ONE], None, id="a contradicting id"),
        pytest.param(AT_Y, [AT_X], None, id="a contradicting issuer"),
        pytest.param(NOBODY, [ONE], 0, id="a film without an id, of the only patient"),
        pytest.param(ONE, [NOBODY], 0, id="a patient, after films without an id"),
        pytest.param(NOBODY, [ONE, TWO], None, id="a film without an id is not given to one of two patients"),
        pytest.param(NOBODY, [ONE, TWO, NOBODY], 2, id="films without an id meet beside two patients"),
        pytest.param(named("3"), [ONE, TWO, NOBODY], None, id="a third patient does not take them"),
        pytest.param(ONE, [TWO, AT_X], 1, id="an id whose issuer is known by one study"),
        pytest.param(AT_X, [TWO, ONE], 1, id="an issuer of an id that is known"),
        pytest.param(ONE, [AT_X, AT_Y], None, id="an id without its issuer, of two issuers"),
    ],
)
def test_an_image_belongs_to_the_study_of_its_patient(image: Patient, owners: list[Patient], home: int | None) -> None:
    studies = [(UUID(int=number), owner) for number, owner in enumerate(owners)]
    assert study_for(image, studies) == (None if home is None else UUID(int=home))
