"""One imaginary patient before a source: sizes in mm, drawn so that the view shows in several of them."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from training_jobs.drawers.solids_rays import Plane, Rays
from xraygpt_core.phantoms.findings import View

CUE_SHARE = 0.85  # each cue of the view is drawn from the view's own range this often, else from the middle ground
SIDE = 256


@dataclass(frozen=True, eq=False)
class Patient:
    """Heights are y from the carina, down; ``front`` 0 is the breastbone's skin, ``thick`` the back's."""

    view: View
    thick: float
    wall: float  # half width of the rib cage inside, at its widest
    apex: float
    dome: tuple[float, float]  # top of the diaphragm of the picture's left and right lung
    angle: tuple[float, float]  # the costophrenic angles
    heart_ratio: float
    mediastinum: float  # half width
    slope: float  # drop of a rib from back to front
    clavicle: tuple[float, float]  # heights of the inner and the outer end
    shoulder_blade: float  # x of its inner border, as a share of the wall
    turn: float  # radians about the vertical
    spine_bend: float
    age: float  # 0 young to 1 old
    flesh: float  # mm of soft tissue outside the ribs
    barrel: float  # how pointed the top of the rib cage is: 0.3 broad to 0.5 pointed
    rays: Rays

    @property
    def soft(self) -> Rays:
        """The rays for solids without fine detail: every second one."""
        return self.rays.coarser(2)

    def depth(self, front: float) -> float:
        """The z of a point ``front`` mm behind the breastbone: the back lies on the film in AP, the front in PA."""
        return 15.0 + (self.thick - front if self.view == "AP" else front)

    def turned(self, x: Any, front: float) -> Any:
        """The x of a point, or of an array of them, after the patient's turn."""
        return x + self.turn * (front - self.thick / 2)

    def place(self, points: Plane) -> Plane:
        """Points (count, 3) as (x, y, front) in the frame of the rays."""
        x, y, front = points.T
        depth = 15.0 + (self.thick - front if self.view == "AP" else front)
        return np.stack((x + self.turn * (front - self.thick / 2), y, depth), axis=1).astype(np.float32)

    def spine(self, y: Plane) -> Plane:
        """The x of the spine at heights ``y``."""
        return (self.spine_bend * np.sin(y / 95 + 0.4)).astype(np.float32)


def _cue(rng: np.random.Generator, supine: bool, portable: tuple[float, float], erect: tuple[float, float]) -> float:
    low, high = portable if supine else erect
    if rng.random() > CUE_SHARE:
        low, high = sorted((sum(portable) / 2, sum(erect) / 2))
    return float(rng.uniform(low, high))


def _heart_ratio(rng: np.random.Generator, portable: bool, enlarged: bool) -> float:
    if enlarged:
        return float(rng.uniform(0.65, 0.8) if portable else rng.uniform(0.6, 0.76))
    return float(rng.uniform(0.42, 0.52) if portable else rng.uniform(0.36, 0.47))


def _rays(rng: np.random.Generator, portable: bool, wall: float, middle: float, tall: float) -> Rays:
    distance = float(rng.uniform(950, 1250) if portable else rng.uniform(1700, 1900))
    across = 2 * wall * rng.uniform(1.14, 1.4) * distance / (distance - 120) / SIDE
    least = (tall + rng.uniform(30, 70)) * distance / (distance - 120) / SIDE
    pitch = (across, max(across * float(rng.uniform(0.88, 1.14)), least))
    corner = (
        -SIDE / 2 * pitch[0] + float(rng.normal(0, 8)),
        middle - SIDE / 2 * pitch[1] + float(rng.uniform(-14, 14)),
    )
    source = (
        float(rng.normal(0, 25)),
        middle + float(rng.normal(-60, 50) if portable else rng.normal(0, 20)),
        distance,
    )
    return Rays(SIDE, pitch, corner, source)


def draw_patient(rng: np.random.Generator, view: View, enlarged: bool) -> Patient:
    """A patient for ``view``; ``enlarged`` says whether the heart is."""
    portable = view == "AP"
    size = float(rng.normal(1, 0.07))
    wall = size * float(rng.uniform(118, 150))
    lungs = size * _cue(rng, portable, (195, 240), (235, 280))
    apex = -size * float(rng.uniform(95, 115))
    right_dome = apex + lungs
    left_dome = right_dome + float(rng.uniform(-4, 22))
    sulcus = _cue(rng, portable, (30, 48), (38, 62))
    inner = apex + _cue(rng, portable, (-8, 22), (32, 55))
    rise = _cue(rng, portable, (-12, 8), (18, 46))
    return Patient(
        view=view,
        thick=size * float(rng.uniform(190, 270)),
        wall=wall,
        apex=apex,
        dome=(right_dome, left_dome),
        angle=(right_dome + sulcus, left_dome + sulcus * float(rng.uniform(0.8, 1.1))),
        heart_ratio=_heart_ratio(rng, portable, enlarged),
        mediastinum=size * _cue(rng, portable, (33, 46), (21, 31)),
        slope=size * _cue(rng, portable, (60, 105), (100, 150)),
        clavicle=(inner, inner - rise),
        shoulder_blade=_cue(rng, portable, (0.58, 0.82), (1.02, 1.22)),
        turn=float(rng.normal(0, 0.09 if portable else 0.04)),
        spine_bend=float(rng.normal(0, 4)),
        age=float(rng.random()),
        flesh=float(rng.gamma(3, 6)) + 8,
        barrel=float(rng.uniform(0.3, 0.5)),
        rays=_rays(rng, portable, wall, apex + (lungs + sulcus) / 2, lungs + sulcus),
    )
