"""Chest films drawn by hand: flat shapes within closed curves, laid over one another in shades, then developed.

A third hand beside the phantoms and the sketches; nothing of theirs is used but the names of the findings.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training_jobs.drawers.contours_anatomy import Anatomy, draw_anatomy
from training_jobs.drawers.contours_curves import SIDE, Layer, Points, Stroke, blurred, curve, disc, noise, wobbled
from training_jobs.drawers.contours_devices import devices
from training_jobs.drawers.contours_findings import airspace, collapsed, fluid, spots
from training_jobs.drawers.contours_print import developed
from xraygpt_core.phantoms.findings import LABELS, View, draw_labels

_STREAM = 104729
_SIGNS = {"right": -1, "left": 1}
_BRANCHINGS = 4


@dataclass(frozen=True, eq=False)
class ContourFilm:
    """A drawn film and its truth. ``grey`` is uint8, (256, 256), bone white."""

    grey: NDArray[np.uint8]
    labels: frozenset[str]
    view: View


def draw_contours(seed: int) -> ContourFilm:
    """The film of a seed; the same one for the same seed."""
    rng = np.random.default_rng([_STREAM, seed])
    view: View = "AP" if rng.random() < 0.5 else "PA"
    labels = draw_labels(rng)
    return ContourFilm(draw_findings(seed, view, labels), labels, view)


def draw_findings(seed: int, view: View, labels: frozenset[str]) -> NDArray[np.uint8]:
    """The same patient of a seed with chosen findings, uint8 (256, 256); each finding has a stream of its own."""
    streams = {label: np.random.default_rng([_STREAM, seed, 10 + index]) for index, label in enumerate(LABELS)}
    looks, prints = (np.random.default_rng([_STREAM, seed, part]) for part in (1, 2))
    body = draw_anatomy(looks, view, "cardiomegaly" in labels)
    return developed(prints, _Painting(looks, body, labels, streams).shades(), view)


class _Painting:
    """The layers of one film, from the back to the front."""

    def __init__(
        self,
        rng: np.random.Generator,
        body: Anatomy,
        labels: frozenset[str],
        streams: dict[str, np.random.Generator],
    ) -> None:
        self.rng, self.body, self.labels, self.streams = rng, body, labels, streams
        self.fill, self.stroke = body.pose.fill, body.pose.stroke
        self.skin = self.fill(body.skin(), soft=1.0)
        self.depth = blurred(self.skin, rng.uniform(10, 40))
        # the abdomen, and fluid of the same shade, which so hides the dome
        self.dense = np.float32(rng.uniform(0.8, 0.94)) * (0.75 + 0.25 * self.depth)
        self.lungs = {sign: self.fill(body.lung(sign), soft=rng.uniform(0.8, 2.0)) for sign in (-1, 1)}
        self.aired, self.rims = dict(self.lungs), []
        for side, sign in _SIGNS.items():
            if (label := f"pneumothorax_{side}") in labels:
                outline, rim = collapsed(streams[label], body, sign)
                self.aired[sign] = self.fill(outline, soft=0.8) * self.lungs[sign]
                self.rims.append((rim, 0.02, 255))

    def shades(self) -> Layer:
        """All layers, 0 to 1."""
        shades = self._flesh()
        shades = self._lungs(shades)
        shadows, fluids = self._shadows()
        shades = _veil(shades, shadows)
        heart = self.fill(self.body.silhouette(self.rng), soft=self.rng.uniform(1.0, 2.2))
        middle = self.fill(self.body.mediastinum(self.rng), soft=self.rng.uniform(1.5, 3.0))
        for layer, tone in ((middle, self.rng.uniform(0.7, 0.8)), (heart, self.rng.uniform(0.72, 0.84))):
            shades = _over(shades, layer * np.float32(0.93), tone * (0.82 + 0.18 * blurred(layer, 14)))
        shades = _over(shades, fluids, self.dense)
        if "nodule" in self.labels:
            free = (self.aired[-1] + self.aired[1]) * (1 - heart) * (1 - middle) * (1 - shadows) * (1 - fluids)
            shades = _veil(shades, spots(self.streams["nodule"], self.body, free))
        shades = self._belly(shades)
        shades = self._bones(self._airways(shades))
        shades = self._breasts(self._depth(shades))
        if "device" in self.labels:
            metal = devices(self.streams["device"], self.body)
            halo = np.clip(2 * blurred(metal, 2.0), 0, 1)  # as edge enhancement leaves it: seen before bone as well
            shades = _over(shades * (1 - np.float32(0.25) * halo), metal, 0.99)
        return shades

    def _flesh(self) -> Layer:
        rng = self.rng
        tone = rng.uniform(0.5, 0.75)
        lean = rng.uniform(1.0, 3.0)
        streaks = np.float32(0.025) * noise(rng, 14, 45, rng.uniform(30, 150))
        flesh = np.float32(tone) * (0.3 + 0.7 * self.depth**lean) + streaks
        ground = 0.02 if rng.random() < 0.85 else rng.uniform(0.5, 0.95)
        shades = _over(np.full((SIDE, SIDE), ground, dtype=np.float32), self.skin, flesh)
        return _over(shades, self.fill(self.body.abdomen(), soft=1.5) * self.skin, self.dense)

    def _lungs(self, shades: Layer) -> Layer:
        rng, body = self.rng, self.body
        tone = rng.uniform(0.07, 0.28)
        fine = rng.uniform(0.008, 0.03) * noise(rng, 60, 110, rng.uniform(-40, 40))
        air = (tone + 0.035 * noise(rng, 5, 5) + fine + 0.02 * noise(rng, 110, 110)).astype(np.float32)
        marks = self.stroke(_vessels(rng, body), soft=rng.uniform(0.6, 1.6)) * np.float32(rng.uniform(0.12, 0.38))
        shades = _over(shades, self.lungs[-1] + self.lungs[1], _veil(air, marks))
        for side, sign in _SIGNS.items():
            if f"pneumothorax_{side}" in self.labels:
                shades = _over(shades, self.lungs[sign] - self.aired[sign], tone * 0.5)
                shades = _veil(shades, self.aired[sign] * np.float32(0.06))
        if self.rims:
            shades = _veil(shades, self.stroke(self.rims) * (self.lungs[-1] + self.lungs[1]) * np.float32(0.5))
        return shades

    def _shadows(self) -> tuple[Layer, Layer]:
        shadows = np.zeros((SIDE, SIDE), dtype=np.float32)
        fluids = shadows
        for side, sign in _SIGNS.items():
            for zone in ("upper", "lower"):
                if (label := f"consolidation_{side}_{zone}") in self.labels:
                    raised = 0.06 if f"effusion_{side}" in self.labels else 0.0
                    layer = airspace(self.streams[label], self.body, sign, zone == "upper", self.aired[sign], raised)
                    shadows = np.maximum(shadows, layer)
            if (label := f"effusion_{side}") in self.labels:
                under_air = f"pneumothorax_{side}" in self.labels
                fluids = fluids + fluid(self.streams[label], self.body, sign, under_air, self._room(side))
        return shadows, fluids

    def _room(self, side: str) -> float:
        """The share of a side that fluid may fill so that the other findings stay in sight."""
        hidden = {f"consolidation_{side}_lower": 0.3, "cardiomegaly": 0.45, f"consolidation_{side}_upper": 0.5}
        hidden |= {f"pneumothorax_{side}": 0.5, "nodule": 0.6}
        return min((room for label, room in hidden.items() if label in self.labels), default=1.0)

    def _belly(self, shades: Layer) -> Layer:
        """The bubble of the stomach in an erect patient, mostly with a level; loops of bowel in any."""
        rng, body = self.rng, self.body
        y = body.domes[1]
        if rng.random() < (0.75 if body.view == "PA" else 0.15):
            x, wide, high = rng.uniform(0.4, 0.6), rng.uniform(0.14, 0.32), rng.uniform(0.08, 0.24)
            top, low = y + rng.uniform(0.04, 0.1), rng.uniform(0.5, 1.0)
            half = [(0.0, top), (0.6 * wide, top + 0.15 * high), (wide, top + 0.6 * high), (0.8 * wide, top + high)]
            outline = [*half, *((-across, top + low * (down - top)) for across, down in reversed(half[1:]))]
            bubble = wobbled(rng, curve((x + across, down) for across, down in outline), 0.03)
            shades = shades * (1 - np.float32(rng.uniform(0.25, 0.65)) * self.fill(bubble, soft=1.2))
        loops = [
            wobbled(rng, disc(rng.uniform(-0.3, 0.8), y + rng.uniform(0.5, 0.8), *rng.uniform(0.05, 0.15, 2)), 0.15)
            for _ in range(int(rng.integers(0, 4)))
        ]
        return shades * (1 - np.float32(rng.uniform(0.05, 0.2)) * self.fill(*loops, soft=2.5)) if loops else shades

    def _airways(self, shades: Layer) -> Layer:
        """Trachea and main bronchi, and the vertebrae behind them."""
        rng, body = self.rng, self.body
        fork = body.level(0.36)
        x = rng.normal(0, 0.025)
        tube = [(np.array([[0.5 * x, -1.7], [x, -1.0], [x + 0.01, fork]]), rng.uniform(0.09, 0.13), 255)]
        tube += [(np.array([[x, fork], [sign * 0.2, fork + 0.2]]), 0.07, 110) for sign in (-1, 1)]
        shades = shades * (1 - np.float32(rng.uniform(0.06, 0.24)) * self.stroke(tube, soft=1.4))
        height, half = rng.uniform(0.14, 0.19), rng.uniform(0.09, 0.12)
        bones: list[Stroke] = []
        for y in np.arange(-1.8, 1.8, height):
            block = [(-half, y), (-half * 0.9, y + height / 2), (-half, y + height * 0.9)]
            outline = curve([*block, *((-across, down) for across, down in reversed(block))])
            bones += [(outline, 0.022, 200), (np.array([[0.0, y + 0.03], [0.0, y + 0.1]]), 0.04, 190)]
        spine = self.stroke([(np.array([[0.0, -1.8], [0.0, 2.0]]), 2 * half, 90), *bones], soft=1.1)
        return _veil(shades, spine * np.float32(rng.uniform(0.05, 0.4)))

    def _bones(self, shades: Layer) -> Layer:
        rng, body = self.rng, self.body
        ribs = self.stroke(body.front_ribs(rng.uniform(0.1, 0.7)) + body.back_ribs(), soft=rng.uniform(0.5, 1.4))
        shades = _veil(shades, ribs * np.float32(rng.uniform(0.08, 0.55)))
        outlines, rims = body.shoulders()
        shades = _veil(shades, self.fill(*outlines, soft=1.0) * self.skin * np.float32(rng.uniform(0.15, 0.32)))
        return _veil(shades, self.stroke(rims, soft=0.7) * self.skin * np.float32(rng.uniform(0.25, 0.55)))

    def _depth(self, shades: Layer) -> Layer:
        """A body thicker below or to one side, uneven within itself."""
        rng = self.rng
        slope = np.linspace(0, 1, SIDE, dtype=np.float32)
        veil = np.float32(rng.uniform(0, 0.2)) * slope[:, None] + np.float32(rng.uniform(0, 0.08)) * slope[None]
        return _veil(shades, veil + np.float32(rng.uniform(0, 0.03)) * noise(rng, 4, 4))

    def _breasts(self, shades: Layer) -> Layer:
        rng, body = self.rng, self.body
        size = rng.uniform(0.3, 0.5)
        if rng.random() < 0.55:
            return shades
        y, low = body.level(rng.uniform(0.65, 0.85)), rng.uniform(0.2, 0.45)
        half = [(0.12, y), (0.5, y - size), (1.1, y - size), (1.25, y), (0.95, y + low), (0.4, y + low * 0.9)]
        veil = sum(self.fill(curve((sign * x, at) for x, at in half), soft=2.0) for sign in (-1, 1))
        steps = np.linspace(0.2, 1.0, SIDE, dtype=np.float32)[:, None]
        return _veil(shades, veil * steps * np.float32(rng.uniform(0.12, 0.36)))


def _vessels(rng: np.random.Generator, body: Anatomy) -> list[Stroke]:
    """Branches that leave each hilum, part in two and thin out towards the wall."""
    strokes: list[Stroke] = []
    thick, reach = rng.uniform(0.028, 0.055), rng.uniform(0.17, 0.26)
    for sign in (-1, 1):
        root = np.array([sign * 0.17, body.level(0.48 if sign < 0 else 0.44)])
        count = int(rng.integers(6, 10))
        angles = np.linspace(-1.3, 1.4, count) + rng.normal(0, 0.14, count)
        starts = root + rng.normal(0, 0.04, (count, 2))
        for order in range(_BRANCHINGS):
            steps = reach * rng.uniform(0.7, 1.25, len(angles)) * 0.92**order
            bows = angles + rng.normal(0, 0.25, len(angles))
            middles = starts + 0.5 * _towards(sign, bows, steps)
            ends = middles + 0.5 * _towards(sign, angles, steps)
            width, strength = thick * 0.66**order, 230 - 35 * order
            strokes += [(line, width, strength) for line in np.stack([starts, middles, ends], axis=1)]
            turns = rng.uniform(0.1, 0.55, len(angles))
            starts, angles = np.concatenate([ends, ends]), np.concatenate([angles + turns, angles - turns])
            kept = rng.random(len(angles)) < (1.0 if order < 2 else 0.6)
            starts, angles = starts[kept], angles[kept]
        strokes.append((disc(root[0], root[1], 0.03, 0.1), 0.09, 210))
    return strokes


def _towards(sign: int, angles: NDArray[np.float64], steps: NDArray[np.float64]) -> Points:
    return np.stack([sign * steps * np.cos(angles), steps * np.sin(angles)], axis=1)


def _over(shades: Layer, layer: Layer, tone: Layer | float) -> Layer:
    """Lay a tone over the shades where the layer is."""
    return shades + layer * (np.float32(tone) - shades)


def _veil(shades: Layer, layer: Layer) -> Layer:
    """Brighten as a denser body in the way does: the share of black that is left shrinks."""
    return shades + layer * (1 - shades)
