"""A score, and by how much it is above that of an answer that did not see the film: intervals are drawn by patient."""

from collections.abc import Hashable, Sequence
from typing import Any

from training_jobs.evaluation.cases import Case
from xraygpt_core.report.controls import swapped_within
from xraygpt_core.report.scores import bootstrap_f1, bootstrap_mean, micro_f1, paired_bootstrap_f1, rouge_l, wilson

Groups = Sequence[Hashable] | None
Said = Sequence[frozenset[str]]  # what each text asserts, in the order of the cases
SWAPS = 20  # the control is their mean: one swap of a hundred films is off by several hundredths


def f1(said: Said, cases: Sequence[Case]) -> dict[str, float]:
    """Micro-F1 with its interval."""
    pairs = [(given, case.truth) for given, case in zip(said, cases, strict=True)]
    return bootstrap_f1(pairs, patients=patients_of(cases))._asdict()


def constant(said: Said, other: frozenset[str], cases: Sequence[Case], name: str) -> dict[str, Any]:
    """An answer that is the same for every film."""
    return _against(said, [other] * len(cases), cases, name)


def swap(said: Said, cases: Sequence[Case], name: str, groups: Groups = None) -> dict[str, Any] | None:
    """Each film's truth beside the texts about other patients' films, of the same group only; None if there is none."""
    owners, groups = patients_of(cases), groups or [None] * len(cases)
    pairs = [pair for seed in range(SWAPS) for pair in swapped_within(groups, owners, seed=seed)]
    if not pairs:
        return None
    own, other = [said[truth] for _, truth in pairs], [said[answer] for answer, _ in pairs]
    return _against(own, other, [cases[truth] for _, truth in pairs], name)


def swapped_rouge(texts: Sequence[str], cases: Sequence[Case], groups: Groups = None) -> float | None:
    """Mean ROUGE-L of one such swap."""
    pairs = swapped_within(groups or [None] * len(cases), patients_of(cases))
    return rouge([texts[a] for a, _ in pairs], [cases[b] for _, b in pairs])["value"] if pairs else None


def rouge(texts: Sequence[str], cases: Sequence[Case]) -> dict[str, float]:
    """Mean ROUGE-L against the texts that come with the films."""
    scores = [rouge_l(text, case.report).f1 for text, case in zip(texts, cases, strict=True)]
    return bootstrap_mean(scores, patients=patients_of(cases))._asdict()


def share(right: Sequence[bool], cases: Sequence[Case]) -> dict[str, float] | None:
    """How many are right: Wilson's interval, as if each patient had one film. None where there is nothing to share."""
    if not right:
        return None
    return wilson(sum(right) / len(right), len(set(patients_of(cases))))._asdict()


def patients_of(cases: Sequence[Case]) -> list[str]:
    """Whose film each is."""
    return [case.patient for case in cases]


def _against(said: Said, other: Said, cases: Sequence[Case], name: str) -> dict[str, Any]:
    truths = [case.truth for case in cases]
    value = micro_f1(list(zip(other, truths, strict=True))).f1
    difference = paired_bootstrap_f1(said, other, truths, patients_of(cases))
    return {name: value, "difference": difference._asdict()}
