"""The landmarks of one chest: lungs, heart, mediastinum, bones and skin, as an AP or a PA film shows them."""

from dataclasses import dataclass

import numpy as np

from training_jobs.drawers.contours_curves import SIDE, Points, Pose, Stroke, curve, wobbled
from xraygpt_core.phantoms.findings import View

_INNER = 0.975  # the lung's widest half
_FARTHEST = 0.86  # x of the left border of a heart at most
_KEPT = 0.85  # how often a cue of the view is there


@dataclass(frozen=True)
class Anatomy:
    """One chest. ``sign`` arguments are -1 for the patient's right, 1 for the left; lengths are units of the chest."""

    view: View
    domes: tuple[float, float]  # y of the right and the left dome
    sulcus: float  # from the dome down to the costophrenic angle
    heart: tuple[float, float]  # x of its right and left border
    waist: float  # half the width of the upper mediastinum
    knob: float
    ribs: int
    rib_width: float
    rib_fall: float
    clavicle: tuple[float, float]  # y of its medial and its lateral end
    scapula: float  # x of its medial border
    girth: float
    arms: float
    arms_lifted: bool
    pose: Pose

    def dome(self, sign: int) -> float:
        return self.domes[(sign + 1) // 2]

    def level(self, share: float, sign: int = 1) -> float:
        """y at a share of the way from the apex to the dome."""
        return -1 + share * (self.dome(sign) + 1)

    def lung(self, sign: int) -> Points:
        """The whole lung up to near the midline, the part behind the heart included."""
        dome, sulcus = self.dome(sign), self.sulcus
        floor = [(0.8, dome + 0.35 * sulcus), (0.58, dome), (0.38, dome + 0.04 * sulcus), (0.12, dome + 0.5 * sulcus)]
        return self._sac(sign, floor)

    def cavity(self, sign: int) -> Points:
        """The pleural space as fluid may fill it: down to the costophrenic angle all across."""
        return self._sac(sign, [(0.07, self.dome(sign) + self.sulcus)] * 2)

    def _sac(self, sign: int, floor: list[tuple[float, float]]) -> Points:
        deep = self.dome(sign) + self.sulcus + 1
        wall = [(0.22, 0.02), (0.4, 0.0), (0.58, 0.06), (0.76, 0.22), (0.88, 0.44), (0.95, 0.68), (_INNER, 0.9)]
        corner = (0.96, deep - 1)
        inside = [(0.07, self.level(0.6, sign)), (0.08, self.level(0.3, sign)), (0.12, -0.9)]
        marks = [(x, -1 + share * deep) for x, share in wall] + [corner, corner] + floor + inside
        return curve((sign * x, y) for x, y in marks)

    def silhouette(self, rng: np.random.Generator) -> Points:
        """The heart."""
        right, left = self.heart
        bottom = self.domes[1] + 0.45 * self.sulcus
        top = max(bottom - (0.42 + 0.55 * (left - right)), self.level(0.33))
        marks = [(-0.12, 0), (0.12, -0.02), (0.2, 0.14), (0.22 + 0.25 * (left - 0.45), 0.34), (left * 0.84, 0.6)]
        marks += [(left, 0.82), (left * 0.92, 0.98), (0.1, 1.08), (right * 0.8, 1.03), (right, 0.7)]
        marks += [(right * 0.86, 0.38), (-0.15, 0.14)]
        return wobbled(rng, curve((x, top + share * (bottom - top)) for x, share in marks), 0.012)

    def mediastinum(self, rng: np.random.Generator) -> Points:
        """From the neck to behind the heart, with the aortic knob on the left."""
        wide, low = self.waist, self.level(0.75)
        marks = [(-wide * 0.8, -1.7), (-wide * 0.85, -1.1), (-wide, self.level(0.2)), (-wide, self.level(0.5))]
        marks += [(-0.12, low), (0.14, low), (wide * 0.8, self.level(0.5)), (wide * 0.85, self.level(0.38))]
        marks += [(wide + self.knob, self.level(0.28)), (wide * 0.9, self.level(0.17)), (wide * 0.85, -1.1)]
        marks.append((wide * 0.8, -1.7))
        return curve((x + shift, y) for (x, y), shift in zip(marks, rng.normal(0, 0.018, len(marks)), strict=True))

    def abdomen(self) -> Points:
        """All below the diaphragm."""
        right, left = self.domes
        marks = [(-3.0, 4.0), (-3.0, right + 0.5), (-1.1, right + self.sulcus), (-0.8, right + 0.35 * self.sulcus)]
        marks += [(-0.5, right), (-0.15, right + 0.1), (0.15, left + 0.1), (0.5, left)]
        marks += [(0.8, left + 0.35 * self.sulcus), (1.1, left + self.sulcus), (3.0, left + 0.5), (3.0, 4.0)]
        return curve(marks)

    def skin(self) -> Points:
        """Neck, shoulders and flanks; the arms hang beside the body, or reach out of the film when they are lifted."""
        wide, arms = self.girth, self.arms
        half = [(0.34, -2.4), (0.34, -1.6), (0.5, -1.36), (1.0, -1.2), (1.45, -1.0)]
        if self.arms_lifted:
            half += [(2.2, -0.9 + arms), (3.0, -0.6 + arms), (3.0, 0.2 + arms), (2.2, arms), (wide + 0.1, -0.15)]
        else:
            half += [(1.5 + arms, -0.9), (2.0 + arms, -0.3), (2.2 + 2 * arms, 1.0)]
            half += [(wide + 0.3 + arms, 1.0), (wide + 0.06, -0.1)]
        half += [(wide, 0.3), (wide, 1.1), (wide + 0.1, 3.0)]
        return curve([*half, *((-x, y) for x, y in reversed(half))])

    def wall(self, y: float) -> float:
        """Half the width of the rib cage at a height."""
        down = np.clip((y + 1.08) / 1.5, 0.0, 1.0)
        return float(0.25 + 0.76 * np.sin(0.5 * np.pi * down**0.62))

    def back_ribs(self) -> list[Stroke]:
        """Posterior ribs of both sides: the bone, then its brighter lower and upper rim."""
        strokes: list[Stroke] = []
        step = (self.domes[0] + self.sulcus + 1.05) / (self.ribs - 0.5)
        u = np.linspace(0, 1, 14)
        for sign in (-1, 1):
            for rib in range(self.ribs):
                start = -1.06 + rib * step
                fall = self.rib_fall * (0.55 + 0.06 * rib)
                end = self.wall(start + fall)
                arch = start - 0.07 * np.sin(np.pi * u) + fall * u**1.8
                line = np.stack([sign * (0.1 + (end - 0.09) * np.sin(0.5 * np.pi * u) ** 0.85), arch], axis=1)
                strokes += _bone(line, self.rib_width * (0.8 + 0.03 * rib), 105, 190)
        return strokes

    def front_ribs(self, share: float) -> list[Stroke]:
        """Anterior ribs, down and inwards from the wall to before the sternum, at a share of the others' strength."""
        strokes: list[Stroke] = []
        step = (self.domes[0] + self.sulcus + 1.05) / (self.ribs - 0.5)
        u = np.linspace(0, 1, 10)
        for sign in (-1, 1):
            for rib in range(1, self.ribs - 3):
                start = -1.0 + rib * step + self.rib_fall
                out, reach = self.wall(start), 0.32 + 0.035 * rib
                x = out - (out - reach) * u**1.2
                line = np.stack([sign * x, start + 0.34 * u + 0.06 * np.sin(np.pi * u)], axis=1)
                strokes += _bone(line, self.rib_width * 1.15, round(90 * share), round(130 * share))
        return strokes

    def shoulders(self) -> tuple[list[Points], list[Stroke]]:
        """Blades and humeral heads as outlines; clavicles and the blades' inner rims as strokes."""
        outlines: list[Points] = []
        strokes: list[Stroke] = []
        medial, lateral = self.clavicle
        for sign in (-1, 1):
            edge = self.scapula
            blade = [(edge + 0.06, -0.98), (edge, -0.7), (edge + 0.02, -0.3), (edge + 0.1, 0.02), (edge + 0.2, -0.2)]
            blade += [(edge + 0.36, -0.6), (edge + 0.52, -0.82), (edge + 0.4, -0.95)]
            outlines.append(curve((sign * x, y) for x, y in blade))
            outlines.append(curve((sign * (1.42 + self.arms / 2 + x), y) for x, y in _HEAD))
            strokes.append((curve(((sign * x, y) for x, y in blade[:4]), closed=False), 0.025, 150))
            collar = [
                (0.1, medial),
                (0.4, medial * 0.75 + lateral * 0.25 - 0.04),
                (0.8, lateral),
                (1.2, lateral - 0.05),
            ]
            strokes += _bone(curve(((sign * x, y) for x, y in collar), closed=False), 0.11, 130, 220)
        return outlines, strokes


_HEAD = [(-0.16, -0.85), (0.0, -1.0), (0.16, -0.9), (0.2, -0.6), (0.22, 0.0), (0.08, 0.0), (0.04, -0.55)]


def _bone(line: Points, width: float, inside: int, rim: int) -> list[Stroke]:
    """A band with two brighter rims."""
    away = np.array([0.0, width / 2])
    return [(line, width, inside), (line - away, 0.016, rim), (line + away, 0.02, rim)]


def draw_anatomy(rng: np.random.Generator, view: View, enlarged: bool) -> Anatomy:
    """A chest of its own; with an ``enlarged`` heart or not it is otherwise the same one."""
    portable = view == "AP"

    def cue(as_ap: tuple[float, float], as_pa: tuple[float, float]) -> float:
        kept = rng.random() < _KEPT
        usual, other = (as_ap, as_pa) if portable else (as_pa, as_ap)
        share = rng.uniform(0.0, 1.0) if kept else 0.5
        low, high = usual
        value = low + share * (high - low)
        return float(value if kept else (value + (other[0] + other[1]) / 2) / 2)

    ratio = rng.uniform(0, 1)
    low, high = ((0.62, 0.74) if enlarged else (0.43, 0.53)) if portable else (0.58, 0.72) if enlarged else (0.37, 0.48)
    wide = 2 * _INNER * (low + ratio * (high - low))
    left = min(wide * rng.uniform(0.64, 0.75), _FARTHEST)
    dome = cue((0.08, 0.42), (0.52, 0.88))
    sulcus = rng.uniform(0.16, 0.36)
    medial = cue((-1.06, -0.9), (-0.78, -0.62))
    return Anatomy(
        view=view,
        domes=(dome, dome + rng.uniform(-0.02, 0.13)),
        sulcus=sulcus,
        heart=(left - wide, left),
        waist=cue((0.21, 0.3), (0.14, 0.19)),
        knob=rng.choice([0.02, 0.06, 0.12], p=[0.4, 0.4, 0.2]),
        ribs=int(rng.integers(9, 12)),
        rib_width=rng.uniform(0.06, 0.11),
        rib_fall=cue((0.1, 0.3), (0.4, 0.72)),
        clavicle=(medial, medial - cue((-0.02, 0.06), (0.14, 0.3))),
        scapula=cue((0.62, 0.8), (1.0, 1.15)),
        girth=1.08 + 0.6 * rng.beta(1.2, 2.2),
        arms=rng.uniform(-0.1, 0.4),
        arms_lifted=bool(rng.random() < (0.25 if portable else 0.6)),
        pose=_pose(rng, portable, dome + sulcus + 1),
    )


def _pose(rng: np.random.Generator, portable: bool, deep: float) -> Pose:
    """Place a chest whose lungs are ``deep`` units high, so that the angles are mostly on the film."""
    loose = 1.6 if portable else 1.0
    tall, top = rng.uniform(0.88, 1.06), SIDE * rng.uniform(0.08, 0.2)
    return Pose(
        unit=float(min(SIDE * rng.uniform(0.31, 0.43), (SIDE * rng.uniform(0.86, 1.0) - top) / (tall * deep))),
        tall=tall,
        x=SIDE * (0.5 + loose * rng.normal(0, 0.025)),
        y=top,
        tilt=loose * rng.normal(0, 0.025),
        turn=loose * rng.normal(0, 0.035),
        bend=rng.normal(0, 0.03),
    )
