"""ROUGE-n and BLEU: by hand, and beside the published package where tests have it."""

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer

from xraygpt_core.report.ngrams import BleuCounts, bleu_counts, rouge_n

TEXTS = [
    "The heart is enlarged.",
    "The heart is not enlarged. The lungs are clear.",
    "no no effusion effusion",
    "Heart",
    "",
]


@pytest.mark.parametrize(("candidate", "target"), list(itertools.product(TEXTS, TEXTS)))
def test_rouge_agrees_with_the_published_package(candidate: str, target: str) -> None:
    theirs = RougeScorer(["rouge1", "rouge2"], use_stemmer=False).score(target, candidate)
    for n in (1, 2):
        expected = theirs[f"rouge{n}"]
        assert rouge_n(candidate, target, n) == pytest.approx((expected.precision, expected.recall, expected.fmeasure))


def test_bleu_by_hand() -> None:
    counts = bleu_counts("the heart is large", "the heart is very large today")
    assert (counts.hits, counts.found) == ((4, 2, 1, 0), (4, 3, 2, 1))
    brief = math.exp(1 - 6 / 4)
    assert counts.bleu(1) == pytest.approx(brief)
    assert counts.bleu(2) == pytest.approx(brief * math.sqrt(2 / 3))
    assert counts.bleu(3) == pytest.approx(brief * (2 / 3 * 1 / 2) ** (1 / 3))


def test_an_order_without_a_hit_is_smoothed_as_named() -> None:
    counts = bleu_counts("the heart is large", "the heart is very large today")
    brief = math.exp(1 - 6 / 4)
    assert counts.bleu(4) == 0
    assert counts.bleu(4, "exp") == pytest.approx(brief * (2 / 3 * 1 / 2 * 1 / 2) ** 0.25)
    assert counts.bleu(4, "add-one") == pytest.approx(brief * (3 / 4 * 2 / 3 * 1 / 2) ** 0.25)


def test_a_word_counts_no_more_often_than_the_reference_has_it() -> None:
    assert bleu_counts("the the the the the the the", "the cat is on the mat").hits[0] == 2


def test_a_text_longer_than_its_reference_is_not_rewarded() -> None:
    assert bleu_counts("a b c d", "a b").bleu(1) == 0.5


def test_an_order_beyond_four_is_refused() -> None:
    with pytest.raises(ValueError, match="orders 1 to 4"):
        BleuCounts().bleu(5)


@given(st.lists(st.sampled_from("abcd"), max_size=12).map(" ".join), st.sampled_from((1, 2, 3, 4)))
def test_bleu_is_between_none_and_one_and_full_for_a_copy(text: str, order: int) -> None:
    for smoothing in ("none", "add-one", "exp"):
        counts = bleu_counts(text, "a b c d a b")
        assert 0 <= counts.bleu(order, smoothing) <= 1
        same = bleu_counts(text, text).bleu(order, smoothing)
        enough = len(text.split()) >= (1 if smoothing == "add-one" else order)
        assert same == pytest.approx(1.0 if enough else 0.0)
