"""Which of two texts fits better: blind, in both orders, with the judge's bias for a place, and a person beside."""

from pathlib import Path

import pytest

from training_jobs.evaluation.judges.judging import Unreadable
from training_jobs.evaluation.judges.preference import Preference, Rivals, agreement, read_choices, rivals
from training_jobs.evaluation.texts import TextPair
from xraygpt_core.errors import TrainingError

JUDGE = Preference()


def test_a_pair_is_asked_about_in_both_orders_and_names_no_system() -> None:
    (_, one), (_, two) = JUDGE.questions(Rivals("7", "ours", "theirs", "truth"))
    assert one.index("ours") < one.index("theirs")
    assert two.index("theirs") < two.index("ours")


def test_texts_that_are_the_same_are_a_tie_and_nobody_is_asked() -> None:
    assert JUDGE.questions(Rivals("7", "Clear  lungs", "Clear lungs", "x")) == []
    assert JUDGE.verdict([])["choice"] == "tie"


@pytest.mark.parametrize(
    ("said", "choice"),
    [(("1", "2"), "a"), (("2", "1"), "b"), (("1", "1"), "tie"), (("tie", "2"), "tie"), (("tie", "tie"), "tie")],
)
def test_only_a_text_that_is_preferred_in_both_orders_is_preferred(said: tuple[str, str], choice: str) -> None:
    assert JUDGE.verdict(said)["choice"] == choice


@pytest.mark.parametrize(
    ("answer", "word"),
    [
        ("**2**", "2"),
        ("Text 1.", "1"),
        ("Answer: 2, because text 1 misses the effusion", "2"),
        ("Text 1 fits better.", "1"),
        ("Both fit equally well.", "tie"),
        ("TIE\nboth name it", "tie"),
    ],
)
def test_an_answer_may_have_words_around_its_word(answer: str, word: str) -> None:
    assert JUDGE.verdict([answer, "tie"])["said"][0] == word


@pytest.mark.parametrize("answer", ["", "Hard to say.", "Text 1 is shorter than text 2", "12"])
def test_an_answer_that_names_both_or_none_is_a_failure(answer: str) -> None:
    with pytest.raises(Unreadable):
        JUDGE.verdict([answer, "1"])


def test_a_judge_who_always_takes_the_first_place_is_found_out() -> None:
    scores = JUDGE.summed([JUDGE.verdict(["1", "1"])] * 4)
    assert scores["tie"]["value"] == 1
    assert scores["same_place_twice"]["value"] == 1
    assert scores["first_place"]["value"] == 1


def test_a_fair_judge_has_no_favourite_place() -> None:
    scores = JUDGE.summed([JUDGE.verdict(["1", "2"]), JUDGE.verdict(["2", "1"]), JUDGE.verdict(["tie", "tie"])])
    assert scores["first_place"]["value"] == 0.5
    assert (scores["a"]["value"], scores["same_place_twice"]["value"]) == (pytest.approx(1 / 3), 0)


def test_two_files_meet_by_id() -> None:
    ours, theirs = [TextPair("1", "a", "r"), TextPair("2", "b", "r")], [TextPair("2", "c", "r")]
    assert rivals(ours, theirs) == [Rivals("2", "b", "c", "r")]
    with pytest.raises(TrainingError, match="no id in common"):
        rivals(ours, [TextPair("3", "a", "r")])
    with pytest.raises(TrainingError, match="differ in the reference of 1 ids"):
        rivals(ours, [TextPair("2", "c", "another")])


def test_agreement_with_a_person_is_beyond_chance_or_not() -> None:
    judge = {str(n): {"choice": choice} for n, choice in enumerate("aabb")}
    assert agreement(judge, dict(zip("0123", "aabb", strict=True)))["kappa"] == 1
    assert agreement(judge, dict(zip("0123", "abab", strict=True)))["kappa"] == 0
    assert agreement(judge, {"0": "a", "9": "b"}) | {"alike": 0} == {"n": 1, "alike": 0, "kappa": None}


def test_a_persons_file_is_read_line_by_line(tmp_path: Path) -> None:
    file = tmp_path / "person.jsonl"
    file.write_text('{"id": "1", "choice": "a"}\n{"id": "2", "choice": "tie"}\n')
    assert read_choices(file) == {"1": "a", "2": "tie"}
    file.write_text('{"id": "1", "choice": "both"}\n')
    with pytest.raises(TrainingError, match="line 1: the choice is none of a, b, tie"):
        read_choices(file)
