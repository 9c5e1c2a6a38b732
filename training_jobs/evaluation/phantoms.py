"""Texts about drawn films, of which everything is known: phantoms, or those of another drawer."""

from collections.abc import Sequence
from typing import Any

from training_jobs.drawers.drawings import DRAWERS, Drawing, draw, drawings
from training_jobs.evaluation.beside import constant, f1, rouge, swap
from training_jobs.evaluation.cases import Case
from xraygpt_core.errors import TrainingError
from xraygpt_core.phantoms.findings import LABELS
from xraygpt_core.report.controls import most_frequent_report
from xraygpt_core.report.labeller import label_report, view_of
from xraygpt_core.report.scores import bootstrap_mean, micro_f1

_F1 = "finding_f1"


def drawn_cases(drawer: str, count: int, seed: int, population: str) -> list[Case]:
    """Drawings of consecutive seeds.

    Raises:
        TrainingError: there is no such drawer.
    """
    if drawer not in DRAWERS:
        raise TrainingError(f"there is no drawer {drawer!r}; there are {', '.join(sorted(DRAWERS))}")
    return [_case(drawing) for drawing in drawings(drawer, count, seed, population)]


def score_drawn(cases: Sequence[Case], texts: Sequence[str], blank: str) -> dict[str, Any]:
    """Finding-F1, exact sets, view and ROUGE-L; controls: swapped images, a grey plate, two constant answers."""
    said = [label_report(text) for text in texts]
    truths = [case.truth for case in cases]
    usual = most_frequent_report([case.report for case in cases])
    exact = [float(given == true) for given, true in zip(said, truths, strict=True)]
    views = [float(view_of(text) == case.view) for text, case in zip(texts, cases, strict=True)]
    return {
        "n": len(cases),
        "scores": {
            _F1: f1(said, cases),
            "exact_set": bootstrap_mean(exact)._asdict(),
            "view": bootstrap_mean(views)._asdict(),
            "rouge_l": rouge(texts, cases),
        },
        "controls": {
            "swapped_image": swap(said, cases, _F1),
            "same_view_swap": swap(said, cases, _F1, [case.view for case in cases]),
            "blank_image": constant(said, label_report(blank), cases, _F1),
            "most_frequent_report": constant(said, label_report(usual), cases, _F1),
            "name_every_finding": constant(said, frozenset(LABELS), cases, _F1),
        },
        "labels": {
            label: micro_f1([(a & {label}, b & {label}) for a, b in zip(said, truths, strict=True)]).f1
            for label in LABELS
        },
    }


def _case(drawing: Drawing) -> Case:
    drawn = draw(drawing)
    return Case(drawn.png, drawn.labels, drawn.report, drawn.view, drawing.name, drawing.drawer)
