"""Scores of generated reports: finding-F1 and ROUGE-L, with 95 % intervals and differences between two answers."""

import math
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


Pairs = Sequence[tuple[Set[Hashable], Set[Hashable]]]  # (given, true) of each report


def bootstrap_f1(
    pairs: Pairs, *, patients: Sequence[Hashable] | None = None, rounds: int = 1000, seed: int = 0
) -> Interval:
    """Micro-F1 with the 2.5 and 97.5 percentiles over ``rounds`` resamplings (Efron, 1979).

    Of whole reports, or of patients, whose reports stay together, where ``patients`` names the one of each report.
    Computed from counts: a thousand rounds take milliseconds. Raises ValueError for no pairs, or too few patients.
    """
    return bootstrap_prf(pairs, patients=patients, rounds=rounds, seed=seed)["f1"]


def bootstrap_prf(
    pairs: Pairs, *, patients: Sequence[Hashable] | None = None, rounds: int = 1000, seed: int = 0
) -> dict[str, Interval]:
    """Micro-averaged ``precision``, ``recall`` and ``f1``, resampled as :func:`bootstrap_f1` does; it raises alike."""
    counts = _by_patient(_counts(pairs), patients)
    drawn = _resampled(len(counts), rounds, seed) @ counts
    rounds_of = {"precision": _shares(drawn, 1), "recall": _shares(drawn, 2), "f1": _f1(drawn)}
    values = micro_f1(pairs)._asdict()
    return {
        name: Interval(values[name], *(float(end) for end in np.percentile(rounds_of[name], [2.5, 97.5])))
        for name in values
    }


def bootstrap_mean(
    values: Sequence[float], *, patients: Sequence[Hashable] | None = None, rounds: int = 1000, seed: int = 0
) -> Interval:
    """Mean of per-report scores (ROUGE) with its interval, resampled as :func:`bootstrap_f1` does.

    Raises ValueError for no values, or too few patients.
    """
    if not len(values):
        raise ValueError("no reports to score")
    array = np.asarray(values, dtype=np.float64)
    sums = _by_patient(np.stack([array, np.ones(len(array))], axis=1), patients)
    total, number = (_resampled(len(sums), rounds, seed) @ sums).T
    low, high = np.percentile(total / number, [2.5, 97.5])
    return Interval(float(array.mean()), float(low), float(high))


def paired_bootstrap_f1(
    given: Sequence[Set[Hashable]],
    other: Sequence[Set[Hashable]],
    truths: Sequence[Set[Hashable]],
    patients: Sequence[Hashable],
    rounds: int = 1000,
    seed: int = 0,
) -> Interval:
    """By how much the micro-F1 of ``given`` is above that of ``other``, both about the same reports (Koehn, 2004).

    Every round draws patients and scores both answers about all their reports. Zero outside the interval is a
    difference at the 5 % level. Raises ValueError for no reports, or lengths that differ.
    """
    one, two = list(zip(given, truths, strict=True)), list(zip(other, truths, strict=True))
    counts = _by_patient(np.concatenate([_counts(one), _counts(two)], axis=1), patients)
    drawn = _resampled(len(counts), rounds, seed) @ counts
    low, high = np.percentile(_f1(drawn[:, :3]) - _f1(drawn[:, 3:]), [2.5, 97.5])
    return Interval(micro_f1(one).f1 - micro_f1(two).f1, float(low), float(high))


def wilson(share: float, n: int) -> Interval:
    """A share of ``n`` independent cases with Wilson's interval (1927): also 0 and 1 have one that is not empty.

    Raises ValueError for no cases.
    """
    if n < 1:
        raise ValueError("no cases to have a share of")
    z = 1.959964
    middle, half = share + z * z / (2 * n), z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    low, high = ((middle + sign * half) / (1 + z * z / n) for sign in (-1, 1))
    return Interval(share, max(0.0, min(share, low)), min(1.0, max(share, high)))


def _counts(pairs: Pairs) -> npt.NDArray[np.float64]:
    """(hits, given, true) of each report. Raises ValueError for none."""
    if not pairs:
        raise ValueError("no reports to score")
    return np.array([(len(given & true), len(given), len(true)) for given, true in pairs], dtype=np.float64)


def _f1(sums: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Of rows (hits, given, true)."""
    both = sums[:, 1] + sums[:, 2]
    return np.where(both > 0, 2 * sums[:, 0] / np.maximum(both, 1.0), 1.0)


def _shares(sums: npt.NDArray[np.float64], of: int) -> npt.NDArray[np.float64]:
    """Hits as a share of what is given (1) or true (2), of rows (hits, given, true), as :func:`micro_f1` counts it."""
    nothing = np.where(sums[:, 1] + sums[:, 2] > 0, 0.0, 1.0)
    return np.where(sums[:, of] > 0, sums[:, 0] / np.maximum(sums[:, of], 1.0), nothing)


def _by_patient(rows: npt.NDArray[np.float64], patients: Sequence[Hashable] | None) -> npt.NDArray[np.float64]:
    """The rows of each patient added up, patients in the order in which they come first."""
    if patients is None:
        return rows
    if len(patients) != len(rows):
        raise ValueError(f"{len(rows)} reports of {len(patients)} patients: each report needs one")
    places = {patient: place for place, patient in enumerate(dict.fromkeys(patients))}
    sums = np.zeros((len(places), rows.shape[1]))
    np.add.at(sums, [places[patient] for patient in patients], rows)
    return sums


def _resampled(n: int, rounds: int, seed: int) -> npt.NDArray[np.float64]:
    """How often each of n items is drawn in each round, shape (rounds, n)."""
    times = np.random.default_rng(seed).multinomial(n, np.full(n, 1.0 / n), size=rounds)
    return times.astype(np.float64)
