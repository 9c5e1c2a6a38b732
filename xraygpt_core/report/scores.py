"""Scores of generated reports: finding-F1 and ROUGE-L, with 95 % intervals."""

import re
from collections.abc import Hashable, Sequence, Set
from typing import NamedTuple

import numpy as np
import numpy.typing as npt


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


def _prf(hits: float, given: float, true: float) -> Prf:
    """From counts. Two empty sets agree perfectly; otherwise an empty denominator counts as 0."""
    if given == 0 and true == 0:
        return Prf(1.0, 1.0, 1.0)
    precision = hits / given if given else 0.0
    recall = hits / true if true else 0.0
    f1 = 2 * precision * recall / (precision + recall) if hits else 0.0
    return Prf(precision, recall, f1)


def micro_f1(pairs: Sequence[tuple[Set[Hashable], Set[Hashable]]]) -> Prf:
    """Micro-averaged over all (given, true) label sets: every label of every report counts once."""
    hits = sum(len(given & true) for given, true in pairs)
    return _prf(hits, sum(len(given) for given, _ in pairs), sum(len(true) for _, true in pairs))


def exact_share(pairs: Sequence[tuple[Set[Hashable], Set[Hashable]]]) -> float:
    """Share of reports whose labels are all right and complete. Raises ValueError for no pairs."""
    if not pairs:
        raise ValueError("no reports to score")
    return sum(given == true for given, true in pairs) / len(pairs)


def tokens(text: str) -> list[str]:
    """Words and numbers in lower case, as the ROUGE of Lin (2004) is usually computed; no stemming."""
    return re.findall(r"[a-z0-9]+", text.lower())


def rouge_l(candidate: str, reference: str) -> Prf:
    """Longest common subsequence of the two whole texts (sentence-level ROUGE-L)."""
    given, true = tokens(candidate), tokens(reference)
    if not given or not true:
        return Prf(0.0, 0.0, 0.0)
    return _prf(_common_subsequence(given, true), len(given), len(true))


def _common_subsequence(a: list[str], b: list[str]) -> int:
    """Length of the longest common subsequence, in O(len(a) · len(b)) time and O(len(b)) memory."""
    best = [0] * (len(b) + 1)
    for word in a:
        diagonal = 0
        for j, other in enumerate(b, start=1):
            diagonal, best[j] = best[j], diagonal + 1 if word == other else max(best[j], best[j - 1])
    return best[-1]


def _resampled(n: int, rounds: int, seed: int) -> npt.NDArray[np.float64]:
    """How often each of n items is drawn in each round, shape (rounds, n)."""
    times = np.random.default_rng(seed).multinomial(n, np.full(n, 1.0 / n), size=rounds)
    return times.astype(np.float64)


def bootstrap_f1(
    pairs: Sequence[tuple[Set[Hashable], Set[Hashable]]], *, rounds: int = 1000, seed: int = 0
) -> Interval:
    """Micro-F1 with the 2.5 and 97.5 percentiles over ``rounds`` resamplings of whole reports (Efron, 1979).

    Computed from counts: a thousand rounds take milliseconds. Raises ValueError for no pairs.
    """
    if not pairs:
        raise ValueError("no reports to score")
    counts = np.array([(len(given & true), len(given), len(true)) for given, true in pairs], dtype=np.float64)
    hits, given, true = (_resampled(len(pairs), rounds, seed) @ counts).T
    values = np.where(given + true > 0, 2 * hits / np.maximum(given + true, 1.0), 1.0)
    low, high = np.percentile(values, [2.5, 97.5])
    return Interval(micro_f1(pairs).f1, float(low), float(high))


def bootstrap_mean(values: Sequence[float], *, rounds: int = 1000, seed: int = 0) -> Interval:
    """Mean of per-report scores (ROUGE) with its interval. Raises ValueError for no values."""
    if not values:
        raise ValueError("no reports to score")
    array = np.asarray(values, dtype=np.float64)
    low, high = np.percentile(_resampled(len(array), rounds, seed) @ array / len(array), [2.5, 97.5])
    return Interval(float(array.mean()), float(low), float(high))
