"""A person's thorax as numbers, in millimetres at the detector.

The origin is the midline at the height of the carina; x grows to the right of the image (the patient's left),
y grows downwards. Borders are functions of one coordinate, so that a whole film costs a few array operations.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from xraygpt_core.phantoms.findings import Population, Side, View

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Span:
    """A parameter's range: training phantoms lie in [low, high], held-out ones in [below, low) or (high, above]."""

    low: float
    high: float
    below: float
    above: float

    def draw(self, rng: np.random.Generator, population: Population) -> float:
        """One value, uniform in the population's own range."""
        if population == "train":
            return float(rng.uniform(self.low, self.high))
        under, over = self.low - self.below, self.above - self.high
        at = rng.uniform(0.0, under + over)
        return float(self.below + at if at < under else self.high + (at - under))


HALF_WIDTH = Span(116.0, 147.0, 107.0, 156.0)  # inner chest wall at its widest
LUNG_HEIGHT = Span(182.0, 232.0, 168.0, 246.0)  # apex to the right dome, erect and in full inspiration
FAT = Span(14.0, 40.0, 8.0, 50.0)  # soft tissue outside the ribs
RIB_SPACING = Span(19.5, 26.0, 17.5, 29.0)
DOME_TILT = Span(2.0, 16.0, -3.0, 22.0)  # how much lower the left dome is


@dataclass(frozen=True)
class Lung:
    """One lung's outline. Distances from the midline are positive on both sides."""

    sign: float  # +1 on the right of the image (the patient's left)
    apex_y: float
    apex_x: float
    width: float  # midline to the lateral wall
    dome_y: float
    dome_x: float
    angle_drop: float  # the costophrenic angle below the dome
    roundness: float
    flare: float  # widening (or narrowing) of the wall towards the base

    @property
    def angle_y(self) -> float:
        """Height of the costophrenic angle."""
        return self.dome_y + self.angle_drop

    def level(self, t: float) -> float:
        """Height at fraction ``t`` of the way from the apex (0) to the dome (1)."""
        return self.apex_y + t * (self.dome_y - self.apex_y)

    def wall(self, y: npt.ArrayLike, inset: float = 0.0) -> Floats:
        """Lateral border at height y, very negative above the apex.

        ``inset`` mm of collapse move it inwards and its apex down.
        """
        rows = np.asarray(y, dtype=np.float32)
        apex = self.apex_y + 1.1 * inset
        width = self.width - inset
        start = min(self.apex_x, 0.8 * width)
        t = (rows - apex) / (self.angle_y - apex)
        u = np.clip(t / 0.6, 0.0, 1.0)
        border = start + (width - start) * (1.0 - (1.0 - u) ** 2.2) ** self.roundness
        border = border + self.flare * np.clip(t - 0.5, 0.0, 1.0)
        return np.asarray(np.where(t > 0, border, -1e3), dtype=np.float32)

    def dome(self, x: npt.ArrayLike, inset: float = 0.0) -> Floats:
        """Height of the lung's round top at distance x from the midline; 0 mm of rounding at its middle."""
        columns = np.asarray(x, dtype=np.float32)
        rounding = 11.0 * ((columns - 0.8 * self.apex_x) / self.apex_x) ** 2
        return np.asarray(self.apex_y + 1.1 * inset + rounding, dtype=np.float32)

    def floor(self, x: npt.ArrayLike) -> Floats:
        """Height of the diaphragm at distance x from the midline."""
        columns = np.asarray(x, dtype=np.float32)
        reach = np.maximum(self.width + 0.4 * self.flare - self.dome_x, 20.0)
        lateral = np.clip((columns - self.dome_x) / reach, 0.0, 1.2)
        medial = np.clip((self.dome_x - columns) / 60.0, 0.0, 1.5)
        return np.asarray(self.dome_y + self.angle_drop * lateral**2.4 + 12.0 * medial**2, dtype=np.float32)


@dataclass(frozen=True)
class Heart:
    """Mediastinum and heart: how far each border stands from the midline."""

    stem_right: float
    stem_left: float
    right: float  # the right atrium's reach
    left: float  # the left ventricle's reach
    waist_y: float  # where the heart begins below the hila
    bottom_y: float
    belly: float  # 0: widest in the middle, 1: widest at the diaphragm
    fullness: float
    knob: float
    knob_y: float
    pulmonary: float

    def border(self, y: npt.ArrayLike, side: Side) -> Floats:
        """Distance of the mediastinal border from the midline at height y (the lung begins there)."""
        rows = np.asarray(y, dtype=np.float32)
        stem, reach = (self.stem_left, self.left) if side == "left" else (self.stem_right, self.right)
        centre = self.waist_y + (0.5 + 0.35 * self.belly) * (self.bottom_y - self.waist_y)
        above = (centre - rows) / (centre - self.waist_y)
        below = (rows - centre) / (0.8 * (self.bottom_y - self.waist_y))
        off = np.clip(np.maximum(above, below), 0.0, 1.0)
        border = stem + np.maximum(reach - stem, 0.0) * (1.0 - off**2) ** self.fullness
        if side == "left":
            border = np.maximum(border, stem + self.knob * np.exp(-(((rows - self.knob_y) / 13.0) ** 2)))
            border = np.maximum(border, stem + self.pulmonary * np.exp(-(((rows - self.waist_y - 4.0) / 18.0) ** 2)))
        else:
            border = border + 5.0 * np.exp(-(((rows - self.waist_y + 30.0) / 30.0) ** 2))
        return np.asarray(border, dtype=np.float32)


@dataclass(frozen=True)
class Anatomy:
    """Everything about the person that does not depend on the findings' own geometry."""

    view: View
    half_width: float
    fat: float
    rib_spacing: float
    rib_drop: float
    lungs: dict[Side, Lung]
    heart: Heart
    spine_bend: float


def draw_anatomy(rng: np.random.Generator, population: Population, view: View, labels: frozenset[str]) -> Anatomy:
    """One person. AP films are taken lying or sitting: less inspiration, so higher domes, and a magnified heart."""
    half_width = HALF_WIDTH.draw(rng, population)
    height = LUNG_HEIGHT.draw(rng, population) * (rng.uniform(0.74, 0.83) if view == "AP" else rng.uniform(0.95, 1.04))
    apex_y = -0.47 * height + rng.uniform(-8, 8)
    dome = {"right": apex_y + height, "left": apex_y + height + DOME_TILT.draw(rng, population)}
    shape = {
        "apex_x": float(rng.uniform(0.36, 0.52)) * half_width,
        "roundness": float(rng.uniform(0.45, 0.85)),
        "flare": float(rng.uniform(-14, 14)),
        "angle_drop": float(rng.uniform(24, 48)),
        "dome_x": float(rng.uniform(0.3, 0.6)) * half_width,
    }

    def lung(side: Side, sign: float) -> Lung:
        return Lung(
            sign=sign,
            apex_y=apex_y + float(rng.uniform(-4, 4)),
            width=half_width * float(rng.uniform(0.96, 1.04)),
            dome_y=dome[side],
            **shape,
        )

    return Anatomy(
        view=view,
        half_width=half_width,
        fat=FAT.draw(rng, population),
        rib_spacing=RIB_SPACING.draw(rng, population),
        rib_drop=float(rng.uniform(14, 46)),
        lungs={"left": lung("left", 1.0), "right": lung("right", -1.0)},
        heart=_draw_heart(rng, view, half_width, apex_y, dome["right"], labels),
        spine_bend=float(rng.normal(0, 4)),
    )


def _draw_heart(
    rng: np.random.Generator, view: View, half_width: float, apex_y: float, dome_y: float, labels: frozenset[str]
) -> Heart:
    """Cardiothoracic ratio: normal below 0.49 (0.53 AP, by magnification), enlarged above 0.57 (0.61 AP).

    A large heart spares the left base where a consolidation has to be seen there.
    """
    enlarged = "cardiomegaly" in labels
    spare = enlarged and "consolidation_left_lower" in labels
    ratio = float(rng.uniform(0.57, 0.67)) if enlarged else float(rng.uniform(0.37, 0.485))
    ratio = (min(ratio, 0.61) if spare else ratio) + (0.04 if view == "AP" else 0.0)
    width = ratio * 2 * half_width
    left = (1 - float(rng.uniform(0.30, 0.42))) * width
    left = min(left, 0.72 * half_width) if spare else left
    height = dome_y - apex_y
    wide = 1.35 if view == "AP" else 1.0  # the upper mediastinum, too, is far from the detector and unstretched
    waist = apex_y + height * float(rng.uniform(0.46, 0.56) - (0.05 if enlarged else 0.0))
    return Heart(
        stem_right=float(rng.uniform(16, 26)) * wide,
        stem_left=float(rng.uniform(18, 28)) * wide,
        right=width - left,
        left=left,
        waist_y=waist,
        bottom_y=dome_y + float(rng.uniform(4, 22)),
        belly=float(rng.uniform(0.1, 1.0)),
        fullness=float(rng.uniform(0.4, 0.8)),
        knob=float(rng.uniform(2, 14)),
        knob_y=apex_y + height * float(rng.uniform(0.26, 0.34)),
        pulmonary=float(rng.uniform(0, 10)),
    )
