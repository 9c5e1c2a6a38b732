"""An evaluation as Markdown tables."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

_EMPTY = ""


def tables(result: Mapping[str, Any]) -> str:
    """Scores, controls, kinds, views and sources: a table for each that the result has."""
    parts = [f"{result['n']} films" + (f" of {result['patients']} patients" if "patients" in result else "")]
    parts.append(
        _table(("score", "value", "95 %"), [(name, *_cells(score)) for name, score in result["scores"].items()])
    )
    if "controls" in result:
        parts.append(_controls(result["controls"]))
    if "constants" in result:
        parts.append(_table(("said of every film", "F1"), [(k, _number(v)) for k, v in result["constants"].items()]))
    if "kinds" in result:
        parts.append(_kinds(result["kinds"]))
    parts += [_groups(name, result[name]) for name in ("views", "sources") if result.get(name)]
    if "labels" in result:
        parts.append(_table(("label", "F1"), [(name, _number(value)) for name, value in result["labels"].items()]))
    return "\n\n".join(parts)


def _controls(controls: Mapping[str, Any]) -> str:
    rows = []
    for name, control in controls.items():
        if control is not None:
            value = next(control[key] for key in ("kind_f1", "finding_f1") if key in control)
            said = f" ({', '.join(control['kinds'])})" if "kinds" in control else _EMPTY
            rows.append((name + said, _number(value), *_cells(control["difference"]), _number(control.get("rouge_l"))))
    return _table(("control", "F1", "difference", "95 %", "ROUGE-L"), rows)


def _kinds(kinds: Mapping[str, Any]) -> str:
    rows = []
    for kind, one in kinds.items():
        precision, recall = (_value(one[name]) for name in ("precision", "recall"))
        rows.append((kind, str(one["n"]), str(one["said"]), precision, recall, *_cells(one["f1"])))
    return _table(("kind", "there", "said", "precision", "recall", "F1", "95 %"), rows)


def _groups(name: str, groups: Mapping[str, Any]) -> str:
    rows = []
    for group, one in groups.items():
        swap, best = one["same_view_swap"], one["best_constant"]
        swapped = (_EMPTY,) * 3 if swap is None else (_number(swap["kind_f1"]), *_cells(swap["difference"]))
        rows.append((group, str(one["n"]), *_cells(one["kind_f1"]), *swapped, _number(best["kind_f1"])))
    head = (name, "films", "F1", "95 %", "same-view swap", "difference", "95 %", "best constant")
    return _table(head, rows)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cells(interval: Mapping[str, float] | None) -> tuple[str, str]:
    if interval is None:
        return _EMPTY, _EMPTY
    return _number(interval["value"]), f"{_number(interval['low'])} to {_number(interval['high'])}"


def _value(score: float | Mapping[str, float] | None) -> str:
    return _number(score) if score is None or isinstance(score, float) else _number(score["value"])


def _number(value: float | None) -> str:
    """As in the model card: three digits, no zero in front."""
    return _EMPTY if value is None else f"{value:.3f}".replace("0.", ".", 1)
