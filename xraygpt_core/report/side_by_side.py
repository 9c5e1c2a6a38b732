"""Two models' texts about the same films: where they agree, and how each stands to what was signed.

Findings are those that a text says are there (:mod:`.text_labels`). A text without any, not even a possible one, says
that the film is normal, which counts like a finding: else silence would cost nothing. Intervals are 95 %, over
patients: the films of one are no independent cases.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

from xraygpt_core.report.controls import most_frequent_report, swapped_within
from xraygpt_core.report.kinds import NORMAL
from xraygpt_core.report.scores import Interval, bootstrap_mean, bootstrap_prf, paired_bootstrap_f1, wilson
from xraygpt_core.report.text_labels import FINDINGS, Named, labels_of, named_by

Names = frozenset[str]
Pairs = Sequence[tuple[Names, Names]]
_NAMES = (NORMAL, *FINDINGS)


@dataclass(frozen=True)
class Reading:
    """One text: what it says (:func:`names_of`), how many words it has, and how many contradictions."""

    names: Names
    words: int
    contradictions: int


@dataclass(frozen=True)
class Case:
    """One film that both models have a text about.

    Attributes:
        patient: the same for all films of one; view: ``PA``, ``AP`` …
        signed: the text that a person signed about this film; None if there is none.
    """

    patient: Hashable
    view: str | None
    first: Reading
    second: Reading
    signed: str | None = None


def names_of(named: Named) -> Names:
    """What a text says of a film: its findings, or that it is normal; nothing where there is only a doubt."""
    return frozenset(named.asserted) or frozenset(() if named.uncertain else (NORMAL,))


def side_by_side(cases: Sequence[Case]) -> dict[str, Any]:
    """What the texts have in common and what not; the parts are None where no case can show them.

    Returns:
        ``n`` films; ``findings``: per finding that one of the models names; ``agreement`` of all of them, and
        ``swapped`` with the other model's text about another patient's film of the same view; ``texts``: words and
        contradictions of each; ``signed``: see :func:`against_signed`.
    """
    pairs = [(case.first.names, case.second.names) for case in cases]
    patients = [case.patient for case in cases]
    return {
        "n": len(cases),
        "patients": len(set(patients)),
        "findings": [_finding(name, pairs) for name in _NAMES if any(name in one | two for one, two in pairs)],
        "agreement": _interval(bootstrap_prf(pairs, patients=patients)["f1"]) if _enough(patients) else None,
        "swapped": _swapped(cases, pairs),
        "texts": {side: _texts([getattr(case, side) for case in cases], patients) for side in ("first", "second")},
        "signed": against_signed([case for case in cases if case.signed is not None]),
    }


def against_signed(cases: Sequence[Case]) -> dict[str, Any] | None:
    """Both models' findings beside those of the signed texts, and the controls that saw no film.

    Returns:
        ``n``; of ``first`` and ``second`` precision, recall and F1, and the F1 ``swapped``, beside another patient's
        signed text of the same view; ``difference`` of their F1, the first minus the second; ``most_frequent``: the F1
        of the one signed text that would be right most often, chosen on these cases themselves; ``findings``: precision
        and recall of each. None for fewer than two patients.
    """
    patients = [case.patient for case in cases]
    if not _enough(patients):
        return None
    signed = [case.signed or "" for case in cases]
    truths = [_said(text) for text in signed]
    first, second = [case.first.names for case in cases], [case.second.names for case in cases]
    frequent = _said(most_frequent_report(signed))
    constant: Pairs = [(frequent, truth) for truth in truths]
    return {
        "n": len(cases),
        "patients": len(set(patients)),
        "first": _scored(cases, list(zip(first, truths, strict=True)), patients),
        "second": _scored(cases, list(zip(second, truths, strict=True)), patients),
        "difference": _interval(paired_bootstrap_f1(first, second, truths, patients)),
        "most_frequent": {
            "says": sorted(frequent),
            "f1": _interval(bootstrap_prf(constant, patients=patients)["f1"]),
        },
        "findings": [
            _against(name, first, second, truths)
            for name in _NAMES
            if any(name in one | two | truth for one, two, truth in zip(first, second, truths, strict=True))
        ],
    }


def _said(text: str) -> Names:
    return names_of(named_by(labels_of(text)))


def _enough(patients: Sequence[Hashable]) -> bool:
    """One patient drawn again and again has no interval."""
    return len(set(patients)) > 1


def _finding(name: str, pairs: Pairs) -> dict[str, Any]:
    """How often both, one or neither names it; Cohen's kappa (1960), and positive agreement 2a/(2a+b+c)."""
    both = sum(name in one and name in two for one, two in pairs)
    first = sum(name in one for one, _ in pairs) - both
    second = sum(name in two for _, two in pairs) - both
    n = len(pairs)
    neither = n - both - first - second
    said, said_too = (both + first) / n, (both + second) / n
    chance = said * said_too + (1 - said) * (1 - said_too)
    return {
        "finding": name,
        "both": both,
        "only_first": first,
        "only_second": second,
        "neither": neither,
        "kappa": ((both + neither) / n - chance) / (1 - chance) if chance < 1 else None,
        "positive_agreement": 2 * both / (2 * both + first + second),
    }


def _texts(readings: Sequence[Reading], patients: Sequence[Hashable]) -> dict[str, Any] | None:
    if not readings:
        return None
    words = [float(one.words) for one in readings]
    doubtful = sum(one.contradictions > 0 for one in readings)
    return {
        "words": _interval(bootstrap_mean(words, patients=patients)),
        "contradicting": _interval(wilson(doubtful / len(readings), len(readings))),
        "findings": sum(len(one.names - {NORMAL}) for one in readings) / len(readings),
    }


def _scored(cases: Sequence[Case], pairs: Pairs, patients: Sequence[Hashable]) -> dict[str, Any]:
    found = {name: _interval(one) for name, one in bootstrap_prf(pairs, patients=patients).items()}
    return found | {"swapped": _swapped(cases, pairs)}


def _swapped(cases: Sequence[Case], pairs: Pairs) -> dict[str, Any] | None:
    """The F1 of each first set beside the second set of another patient's film of the same view."""
    places = swapped_within([case.view for case in cases], [case.patient for case in cases])
    patients = [cases[answer].patient for answer, _ in places]
    if not _enough(patients):
        return None
    moved = [(pairs[answer][0], pairs[truth][1]) for answer, truth in places]
    return {"n": len(moved), "f1": _interval(bootstrap_prf(moved, patients=patients)["f1"])}


def _against(name: str, first: Sequence[Names], second: Sequence[Names], truths: Sequence[Names]) -> dict[str, Any]:
    there = [name in truth for truth in truths]
    found: dict[str, Any] = {"finding": name, "n": sum(there)}
    for side, sets in (("first", first), ("second", second)):
        said = [name in one for one in sets]
        hits = sum(one and other for one, other in zip(said, there, strict=True))
        found[side] = {
            "said": sum(said),
            "precision": _share(hits, sum(said)),
            "recall": _share(hits, sum(there)),
        }
    return found


def _share(hits: int, of: int) -> dict[str, float] | None:
    return _interval(wilson(hits / of, of)) if of else None


def _interval(one: Interval) -> dict[str, float]:
    return {name: float(value) for name, value in one._asdict().items()}
