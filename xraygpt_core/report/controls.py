"""Control answers that ignore the image: what the same measure gives for them shows what a score is worth.

A model that grounds its text beats all three by a wide margin; a fluent one that does not scores about like them.
"""

from collections import Counter
from collections.abc import Sequence, Set
from typing import TypeVar

import numpy as np

from xraygpt_core.report.labeller import label_report

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
