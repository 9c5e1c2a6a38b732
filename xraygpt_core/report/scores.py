"""Scores of generated reports: finding-F1, ROUGE, and how sure they are."""

import re
from collections import Counter
from collections.abc import Callable, Hashable, Sequence, Set
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

Item = TypeVar("Item")


class Interval(NamedTuple):
    """A score with its 95 % interval."""

    value: float
    low: float
    high: float


class Prf(NamedTuple):
    """Precision, recall and their harmonic mean, 0–1 each."""

    precision: float
    recall: float
    f1: float


def _prf(hits: float, said: float, true: float) -> Prf:
    """From counts. Nothing to say and nothing said is perfect agreement; otherwise an empty denominator counts as 0."""
    if said == 0 and true == 0:
        return Prf(1.0, 1.0, 1.0)
    precision = hits / said if said else 0.0
    recall = hits / true if true else 0.0
    f1 = 2 * precision * recall / (precision + recall) if hits else 0.0
    return Prf(precision, recall, f1)


def micro_f1(pairs: Sequence[tuple[Set[Hashable], Set[Hashable]]]) -> Prf:
    """Micro-averaged over all (said, true) label sets: every label of every report counts once."""
    hits = sum(len(said & true) for said, true in pairs)
    return _prf(hits, sum(len(said) for said, _ in pairs), sum(len(true) for _, true in pairs))


def f1_by_label(pairs: Sequence[tuple[Set[str], Set[str]]], labels: Sequence[str]) -> dict[str, Prf]:
    """The same for each label alone."""
    return {label: micro_f1([(said & {label}, true & {label}) for said, true in pairs]) for label in labels}


def exact_share(pairs: Sequence[tuple[Set[Hashable], Set[Hashable]]]) -> float:
    """Share of reports whose labels are all right and complete. Raises ValueError for no pairs."""
    if not pairs:
        raise ValueError("no reports to score")
    return sum(said == true for said, true in pairs) / len(pairs)


def tokens(text: str) -> list[str]:
    """Words and numbers in lower case, as the ROUGE of Lin (2004) is usually computed; no stemming."""
    return re.findall(r"[a-z0-9]+", text.lower())


def rouge_n(candidate: str, reference: str, n: int) -> Prf:
    """Overlap of n-grams (clipped counts). Two texts without any n-gram score 0, as in the rouge-score package.

    Raises ValueError for n below 1.
    """
    if n < 1:
        raise ValueError(f"an n-gram has at least one word, not {n}")
    said, true = _ngrams(tokens(candidate), n), _ngrams(tokens(reference), n)
    return _rouge((said & true).total(), said.total(), true.total())


def _ngrams(words: list[str], n: int) -> Counter[tuple[str, ...]]:
    return Counter(tuple(words[i : i + n]) for i in range(len(words) - n + 1))


def rouge_l(candidate: str, reference: str) -> Prf:
    """Longest common subsequence of the two whole texts (sentence-level ROUGE-L)."""
    said, true = tokens(candidate), tokens(reference)
    return _rouge(_common_subsequence(said, true), len(said), len(true))


def _rouge(hits: int, said: int, true: int) -> Prf:
    return _prf(hits, said, true) if said and true else Prf(0.0, 0.0, 0.0)


def _common_subsequence(a: list[str], b: list[str]) -> int:
    """Length of the longest common subsequence, in O(len(a) · len(b)) time and O(len(b)) memory."""
    best = [0] * (len(b) + 1)
    for word in a:
        diagonal = 0
        for j, other in enumerate(b, start=1):
            diagonal, best[j] = best[j], diagonal + 1 if word == other else max(best[j], best[j - 1])
    return best[-1]


def bootstrap(
    items: Sequence[Item], score: Callable[[Sequence[Item]], float], *, rounds: int = 1000, seed: int = 0
) -> Interval:
    """Score of all items, with the 2.5 and 97.5 percentiles over ``rounds`` resamplings with replacement.

    Percentile bootstrap (Efron, 1979); items are whole reports. Raises ValueError for no items.
    """
    if not items:
        raise ValueError("no reports to score")
    rng = np.random.default_rng(seed)
    values = [score([items[i] for i in rng.integers(len(items), size=len(items))]) for _ in range(rounds)]
    low, high = np.percentile(values, [2.5, 97.5])
    return Interval(float(score(items)), float(low), float(high))


def _resampled(n: int, rounds: int, seed: int) -> npt.NDArray[np.float64]:
    """How often each of n items is drawn in each round, shape (rounds, n)."""
    times = np.random.default_rng(seed).multinomial(n, np.full(n, 1.0 / n), size=rounds)
    return times.astype(np.float64)


def bootstrap_f1(
    pairs: Sequence[tuple[Set[Hashable], Set[Hashable]]], *, rounds: int = 1000, seed: int = 0
) -> Interval:
    """``bootstrap`` of the micro-F1, from counts: a thousand rounds take milliseconds."""
    if not pairs:
        raise ValueError("no reports to score")
    counts = np.array([(len(said & true), len(said), len(true)) for said, true in pairs], dtype=np.float64)
    hits, said, true = (_resampled(len(pairs), rounds, seed) @ counts).T
    values = np.where(said + true > 0, 2 * hits / np.maximum(said + true, 1.0), 1.0)
    low, high = np.percentile(values, [2.5, 97.5])
    return Interval(micro_f1(pairs).f1, float(low), float(high))


def bootstrap_mean(values: Sequence[float], *, rounds: int = 1000, seed: int = 0) -> Interval:
    """Mean of per-report scores (ROUGE) with its interval. Raises ValueError for no values."""
    if not values:
        raise ValueError("no reports to score")
    array = np.asarray(values, dtype=np.float64)
    low, high = np.percentile(_resampled(len(array), rounds, seed) @ array / len(array), [2.5, 97.5])
    return Interval(float(array.mean()), float(low), float(high))
