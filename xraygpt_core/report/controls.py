"""Control answers that ignore the image: what the same measure gives for them shows what a score is worth.

A model that grounds its text beats them all by a wide margin; a fluent one that does not scores about like them.
"""

from collections import Counter
from collections.abc import Hashable, Sequence, Set
from itertools import combinations
from typing import TypeVar

import numpy as np

from xraygpt_core.report.labeller import label_report
from xraygpt_core.report.scores import micro_f1

Thing = TypeVar("Thing")
Truth = TypeVar("Truth")


def swapped(answers: Sequence[Thing], truths: Sequence[Truth], *, seed: int = 0) -> list[tuple[Thing, Truth]]:
    """Every answer beside the truth of another image: a random cycle, so that none keeps its own.

    Raises ValueError if the lengths differ or there are fewer than two.
    """
    if len(answers) != len(truths) or len(answers) < 2:
        raise ValueError(f"swapping needs two or more matching pairs, not {len(answers)} answers, {len(truths)} truths")
    order = np.random.default_rng(seed).permutation(len(answers))
    following = np.roll(order, 1)
    return [(answers[int(a)], truths[int(b)]) for a, b in zip(order, following, strict=True)]


def swapped_within(groups: Sequence[Hashable], patients: Sequence[Hashable], *, seed: int = 0) -> list[tuple[int, int]]:
    """(answer, truth) as places in the list: each answer beside another patient's truth of the same group (a view).

    A cycle in random order, so that every answer and every truth comes once; one whose group has too few other patients
    is left out. Raises ValueError if the lengths differ.
    """
    order = np.random.default_rng(seed).permutation(len(groups))
    members: dict[Hashable, dict[Hashable, list[int]]] = {}
    for place, (group, patient) in enumerate(zip(groups, patients, strict=True)):
        members.setdefault(group, {}).setdefault(patient, []).append(place)
    pairs = []
    for owners in members.values():
        shuffled = sorted(owners.values(), key=lambda places: int(order[places[0]]))
        row = [place for places in shuffled for place in places]
        step = max(len(places) for places in shuffled)  # nobody's films are so many that the cycle comes back to them
        pairs += [(row[at - step], place) for at, place in enumerate(row)]
    return [(answer, truth) for answer, truth in pairs if patients[answer] != patients[truth]]


def most_frequent_report(texts: Sequence[str]) -> str:
    """The same report for every film: of the most frequent set of findings, the most frequent wording.

    Ties go to the one that came first. Raises ValueError for no texts.
    """
    if not texts:
        raise ValueError("no reports to choose from")
    labels = [label_report(text) for text in texts]
    (favourite, _), *_rest = Counter(labels).most_common(1)
    ((text, _),) = Counter(t for t, found in zip(texts, labels, strict=True) if found == favourite).most_common(1)
    return text


def name_everything(truths: Sequence[Set[str]], labels: Sequence[str]) -> list[tuple[frozenset[str], frozenset[str]]]:
    """(given, true) pairs of an answer that names every finding on every film: recall 1, precision the prevalence."""
    return [(frozenset(labels), frozenset(truth)) for truth in truths]


def best_constant(
    truths: Sequence[Set[str]], kinds: Sequence[str], alone: str
) -> tuple[frozenset[str], dict[str, float]]:
    """The set of kinds that scores the best micro-F1 when it is said of every film, and the F1 of each kind said alone.

    ``alone`` (normal) is never said with another. Chosen on the truths themselves, so no constant answer is better.
    """
    others = [kind for kind in kinds if kind != alone]
    sets = [frozenset({alone})] + [
        frozenset(chosen) for size in range(1, len(others) + 1) for chosen in combinations(others, size)
    ]
    scores = {given: micro_f1([(given, truth) for truth in truths]).f1 for given in sets}
    return max(sets, key=scores.__getitem__), {kind: scores[frozenset({kind})] for kind in kinds}
