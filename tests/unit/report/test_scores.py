import itertools

import numpy as np
import pytest
from rouge_score.rouge_scorer import RougeScorer

from xraygpt_core.report.scores import (
    bootstrap_f1,
    bootstrap_mean,
    exact_share,
    micro_f1,
    rouge_l,
    tokens,
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
