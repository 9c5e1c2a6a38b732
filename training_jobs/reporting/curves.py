"""Curves of a run: from its file of progress to a drawing (SVG) and a few numbers, whatever its length."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree.ElementTree import Element

from training_jobs.reporting.elements import element

Points = list[tuple[float, float]]

NAMES = ("loss", "held_out", "swapped", "lr", "samples_per_s", "grad_norm")
_BINS = 400  # points of a curve
_WIDTH, _HEIGHT, _MARGIN = 640, 240, 48


@dataclass(frozen=True)
class Progress:
    """What ``progress.jsonl`` says.

    Attributes:
        curves: by name, (step, mean of the steps around it), at most 400 points each.
        last: each name's last value.
        steps: steps taken.
        unread: lines that are none; a killed process leaves a half one.
    """

    curves: dict[str, Points]
    last: dict[str, float]
    steps: int
    unread: int


def read_progress(file: Path) -> Progress:
    """The curves of a run; steps that were taken twice, since a run was killed, count twice and alike.

    Raises:
        OSError: there is no such file.
    """
    sums: dict[str, dict[int, list[float]]] = {name: {} for name in NAMES}
    last: dict[str, float] = {}
    step, unread, wide = 0, 0, 1
    with file.open("rb") as lines:
        for line in lines:
            values = _values(line)
            if values is None:
                unread += 1
                continue
            step = max(step, int(values["step"]))
            while step // wide >= _BINS:
                wide *= 2
                sums = {name: _merged(bins) for name, bins in sums.items()}
            for name in NAMES:
                if name in values:
                    last[name] = values[name]
                    total = sums[name].setdefault(int(values["step"]) // wide, [0.0, 0.0, 0.0])
                    for place, value in enumerate((values["step"], values[name], 1.0)):
                        total[place] += value
    curves = {name: [_mean(bins[key]) for key in sorted(bins)] for name, bins in sums.items() if bins}
    return Progress(curves, last, step, unread)


def _values(line: bytes) -> dict[str, float] | None:
    try:
        data = json.loads(line)
        found = {name: float(data[name]) for name in ("step", *NAMES) if data.get(name) is not None}
    except (ValueError, TypeError, AttributeError, OverflowError, RecursionError):
        return None
    finite = all(map(math.isfinite, found.values())) and 0 <= found.get("step", -1) < 2**53
    return found if finite else None


def _merged(bins: dict[int, list[float]]) -> dict[int, list[float]]:
    """Bins twice as wide."""
    merged: dict[int, list[float]] = {}
    for key, sums in bins.items():
        merged[key // 2] = [a + b for a, b in zip(merged.get(key // 2, [0.0] * 3), sums, strict=True)]
    return merged


def _mean(sums: Sequence[float]) -> tuple[float, float]:
    return sums[0] / sums[2], sums[1] / sums[2]


def chart(title: str, curves: Sequence[tuple[str, Points]]) -> Element:
    """Curves over the steps, in one drawing; linear, with its extremes written at the axes."""
    shown = [(label, points) for label, points in curves if points]
    steps = [step for _, points in shown for step, _ in points]
    values = [value for _, points in shown for _, value in points]
    left, right, low, high = min(steps), max(steps), min(values), max(values)
    parts = [element("title", None, title)]
    parts += [
        element("text", {"x": 4, "y": 16}, f"{high:.4g}"),
        element("text", {"x": 4, "y": _HEIGHT - _MARGIN / 2}, f"{low:.4g}"),
        element("text", {"x": _MARGIN, "y": _HEIGHT - 4}, f"step {left:.0f}"),
        element("text", {"x": _WIDTH - 4, "y": _HEIGHT - 4, "text-anchor": "end"}, f"{right:.0f}"),
        element("rect", {"class": "frame", **_box()}),
    ]
    for number, (label, points) in enumerate(shown):
        places = " ".join(f"{_x(step, left, right):.1f},{_y(value, low, high):.1f}" for step, value in points)
        parts.append(element("polyline", {"class": f"curve c{number}", "points": places}))
        parts += [
            element("circle", {"class": f"dot c{number}", "cx": f"{x:.1f}", "cy": f"{y:.1f}", "r": 2})
            for x, y in ([(_x(s, left, right), _y(v, low, high)) for s, v in points] if len(points) < 40 else [])
        ]
        parts.append(element("text", {"class": f"label c{number}", "x": _WIDTH - 8, "y": 24 + 16 * number}, label))
    return element("svg", {"viewBox": f"0 0 {_WIDTH} {_HEIGHT}", "role": "img"}, *parts)


def _box() -> dict[str, float]:
    return {"x": _MARGIN, "y": 8, "width": _WIDTH - _MARGIN - 4, "height": _HEIGHT - _MARGIN / 2 - 8}


def _x(step: float, left: float, right: float) -> float:
    return _MARGIN + (_WIDTH - _MARGIN - 4) * ((step - left) / (right - left) if right > left else 0.5)


def _y(value: float, low: float, high: float) -> float:
    top, bottom = 8.0, _HEIGHT - _MARGIN / 2
    return bottom - (bottom - top) * ((value - low) / (high - low) if high > low else 0.5)
