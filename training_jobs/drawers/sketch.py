"""Sketches: a second, much cruder way to draw a chest, so that the projector learns findings and not one artist's hand.

Independent of the phantoms: ellipses and polygons, every grey level, contrast and proportion drawn at random. Training
mixes some of them in; nothing is ever scored on them.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from xraygpt_core.phantoms.findings import View, draw_labels

_STREAM = 104_729
_SIDE = 288
Grey = NDArray[np.float32]


@dataclass(frozen=True)
class Sketch:
    """A crude picture and its truth. ``grey`` is uint8, (288, 288)."""

    grey: NDArray[np.uint8]
    labels: frozenset[str]
    view: View


@dataclass(frozen=True)
class _Lung:
    """An upright ellipse cut off by the diaphragm; shares of the picture's side. ``out`` is -1 for the image's left."""

    x: float
    y: float
    wide: float
    high: float
    base: float
    out: int
    power: float

    @property
    def height(self) -> float:
        return self.base - (self.y - self.high)

    def mask(self, grow: float = 1.0) -> Grey:
        v, u = _grid()
        inside = (
            np.abs((u - self.x) / (self.wide * grow)) ** self.power + np.abs((v - self.y) / (self.high * grow)) ** 2
        )
        floor = self.base + 0.35 * (u - self.x) * self.out * np.abs(u - self.x) / self.wide
        drawn: Grey = ((inside < 1) & (v < floor)).astype(np.float32)
        return drawn


def draw_sketch(seed: int) -> Sketch:
    """One crude chest; the same for the same seed."""
    rng = np.random.default_rng([_STREAM, seed])
    labels = draw_labels(rng)
    view: View = "AP" if rng.random() < 0.5 else "PA"
    right, left = _lungs(rng, view)  # the patient's right is on the left of the picture
    levels = {"soft": rng.uniform(0.45, 0.8), "air": rng.uniform(0.15, 0.4), "dense": rng.uniform(0.1, 0.3)}
    value = _trunk(rng, levels["soft"])
    heart = _heart(rng, "cardiomegaly" in labels, view, right, left)
    cavity = np.maximum(right.mask(), left.mask())
    value -= levels["air"] * cavity * (1 - heart * rng.uniform(0.7, 1))
    value += levels["dense"] * rng.uniform(0, 0.6) * heart
    value += _bones(rng, view, right, left) * rng.uniform(0.03, 0.12)
    value = _blur(value, rng.uniform(0.5, 2))
    for side, lung in (("right", right), ("left", left)):
        value = _findings(value, rng, labels, side, lung, levels["air"], 1 - 0.8 * heart)
    if "nodule" in labels:
        value = _nodule(value, rng, (right, left)[int(rng.integers(2))], levels["air"])
    value = _blur(value, rng.uniform(0, 0.8))
    picture = Image.fromarray(np.uint8(np.clip(value, 0, 1) * 255))
    if "device" in labels:
        _device(picture, rng)
    return Sketch(np.asarray(_mark(picture, rng, view)), labels, view)


def _grid() -> tuple[Grey, Grey]:
    axis = np.linspace(0, 1, _SIDE, dtype=np.float32)
    return axis[:, None], axis[None, :]


def _blur(value: Grey, sigma: float) -> Grey:
    """Gaussian, separable, edges repeated; sigma in pixels."""
    reach = int(3 * sigma) + 1
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / max(sigma, 0.1)) ** 2)
    for axis in (0, 1):
        padded = np.pad(value, [(reach, reach) if axis == which else (0, 0) for which in (0, 1)], mode="edge")
        value = np.zeros(value.shape, np.float32)
        for i, weight in enumerate(weights / weights.sum()):
            part = padded[i : i + _SIDE] if axis == 0 else padded[:, i : i + _SIDE]
            value += (weight * part).astype(np.float32)  # each product in double precision, their sum in single
    return value


def _lungs(rng: np.random.Generator, view: View) -> tuple[_Lung, _Lung]:
    middle, top = rng.uniform(0.46, 0.54), rng.uniform(0.1, 0.2)
    gap, wide = rng.uniform(0.2, 0.25), rng.uniform(0.12, 0.17)
    base = top + rng.uniform(0.48, 0.56) if view == "AP" else top + rng.uniform(0.58, 0.68)
    high, power = (base - top) * rng.uniform(0.62, 0.9), rng.uniform(2, 3)
    tilt = rng.uniform(0, 0.04)
    return (
        _Lung(middle - gap, top + high, wide, high, base, -1, power),
        _Lung(middle + gap, top + high, wide, high, base + tilt, 1, power),
    )


def _trunk(rng: np.random.Generator, soft: float) -> Grey:
    v, u = _grid()
    half = rng.uniform(0.4, 0.55)
    body = (np.abs(u - 0.5) < half) & (v > rng.uniform(0.02, 0.1) + 0.5 * np.abs(u - 0.5) ** rng.uniform(1, 2))
    neck = (np.abs(u - 0.5) < rng.uniform(0.08, 0.14)) & (v < 0.3)
    spine = np.exp(-(((u - 0.5) / rng.uniform(0.03, 0.05)) ** 2)) * rng.uniform(0.03, 0.15)
    background = rng.uniform(0, 0.12)
    return np.where(body | neck, soft + spine, background).astype(np.float32)


def _heart(rng: np.random.Generator, large: bool, view: View, right: _Lung, left: _Lung) -> Grey:
    """An ellipse left of the middle; its width over the chest's: 0.38–0.48, 0.57–0.68 if large, a little more in AP."""
    chest = left.x + left.wide - right.x + right.wide
    ratio = (rng.uniform(0.57, 0.68) if large else rng.uniform(0.38, 0.48)) + (0.03 if view == "AP" else 0)
    v, u = _grid()
    middle = (left.x + right.x) / 2 + chest * ratio * rng.uniform(0.1, 0.16)
    high = (right.base - right.y + right.high) * rng.uniform(0.24, 0.32) * (1.15 if large else 1)
    x, y = u - middle, v - (right.base - high * rng.uniform(0.55, 0.8))
    turn = rng.uniform(0, 0.5)
    along, across = x + turn * y, y - turn * x * 0.5
    heart = (along / (chest * ratio / 2)) ** 2 + (across / high) ** 2 < 1
    stem = (np.abs(u - (left.x + right.x) / 2) < rng.uniform(0.05, 0.075)) & (v < right.base)
    return _blur((heart | stem).astype(np.float32), rng.uniform(0.5, 3 if view == "AP" else 1.5))


def _bones(rng: np.random.Generator, view: View, right: _Lung, left: _Lung) -> Grey:
    picture = Image.new("L", (_SIDE, _SIDE))
    pen, n = ImageDraw.Draw(picture), _SIDE
    line = int(rng.integers(2, 6))
    for lung in (right, left):
        if rng.random() < 0.8:
            for step in range(int(rng.integers(6, 10))):
                y = lung.y - lung.high + step * rng.uniform(0.06, 0.075)
                box = [(lung.x - lung.wide * 1.3) * n, (y - 0.05) * n, (lung.x + lung.wide * 1.3) * n, (y + 0.07) * n]
                pen.arc(box, 180, 360, fill=255, width=line)
        inner, outer = lung.x - lung.out * 0.15, lung.x + lung.out * 0.15
        top = lung.y - lung.high
        rise = 0.0 if view == "AP" else rng.uniform(0.04, 0.09)
        clavicle = [inner * n, (top + 0.06 + rise) * n, outer * n, (top + 0.06 - rise * 0.3) * n]
        pen.line(clavicle, fill=230, width=line + 2)
        x = lung.x + lung.out * lung.wide * (rng.uniform(0.4, 0.75) if view == "AP" else 1.25)
        blade = [(x, top + 0.1), (x + lung.out * 0.1, top + 0.08), (x + lung.out * 0.05, top + 0.36)]
        shade = int(rng.integers(0, 120))
        pen.polygon([(a * n, b * n) for a, b in blade], fill=shade, outline=200, width=line)
    return np.asarray(picture, dtype=np.float32) / np.float32(255)


def _findings(
    value: Grey,
    rng: np.random.Generator,
    labels: frozenset[str],
    side: str,
    lung: _Lung,
    air: float,
    free_of_heart: Grey,
) -> Grey:
    """Fluid at the base, air at the rim, opacities in the zones of one lung."""
    mask = lung.mask() * free_of_heart
    for zone, low, high in (("upper", 0.16, 0.38), ("lower", 0.62, 0.84)):
        if f"consolidation_{side}_{zone}" in labels:
            value = value + _opacity(rng, lung, low, high) * mask * air * np.float32(rng.uniform(0.6, 1))
    if f"pneumothorax_{side}" in labels:
        free = mask * _rim(rng, lung)
        edge = _blur(free, 1.2)
        value = value - free * np.float32(rng.uniform(0.06, 0.15)) + 4 * edge * (1 - edge) * mask * np.float32(0.05)
    if f"effusion_{side}" in labels:
        v, u = _grid()
        level = lung.base - lung.height * rng.uniform(0.14, 0.42)
        curve = rng.uniform(0, 0.5) * ((u - lung.x) * lung.out)
        fluid = _blur(mask * (v > level - curve), rng.uniform(0.5, 3))
        value = value + fluid * air * np.float32(rng.uniform(0.85, 1.1))
    return value.astype(np.float32)


def _opacity(rng: np.random.Generator, lung: _Lung, low: float, high: float) -> NDArray[Any]:
    """A soft blob between two heights of a lung."""
    v, u = _grid()
    x = lung.x + lung.wide * rng.uniform(-0.3, 0.45) * lung.out
    y = lung.y - lung.high + lung.height * rng.uniform(low, high)
    size = rng.uniform(0.055, 0.1)
    distance = ((u - x) / size) ** 2 + ((v - y) / (size * rng.uniform(0.8, 1.4))) ** 2
    blob: NDArray[Any] = np.exp(-(distance ** rng.uniform(1, 3)))
    return blob


def _rim(rng: np.random.Generator, lung: _Lung) -> Grey:
    """Where air lies around a collapsed lung: outside of a smaller lung, at the side and not at the base."""
    v, u = _grid()
    depth, x, y = rng.uniform(0.72, 0.88), lung.x - lung.out * 0.06 * lung.wide, lung.y + 0.05 * lung.height
    collapsed = _Lung(x, y, lung.wide, lung.high, lung.base, lung.out, 2)
    beside = ((u - lung.x) * lung.out > -0.3 * lung.wide) * (v < lung.base - 0.15 * lung.height)
    free: Grey = (1 - collapsed.mask(depth)) * beside
    return free


def _nodule(value: Grey, rng: np.random.Generator, lung: _Lung, air: float) -> Grey:
    v, u = _grid()
    x = lung.x + rng.uniform(-0.5, 0.6) * lung.wide * lung.out
    y = lung.y + rng.uniform(-0.6, 0.2) * lung.high
    disc = np.hypot(u - x, v - y) < rng.uniform(0.018, 0.04)
    soft = _blur(disc.astype(np.float32), rng.uniform(0.4, 1.2))
    return (value + soft * air * rng.uniform(0.6, 1.2)).astype(np.float32)


def _device(picture: Image.Image, rng: np.random.Generator) -> None:
    """A bright box with a lead, a tube from above, or a catheter from the side."""
    pen, n = ImageDraw.Draw(picture), _SIDE
    white, width = int(rng.integers(215, 256)), int(rng.integers(1, 5))
    kind, x = rng.random(), rng.uniform(0.25, 0.75) * n
    if kind < 0.4:
        y, size = rng.uniform(0.15, 0.32) * n, rng.uniform(0.04, 0.075) * n
        pen.rounded_rectangle([x - size, y - size, x + size, y + size], size / 2, fill=white)
        lead = [(x, y), (0.5 * n, rng.uniform(0.3, 0.45) * n), (rng.uniform(0.48, 0.6) * n, 0.65 * n)]
        pen.line(lead, fill=white, width=width)
    elif kind < 0.7:
        pen.line([(0.5 * n, 0), (rng.uniform(0.47, 0.53) * n, rng.uniform(0.3, 0.95) * n)], fill=white, width=width + 1)
    else:
        side = rng.choice([0.05, 0.95]) * n
        catheter = [(side, rng.uniform(0.1, 0.7) * n), (x, rng.uniform(0.2, 0.5) * n), (0.5 * n, 0.45 * n)]
        pen.line(catheter, fill=white, width=width)


def _mark(picture: Image.Image, rng: np.random.Generator, view: View) -> Image.Image:
    if rng.random() < 0.3:
        words = ("AP", "PORTABLE", "SUPINE") if view == "AP" else ("PA", "ERECT")
        place = (int(rng.uniform(0.03, 0.8) * _SIDE), int(rng.uniform(0.02, 0.08) * _SIDE))
        ImageDraw.Draw(picture).text(place, str(rng.choice(words)), fill=int(rng.integers(150, 256)))
    return picture
