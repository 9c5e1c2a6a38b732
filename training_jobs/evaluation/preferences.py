"""Which score of a text does a radiologist agree with? ``preferences``: rank correlation with readers' ratings.

The data are RadPref and RadJudge (Baharoon et al. 2026, arXiv 2603.06183), as ``preferences.json`` and
``rankings.json`` in one folder. They are for validation only, and no text of them is printed or kept.
"""

import argparse
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import numpy.typing as npt

from xraygpt_core.report.agreement import agreement
from xraygpt_core.report.negation import Assertion
from xraygpt_core.report.ngrams import bleu_counts
from xraygpt_core.report.observation_terms import CHEXPERT
from xraygpt_core.report.observations import observations
from xraygpt_core.report.scores import Interval, micro_f1, rouge_l

Score = Callable[[str, str], float]  # (candidate, reference)
ROUNDS = 1000
SAME = 0.05  # a score's difference within which two candidates count as equal, where a ranking says "="


@dataclass(frozen=True)
class Case:
    """A reference, its candidates, and every reader's ratings of each, 1-5 (None: not rated)."""

    number: int
    reference: str
    candidates: tuple[str, ...]
    ratings: tuple[tuple[float | None, ...], ...]  # (candidate, reader)

    def mean(self, candidate: int) -> float:
        """The mean rating of a candidate."""
        return fmean(rating for rating in self.ratings[candidate] if rating is not None)


def add_parser(jobs: Any) -> None:
    """The command's options, for the parser of ``python -m training_jobs``."""
    parser = jobs.add_parser("preferences", help="which score of a text do radiologists agree with?")
    parser.add_argument("--data", type=Path, required=True, help="folder of preferences.json and rankings.json")
    parser.add_argument(
        "--half", choices=("tune", "report", "all"), default="report", help="even cases, odd cases, or both"
    )


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Every score's figures on the chosen half, and the readers' own."""
    cases = read_cases(options.data / "preferences.json", options.half)
    rankings = json.loads((options.data / "rankings.json").read_text())
    return {"half": options.half, "cases": len(cases), "scores": compare(cases, rankings), "readers": readers(cases)}


def read_cases(file: Path, half: str = "all") -> list[Case]:
    """The cases of ``preferences.json`` whose number is even (tune), odd (report), or any (all)."""
    cases = [_case(one) for one in json.loads(file.read_text())]
    return [one for one in cases if half == "all" or (one.number % 2 == 0) == (half == "tune")]


def _case(one: Mapping[str, Any]) -> Case:
    names = ("C1", "C2")
    ratings = tuple(tuple(reader[name]["rating"] for reader in one["radiologists"]) for name in names)
    number = int(re.sub(r"\D", "", one["case"]))
    return Case(number, one["ground_truth_report"], tuple(one[f"{name}_report"] for name in names), ratings)


def scores() -> dict[str, Score]:
    """The scores that are compared."""
    return {
        "agreement": lambda candidate, reference: agreement(candidate, reference).score,
        "agreement, findings only": lambda candidate, reference: agreement(candidate, reference).findings,
        "finding F1": finding_f1,
        "ROUGE-L": lambda candidate, reference: rouge_l(candidate, reference).f1,
        "BLEU-4": bleu_4,
    }


def finding_f1(candidate: str, reference: str) -> float:
    """F1 of CheXpert's classes that both texts assert, 0-1; two texts without any agree."""
    return micro_f1([(_classes(candidate), _classes(reference))]).f1


def _classes(text: str) -> set[str]:
    asserted = {one.kind for one in observations(text) if one.status is Assertion.ASSERTED}
    return {CHEXPERT[kind] for kind in asserted if kind in CHEXPERT}


def bleu_4(candidate: str, reference: str) -> float:
    """BLEU-4 of one text, one added to the counts of two words and more (Lin and Och 2004), 0-1."""
    return bleu_counts(candidate, reference).bleu(4, "add-one")


def compare(cases: Sequence[Case], rankings: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Figures of every score: tau-b pooled over candidates, pair accuracy, share of rankings right."""
    figures: dict[str, Any] = {}
    for name, score in scores().items():
        given = [[score(text, case.reference) for text in case.candidates] for case in cases]
        rated = [[case.mean(i) for i in range(len(case.candidates))] for case in cases]
        figures[name] = {
            "tau": tau_interval(given, rated)._asdict(),
            "pairs": pairs_interval(given, rated)._asdict(),
            "rankings": fmean(float(ranked_right(one, score)) for one in rankings),
        }
    return figures


def readers(cases: Sequence[Case]) -> list[dict[str, float]]:
    """Each reader against the mean of the others: what a score can hope for."""
    figures = []
    for reader in range(len(cases[0].ratings[0])):
        one, others = [], []
        for case in cases:
            own = [ratings[reader] for ratings in case.ratings]
            rest = [[r for i, r in enumerate(ratings) if i != reader and r is not None] for ratings in case.ratings]
            if None not in own and all(rest):
                one.append([float(rating) for rating in own if rating is not None])
                others.append([fmean(ratings) for ratings in rest])
        figures.append({"tau": kendall_tau_b(_flat(one), _flat(others)), "pairs": pair_accuracy(one, others)})
    return figures


def _flat(values: Iterable[Sequence[float]]) -> list[float]:
    return [value for one in values for value in one]


def kendall_tau_b(one: Sequence[float], other: Sequence[float]) -> float:
    """Kendall's tau-b of two equally long rows (Kendall 1945), -1 to 1; 0 if either is constant."""
    a, b = _order(one), _order(other)
    ties = float(np.sqrt(np.sum(a * a) * np.sum(b * b)))
    return float(np.sum(a * b)) / ties if ties else 0.0


def _order(values: Sequence[float]) -> npt.NDArray[np.float64]:
    row = np.asarray(values, dtype=np.float64)
    return np.sign(np.round(row[:, None] - row[None, :], 9))


def pair_accuracy(given: Sequence[Sequence[float]], rated: Sequence[Sequence[float]]) -> float:
    """Share of the cases rated differently whose better candidate scores higher; equal scores count half."""
    right = [
        0.5 + 0.5 * float(np.sign((a - b) * (x - y)))
        for (a, b), (x, y) in zip(given, rated, strict=True)
        if round(x - y, 9)
    ]
    return fmean(right) if right else 0.0


def tau_interval(given: Sequence[Sequence[float]], rated: Sequence[Sequence[float]]) -> Interval:
    """Tau-b over all candidates of all cases, with its 95 % interval over resampled cases."""
    return _interval(given, rated, lambda a, b: kendall_tau_b(_flat(a), _flat(b)))


def pairs_interval(given: Sequence[Sequence[float]], rated: Sequence[Sequence[float]]) -> Interval:
    """Pair accuracy with its 95 % interval over resampled cases."""
    return _interval(given, rated, pair_accuracy)


def _interval(
    given: Sequence[Sequence[float]],
    rated: Sequence[Sequence[float]],
    figure: Callable[[Sequence[Sequence[float]], Sequence[Sequence[float]]], float],
) -> Interval:
    random = np.random.default_rng(0)
    values = []
    for _ in range(ROUNDS):
        drawn = random.integers(len(given), size=len(given))
        values.append(figure([given[i] for i in drawn], [rated[i] for i in drawn]))
    low, high = np.percentile(values, [2.5, 97.5])
    return Interval(figure(given, rated), float(low), float(high))


def ranked_right(ranking: Mapping[str, Any], score: Score) -> bool:
    """Whether a score orders the candidates of a ranking as expected; "=" allows ``SAME``."""
    expected = ranking["expected_ranking"]
    texts = {name: one["text"] for name, one in ranking["candidates"].items()}
    given = {name: score(text, ranking["ground_truth"]) for name, text in texts.items()}
    for rule in [expected] if isinstance(expected, str) else expected:
        first, sign, second = rule.split()
        difference = given[first] - given[second]
        if (sign == "=" and abs(difference) > SAME) or (sign == ">" and difference <= 0):
            return False
    return True
