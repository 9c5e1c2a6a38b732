import pytest
from hypothesis import given
from hypothesis import strategies as st

from xraygpt_core.phantoms.draw import plan_phantom
from xraygpt_core.phantoms.findings import LABELS
from xraygpt_core.report.controls import (
    best_constant,
    most_frequent_report,
    name_everything,
    swapped,
    swapped_within,
)
from xraygpt_core.report.labeller import label_report
from xraygpt_core.report.scores import micro_f1


@pytest.mark.parametrize("n", [2, 3, 10, 101])
def test_no_answer_keeps_its_own_truth_and_all_are_used_once(n: int) -> None:
    pairs = swapped(list(range(n)), list(range(n)), seed=n)
    assert all(a != b for a, b in pairs)
    assert sorted(a for a, _ in pairs) == sorted(b for _, b in pairs) == list(range(n))


def test_swapping_is_repeatable() -> None:
    assert swapped("abcdef", "abcdef", seed=2) == swapped("abcdef", "abcdef", seed=2)


@pytest.mark.parametrize(("answers", "truths"), [([1], [1]), ([], []), ([1, 2], [1, 2, 3])])
def test_swapping_needs_matching_pairs(answers: list[int], truths: list[int]) -> None:
    with pytest.raises(ValueError, match="matching pairs"):
        swapped(answers, truths)


def test_the_most_frequent_report_is_of_the_most_frequent_findings() -> None:
    texts = ["Left pleural effusion.", "Cardiomegaly.", "There is a left effusion.", "Left pleural effusion."]
    assert most_frequent_report(texts) == "Left pleural effusion."


def test_the_most_frequent_findings_win_over_the_most_frequent_wording() -> None:
    texts = ["Cardiomegaly.", "Cardiomegaly.", "Left effusion.", "Small left effusion.", "There is a left effusion."]
    assert label_report(most_frequent_report(texts)) == {"effusion_left"}


def test_no_texts_have_no_most_frequent_one() -> None:
    with pytest.raises(ValueError, match="no reports"):
        most_frequent_report([])


def test_naming_everything_finds_all_and_is_mostly_wrong() -> None:
    truths = [plan_phantom(seed, "held_out").labels for seed in range(400)]
    score = micro_f1(name_everything(truths, LABELS))
    assert score.recall == 1.0
    assert 0.22 < score.precision < 0.34


def test_swapped_perfect_answers_score_like_chance_on_phantoms() -> None:
    truths = [plan_phantom(seed, "held_out").labels for seed in range(600)]
    assert 0.2 < micro_f1(swapped(truths, truths)).f1 < 0.38


FILMS = st.lists(st.tuples(st.sampled_from(["AP", "PA"]), st.integers(0, 6)), max_size=30)


@given(FILMS, st.integers(0, 5))
def test_a_swap_within_a_view_gives_the_truth_of_another_patient(films: list[tuple[str, int]], seed: int) -> None:
    pairs = swapped_within([view for view, _ in films], [patient for _, patient in films], seed=seed)
    assert all(films[a][0] == films[b][0] and films[a][1] != films[b][1] for a, b in pairs)
    assert len({a for a, _ in pairs}) == len({b for _, b in pairs}) == len(pairs)


@given(st.integers(2, 30))
def test_patients_with_a_film_each_are_all_swapped(n: int) -> None:
    assert len(swapped_within(["AP"] * n, range(n))) == n


def test_the_best_constant_answer_is_found_and_normal_stands_alone() -> None:
    truths = [{"opacity"}, {"opacity", "effusion"}, {"opacity", "effusion"}, {"normal"}]
    best, alone = best_constant(truths, ("opacity", "effusion", "normal"), "normal")
    assert best == {"opacity", "effusion"}
    assert alone == pytest.approx({"opacity": 0.6, "effusion": 0.4, "normal": 0.2})
