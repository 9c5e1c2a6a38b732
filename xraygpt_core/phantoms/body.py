"""Everything between the skin and the lungs: trunk, heart, abdomen, breasts, stomach bubble."""

from dataclasses import dataclass

import numpy as np

from xraygpt_core.phantoms.anatomy import Anatomy, Floats
from xraygpt_core.phantoms.canvas import Canvas, inside
from xraygpt_core.phantoms.findings import View

BUILDS = ("trunk", "trunk with arms", "round", "filled")
BUILD_WEIGHTS = (0.45, 0.2, 0.17, 0.18)


@dataclass(frozen=True)
class Tissue:
    """Grey levels of soft parts, as attenuation (0 is air around the body, 1 is dense)."""

    build: str  # "trunk", "trunk with arms", "round", or "filled" (no air beside the body)
    soft: float
    lung: float  # what an aerated lung leaves of the soft parts' attenuation
    free_air: float  # what free pleural air leaves of the lung's
    heart: float
    abdomen: float
    mottle: float
    border: float  # softness of the lung's edges, mm
    heart_border: float
    breasts: float
    bubble: float


def draw_tissue(rng: np.random.Generator, view: View) -> Tissue:
    """One film's soft-part contrasts. An AP film's heart lies far from the detector: its border is softer."""
    ap = view == "AP"
    return Tissue(
        build=str(rng.choice(BUILDS, p=BUILD_WEIGHTS)),
        soft=float(rng.uniform(0.62, 0.76)),
        lung=float(rng.uniform(0.28, 0.5)),
        free_air=float(rng.uniform(0.2, 0.5)),
        heart=float(rng.uniform(0.0, 0.14)),
        abdomen=float(rng.uniform(0.02, 0.16)),
        mottle=float(rng.uniform(0.0, 0.016)),
        border=float(rng.uniform(0.8, 3.0)),
        heart_border=float(rng.uniform(3.2, 6.5) if ap else rng.uniform(0.9, 2.6)),
        breasts=float(rng.choice([0.0, 1.0]) * rng.uniform(0.02, 0.1)),
        bubble=float((rng.random() < (0.3 if ap else 0.75)) * rng.uniform(0.08, 0.3)),
    )


def body(canvas: Canvas, rng: np.random.Generator, anatomy: Anatomy, tissue: Tissue) -> tuple[Floats, Floats]:
    """Skin to skin without the lungs' air: trunk and neck alone, then with the organs in them, shape (n, n) each."""
    outline = _outline(canvas, rng, anatomy, tissue.build)
    reach = anatomy.half_width + anatomy.fat + 30.0
    thick = 1.0 - 0.22 * np.clip(canvas.x / reach, -1.3, 1.3) ** 2
    base = np.float32(tissue.soft) * outline * thick.astype(np.float32)
    value = base + tissue.mottle * canvas.clouds(rng, 30) * outline
    value += _organs(canvas, rng, anatomy, tissue, outline)
    return base, value


def _outline(canvas: Canvas, rng: np.random.Generator, anatomy: Anatomy, build: str) -> Floats:
    """1 in the body, 0 in the air beside it."""
    if build == "filled":
        return np.ones((canvas.n, canvas.n), dtype=np.float32)
    right = anatomy.lungs["right"]
    edge = anatomy.half_width + anatomy.fat
    across = np.abs(canvas.x)
    neck = inside(float(rng.uniform(44, 60)) - across, 6.0)
    if build == "round":
        middle, tall = right.level(0.75), 0.95 * (right.angle_y - right.apex_y)
        shape = 1.0 - (np.abs(canvas.y - middle) / tall) ** 3 - (across / (edge + 8.0)) ** 3
        return np.maximum(inside(np.asarray(80.0 * shape, dtype=np.float32), 5.0), neck * (canvas.y < middle))
    shoulder = right.apex_y - float(rng.uniform(18, 40))
    flare = np.clip((right.level(0.2) - canvas.y) / 60.0, 0.0, 1.0)
    trunk = inside(edge + 70.0 * flare - across, 5.0)
    if build == "trunk with arms":
        arm = float(rng.uniform(24, 36))
        axis = edge + arm + float(rng.uniform(3, 14))
        trunk = np.maximum(trunk, 0.8 * inside(arm - np.abs(across - axis), 6.0))
    slope = shoulder + 0.32 * np.clip(across - 45.0, 0.0, None)
    return trunk * np.maximum(inside(canvas.y - slope, 8.0), neck)


def _organs(canvas: Canvas, rng: np.random.Generator, anatomy: Anatomy, tissue: Tissue, outline: Floats) -> Floats:
    """What heart, abdomen and breasts add and the stomach's air takes away."""
    heart, left, right = anatomy.heart, anatomy.lungs["left"], anatomy.lungs["right"]
    added = inside(heart.border(canvas.y, "left") - canvas.x, 9.0)
    added = tissue.heart * added * inside(heart.border(canvas.y, "right") + canvas.x, 9.0)
    floor = np.where(canvas.x > 0, left.floor(canvas.x), right.floor(-canvas.x)).astype(np.float32)
    added += tissue.abdomen * inside(canvas.y - floor, 4.0) * outline
    if tissue.breasts > 0:
        x, y, radius = 0.52 * anatomy.half_width, right.level(float(rng.uniform(0.7, 1.0))), float(rng.uniform(45, 65))
        away = np.hypot(np.abs(canvas.x) - x, canvas.y - y)
        added += tissue.breasts * inside(radius - away, 16.0) * inside(canvas.y - y + 10.0, 45.0)
    if tissue.bubble > 0:
        x, y = float(rng.uniform(0.35, 0.6)) * anatomy.half_width, left.dome_y + float(rng.uniform(18, 30))
        off = np.hypot((canvas.x - x) / float(rng.uniform(18, 36)), (canvas.y - y) / float(rng.uniform(8, 14)))
        added -= tissue.bubble * inside((1.0 - off) * np.float32(14.0), 3.0)
    return added
