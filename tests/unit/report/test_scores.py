import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer

from xraygpt_core.report.scores import (
    Interval,
    bootstrap_f1,
    bootstrap_mean,
    exact_share,
    micro_f1,
    paired_bootstrap_f1,
    rouge_l,
    tokens,
    wilson,
)

TEXTS = [
    "There is a left pleural effusion.",
    "There is a small left effusion. The heart is enlarged.",
    "The heart is normal in size. No pleural effusion or pneumothorax.",
    "No acute disease.",
    "no no no effusion effusion",
    "The lungs are clear, 12 mm nodule (right upper lobe) is unchanged.",
    "Heart",
    "",
]


@pytest.fixture(scope="module")
def reference() -> RougeScorer:
    return RougeScorer(["rougeL"], use_stemmer=False)


@pytest.mark.parametrize(("candidate", "target"), list(itertools.product(TEXTS, TEXTS)))
def test_rouge_agrees_with_the_published_package(reference: RougeScorer, candidate: str, target: str) -> None:
    theirs = reference.score(target, candidate)["rougeL"]
    assert rouge_l(candidate, target) == pytest.approx((theirs.precision, theirs.recall, theirs.fmeasure))


def test_rouge_agrees_with_the_package_on_random_words(reference: RougeScorer) -> None:
    rng = np.random.default_rng(1)
    words = ["a", "left", "right", "effusion", "no", "heart", "the", "is"]
    for _ in range(60):
        a, b = (" ".join(rng.choice(words, size=int(rng.integers(1, 30)))) for _ in range(2))
        expected = reference.score(b, a)
        assert rouge_l(a, b).f1 == pytest.approx(expected["rougeL"].fmeasure)


def test_tokens_are_words_and_numbers_in_lower_case() -> None:
    assert tokens("The 12-mm Nodule's edge!") == ["the", "12", "mm", "nodule", "s", "edge"]


def test_micro_f1_counts_every_label_once() -> None:
    pairs = [({"a", "b"}, {"a"}), ({"c"}, {"c", "d"}), (set(), {"a"})]
    assert micro_f1(pairs) == pytest.approx((2 / 3, 2 / 4, 4 / 7))


def test_perfect_answers_score_one() -> None:
    pairs = [({"a"}, {"a"}), (set(), set())]
    assert micro_f1(pairs) == (1.0, 1.0, 1.0)


def test_saying_nothing_about_something_scores_zero() -> None:
    assert micro_f1([(set(), {"a"})]) == (0.0, 0.0, 0.0)


def test_nothing_to_say_and_nothing_said_is_right() -> None:
    assert micro_f1([(set(), set())]).f1 == 1.0
    assert micro_f1([({"a"}, set())]).f1 == 0.0


def test_an_exact_report_has_all_labels_and_no_other() -> None:
    assert exact_share([({"a"}, {"a"}), ({"a"}, {"a", "b"})]) == 0.5


@pytest.mark.parametrize("score", [exact_share, bootstrap_f1, bootstrap_mean])
def test_no_reports_have_no_score(score: object) -> None:
    with pytest.raises(ValueError, match="no reports"):
        score([])  # type: ignore[operator]


def test_the_interval_holds_the_value_and_narrows_with_more_reports() -> None:
    few = [({"a"}, {"a"}), ({"b"}, {"a"}), ({"a", "b"}, {"b"})] * 5
    many = few * 20
    small, large = bootstrap_f1(few), bootstrap_f1(many)
    assert small.low <= small.value <= small.high
    assert large.value == pytest.approx(small.value)
    assert large.high - large.low < 0.5 * (small.high - small.low)


def test_the_interval_from_counts_agrees_with_resampled_reports() -> None:
    rng = np.random.default_rng(3)
    pairs = [
        (frozenset(np.flatnonzero(rng.random(6) < 0.4)), frozenset(np.flatnonzero(rng.random(6) < 0.4)))
        for _ in range(80)
    ]
    plain = [micro_f1([pairs[i] for i in rng.integers(80, size=80)]).f1 for _ in range(400)]
    fast = bootstrap_f1(pairs, rounds=4000, seed=6)
    assert fast.value == pytest.approx(micro_f1(pairs).f1)
    assert (fast.low, fast.high) == pytest.approx(np.percentile(plain, [2.5, 97.5]), abs=0.02)


def test_the_interval_of_a_mean_is_about_two_standard_errors_wide() -> None:
    values = list(np.random.default_rng(7).normal(0.5, 0.1, size=400))
    interval = bootstrap_mean(values, rounds=4000)
    assert interval.value == pytest.approx(np.mean(values))
    assert interval.high - interval.low == pytest.approx(2 * 1.96 * np.std(values) / 20, rel=0.1)


def test_the_same_seed_gives_the_same_interval() -> None:
    pairs = [({"a"}, {"a"}), ({"b"}, {"a"})]
    assert bootstrap_f1(pairs, seed=4) == bootstrap_f1(pairs, seed=4)
    assert bootstrap_mean([0.1, 0.9], seed=4) == bootstrap_mean([0.1, 0.9], seed=4)


LABELS = st.frozensets(st.sampled_from("abc"), max_size=3)
FEW = settings(max_examples=25, deadline=None)
REPORTS = st.lists(st.tuples(LABELS, LABELS, LABELS, st.integers(0, 4)), min_size=1, max_size=12)


def difference(reports: list[tuple[frozenset[str], frozenset[str], frozenset[str], int]]) -> Interval:
    given, other, truths, patients = zip(*reports, strict=True)
    return paired_bootstrap_f1(given, other, truths, patients, rounds=50)


@given(REPORTS)
@FEW
def test_a_difference_changes_its_sign_with_the_order(reports: list[tuple[Any, Any, Any, int]]) -> None:
    one = difference(reports)
    two = difference([(other, given, truth, patient) for given, other, truth, patient in reports])
    assert (one.value, one.low, one.high) == pytest.approx((-two.value, -two.high, -two.low))


@given(REPORTS)
@FEW
def test_an_answer_does_not_differ_from_itself(reports: list[tuple[Any, Any, Any, int]]) -> None:
    assert difference([(given, given, truth, patient) for given, _, truth, patient in reports]) == (0, 0, 0)


@given(REPORTS)
@FEW
def test_the_films_of_a_patient_are_drawn_together(reports: list[tuple[Any, Any, Any, int]]) -> None:
    one = difference([(*sets, 0) for *sets, _ in reports])
    assert (one.low, one.high) == pytest.approx((one.value, one.value))
    pairs = [(given, truth) for given, _, truth, _ in reports]
    score = bootstrap_f1(pairs, patients=[0] * len(pairs))
    assert (score.low, score.high) == pytest.approx((score.value, score.value))


@given(REPORTS)
@FEW
def test_the_names_of_patients_do_not_count(reports: list[tuple[Any, Any, Any, int]]) -> None:
    assert difference(reports) == difference([(*sets, f"p{name}") for *sets, name in reports])


def test_repeated_films_of_a_patient_do_not_narrow_the_interval() -> None:
    pairs = [({"a"}, {"a"}), ({"b"}, {"a"})] * 10
    repeated = bootstrap_f1(pairs * 5, patients=list(range(20)) * 5)
    assert repeated == pytest.approx(bootstrap_f1(pairs))
    values = [float(a == b) for a, b in pairs]
    assert bootstrap_mean(values * 5, patients=list(range(20)) * 5) == pytest.approx(bootstrap_mean(values))


def test_each_report_needs_its_patient() -> None:
    with pytest.raises(ValueError, match="each report needs one"):
        bootstrap_f1([({"a"}, {"a"})], patients=[1, 2])


def test_a_share_of_nothing_and_of_all_has_an_interval() -> None:
    assert wilson(0.0, 10) == pytest.approx((0.0, 0.0, 0.2775), abs=1e-4)
    assert wilson(1.0, 10) == pytest.approx((1.0, 0.7225, 1.0), abs=1e-4)
    assert wilson(0.5, 100) == pytest.approx((0.5, 0.4038, 0.5962), abs=1e-4)
    with pytest.raises(ValueError, match="no cases"):
        wilson(0.5, 0)
