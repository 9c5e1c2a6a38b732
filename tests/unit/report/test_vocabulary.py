import pytest

from xraygpt_core.report.vocabulary import TERMS, find_terms


def kinds(sentence: str) -> list[str]:
    return [kind for _, _, kind in find_terms(sentence)]


@pytest.mark.parametrize("kind", sorted(TERMS))
def test_every_kind_has_words_and_none_matches_empty_text(kind: str) -> None:
    assert TERMS[kind].search("") is None


def test_findings_come_in_the_order_of_the_sentence() -> None:
    assert kinds("pacemaker, cardiomegaly, left effusion and a nodule") == [
        "device",
        "cardiomegaly",
        "effusion",
        "nodule",
    ]


def test_a_nodular_opacity_is_no_consolidation() -> None:
    assert kinds("nodular opacity in the left upper lobe") == ["nodule"]


def test_a_hydropneumothorax_is_fluid_and_air() -> None:
    assert sorted(kinds("right hydropneumothorax")) == ["effusion", "pneumothorax"]


def test_a_spelled_out_synonym_is_found_once() -> None:
    assert kinds("consolidative opacity at the left base") == ["consolidation"]
    assert kinds("central venous catheter") == ["device"]


@pytest.mark.parametrize(
    "sentence",
    [
        "pericardial effusion",
        "a portable film",
        "the aortopulmonary window is clear",
        "heart size is normal with a large hernia",
        "this leads to crowding",
        "pneumomediastinum",
        "support of the diagnosis",
    ],
)
def test_words_that_only_look_like_findings_are_left_alone(sentence: str) -> None:
    assert kinds(sentence) == []


def test_the_place_of_a_term_is_its_own_words() -> None:
    sentence = "there is a small pleural effusion"
    ((start, end, _),) = find_terms(sentence)
    assert sentence[start:end] == "effusion"
