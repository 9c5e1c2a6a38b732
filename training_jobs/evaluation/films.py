"""Texts about real films, whose labels say what is on them and not where."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from training_jobs.corpora.scored_films import films
from training_jobs.drawers.grey import png, read_film
from training_jobs.evaluation.beside import constant, f1, patients_of, rouge, share, swap, swapped_rouge
from training_jobs.evaluation.cases import Case
from xraygpt_core.report.controls import best_constant
from xraygpt_core.report.kinds import KINDS, NORMAL, is_abnormal, kinds_of_text
from xraygpt_core.report.labeller import view_of
from xraygpt_core.report.scores import bootstrap_f1, micro_f1

_F1 = "kind_f1"


def film_cases(data: Path, split: str, only: str = "") -> list[Case]:
    """The films of one split, of the folder ``only`` if it is given.

    Raises:
        TrainingError: as :func:`training_jobs.corpora.scored_films.films`, or a film cannot be read.
    """
    return [
        Case(png(read_film(film.file)), film.kinds, film.text, film.view, film.patient, film.source)
        for film in films(data, split, only)
    ]


def score_films(cases: Sequence[Case], texts: Sequence[str], blank: str, usual: str) -> dict[str, Any]:
    """F1 over :data:`KINDS`, view, abnormal or not and ROUGE-L; the same within each view and source; controls.

    ``blank`` is the text about a grey plate, ``usual`` the text that comes with most films that are trained on.
    """
    said = [kinds_of_text(text) for text in texts]
    views = [case.view for case in cases]
    flat = {"blank_image": blank, "most_frequent_report": usual}
    return {
        "n": len(cases),
        "patients": len(set(patients_of(cases))),
        "scores": {_F1: f1(said, cases), "rouge_l": rouge(texts, cases), **_shares(texts, cases)},
        "controls": {
            "swapped_image": _swapped(said, texts, cases, None),
            "same_view_swap": _swapped(said, texts, cases, views),
            **{
                name: constant(said, kinds_of_text(text), cases, _F1)
                | {"rouge_l": rouge([text] * len(cases), cases)["value"]}
                for name, text in flat.items()
            },
            "best_constant": _best(said, cases),
        },
        "constants": best_constant([case.truth for case in cases], KINDS, NORMAL)[1],
        "kinds": {kind: _one_kind(kind, said, cases) for kind in KINDS},
        "views": _groups(said, cases, views),
        "sources": _groups(said, cases, [case.source for case in cases]),
    }


def _shares(texts: Sequence[str], cases: Sequence[Case]) -> dict[str, Any]:
    seen = [(text, case) for text, case in zip(texts, cases, strict=True) if case.view is not None]
    ill = [(is_abnormal(text), case) for text, case in zip(texts, cases, strict=True) if case.truth != {NORMAL}]
    well = [(not is_abnormal(text), case) for text, case in zip(texts, cases, strict=True) if case.truth == {NORMAL}]
    return {
        "view": share([view_of(text) == case.view for text, case in seen], [case for _, case in seen]),
        "sensitivity": share([right for right, _ in ill], [case for _, case in ill]),
        "specificity": share([right for right, _ in well], [case for _, case in well]),
    }


def _swapped(
    said: Sequence[frozenset[str]], texts: Sequence[str], cases: Sequence[Case], groups: Sequence[str | None] | None
) -> dict[str, Any] | None:
    result = swap(said, cases, _F1, groups)
    return None if result is None else result | {"rouge_l": swapped_rouge(texts, cases, groups)}


def _best(said: Sequence[frozenset[str]], cases: Sequence[Case]) -> dict[str, Any]:
    kinds, _ = best_constant([case.truth for case in cases], KINDS, NORMAL)
    return {"kinds": [kind for kind in KINDS if kind in kinds]} | constant(said, kinds, cases, _F1)


def _one_kind(kind: str, said: Sequence[frozenset[str]], cases: Sequence[Case]) -> dict[str, Any]:
    pairs = [(given & {kind}, case.truth & {kind}) for given, case in zip(said, cases, strict=True)]
    score = micro_f1(pairs)
    films_with = sum(kind in case.truth for case in cases)
    return {
        "n": films_with,
        "said": sum(kind in given for given in said),
        "precision": score.precision,
        "recall": score.recall,
        "f1": bootstrap_f1(pairs, patients=patients_of(cases))._asdict(),
    }


def _groups(
    said: Sequence[frozenset[str]], cases: Sequence[Case], names: Sequence[str | None]
) -> dict[str, dict[str, Any]]:
    """The scores among the films of each name, with the swap inside of its views: what a shortcut cannot give."""
    groups = {}
    for name in sorted({name for name in names if name is not None}):
        places = [place for place, other in enumerate(names) if other == name]
        part, chosen = [said[place] for place in places], [cases[place] for place in places]
        groups[name] = {
            "n": len(chosen),
            "patients": len(set(patients_of(chosen))),
            _F1: f1(part, chosen),
            "same_view_swap": swap(part, chosen, _F1, [case.view for case in chosen]),
            "best_constant": _best(part, chosen),
        }
    return groups
