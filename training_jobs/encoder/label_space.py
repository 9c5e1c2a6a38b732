"""Which labels an encoder learns, what pairs say of each, and what each counts, so that nothing is a shortcut."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from training_jobs.encoder.labels import labels_of
from xraygpt_core.errors import TrainingError
from xraygpt_core.report.concise import ABNORMAL
from xraygpt_core.training.pairs import Pair

_LEAST = 8  # pairs that have a label, and that lack it: fewer teach nothing
_MOST_WEIGHT = 4.0  # of a pair or of a label that is there, beside one of the usual kind

Cell = tuple[str, str | None, str | None]  # set, source and view: what a film could be recognised by


@dataclass(frozen=True)
class LabelSpace:
    """The labels, and the weights that balance them.

    Attributes:
        names: of the labels, in the order of the columns.
        positive: (labels,): how much a label that is there counts beside one that is not; 1 where both are as many.
        cells: for each set, source and view, the weight of its normal and of its abnormal films.
    """

    names: tuple[str, ...]
    positive: Tensor
    cells: Mapping[Cell, tuple[float, float]]

    def truth(self, pairs: Sequence[Pair]) -> tuple[Tensor, Tensor]:
        """Presence (pairs, labels), and whether each is known."""
        rows = [[found.get(name) for name in self.names] for found in map(labels_of, pairs)]
        presence = torch.tensor([[0.0 if value is None else value for value in row] for row in rows])
        return presence, torch.tensor([[value is not None for value in row] for row in rows])

    def weights(self, pairs: Sequence[Pair]) -> Tensor:
        """How much each pair counts, (pairs,): within each set, source and view, normal and abnormal films count the
        same, so that where a film comes from says nothing of what it shows."""
        return torch.tensor([self._weight(pair) for pair in pairs])

    def _weight(self, pair: Pair) -> float:
        normal, abnormal = self.cells.get(cell_of(pair), (1.0, 1.0))
        value = labels_of(pair).get(ABNORMAL)
        return 1.0 if value is None else abnormal if value > 0.5 else normal


def label_space(pairs: Iterable[Pair]) -> LabelSpace:
    """The labels that enough pairs have and enough lack.

    Raises:
        TrainingError: there is none.
    """
    there, absent = Counter[str](), Counter[str]()
    cells: dict[Cell, list[int]] = {}
    for pair in pairs:
        for name, value in labels_of(pair).items():
            if value is not None:
                (there if value > 0.5 else absent)[name] += 1
        if (abnormal := labels_of(pair).get(ABNORMAL)) is not None:
            cells.setdefault(cell_of(pair), [0, 0])[abnormal > 0.5] += 1
    names = tuple(sorted(name for name in there if min(there[name], absent[name]) >= _LEAST))
    if not names:
        raise TrainingError(f"no label is on {_LEAST} films and missing on as many: there is nothing to learn")
    positive = torch.tensor([_root(absent[name] / there[name]) for name in names])
    return LabelSpace(names, positive, {cell: _balanced(*counts) for cell, counts in cells.items()})


def cell_of(pair: Pair) -> Cell:
    """What a film could be recognised by without looking at disease."""
    return pair.set_name, pair.source, pair.view


def _root(ratio: float) -> float:
    return float(min(max(ratio, 1.0) ** 0.5, _MOST_WEIGHT))


def _balanced(normal: int, abnormal: int) -> tuple[float, float]:
    """Weights by which both count half; 1 each where there is only one kind."""
    if not (normal and abnormal):
        return 1.0, 1.0
    half = (normal + abnormal) / 2
    return min(half / normal, _MOST_WEIGHT), min(half / abnormal, _MOST_WEIGHT)
