"""Findings painted into a film's lungs, as they look on a frontal film. Each takes a scene and changes its attenuation.

Appearance: Felson's principles (Goodman, 4th ed.), chapters on air space disease, pleura and nodules.
"""

import numpy as np

from training_jobs.drawers.paint_lungs import ANGLES, Grey
from training_jobs.drawers.paint_scene import Place, Scene, smooth_step
from xraygpt_core.phantoms.findings import Side

Rng = np.random.Generator
_KNOTS = np.arange(ANGLES) * (2 * np.pi / ANGLES)


def effusion(scene: Scene, side: Side, rng: Rng) -> None:
    """Fluid from the costophrenic angle up, its upper border a meniscus; sometimes a veil behind the lung too."""
    place = scene.places[side]
    low, high = ((0.24, 0.38), (0.38, 0.58), (0.58, 0.9))[int(rng.choice(3, p=(0.45, 0.35, 0.2)))]
    size = float(rng.uniform(low, high))
    if rng.random() < 0.2:
        ramp = smooth_step((place.down - rng.uniform(0.0, 0.4)) / rng.uniform(0.5, 0.9))
        scene.add(ramp * place.inside * np.float32(rng.uniform(0.25, 0.5) * scene.unit))
        size *= 0.75
    flat = float(rng.uniform(0.5, 0.85))
    level = place.corner - size * place.high * (flat + (1 - flat) * place.lateral ** float(rng.uniform(2.5, 6)))
    level = level + np.float32(0.02 * place.high) * scene.clouds(rng, 2.0)
    border = smooth_step((scene.y - level) / float(rng.uniform(0.1, 0.28) * place.high) + 0.4)
    region = smooth_step(place.depth / (0.06 * scene.lungs.half) + 1) * border
    fluid = np.maximum(scene.beside(), scene.soft - 0.1 * scene.unit) + scene.unit * float(rng.uniform(-0.15, 0.15))
    scene.add(np.asarray(region * np.clip(fluid - scene.local(0.12), 0, None), np.float32))


def pneumothorax(scene: Scene, side: Side, rng: Rng) -> None:
    """Air between the lung and its wall: a thin line, no markings beyond it, and a little darker there."""
    place = scene.places[side]
    share = float(rng.uniform(0.3, 0.6) if rng.random() < 0.25 else rng.uniform(0.12, 0.3))
    toward = np.deg2rad(rng.uniform(-75, -25))  # up and out, for the left lung
    toward = toward if place.sign > 0 else np.pi - toward
    off = (_KNOTS - toward + np.pi) % (2 * np.pi) - np.pi
    wobble = np.convolve(rng.normal(0, 1, ANGLES + 10), np.full(11, 1 / 11), "valid") * 0.05
    spread = float(rng.uniform(85, 125))
    gap = share * np.cos(np.clip(off / np.deg2rad(spread), -1, 1) * np.pi / 2) ** 0.7 * (1 + wobble)
    line = place.depth - place.around(gap * scene.lungs.radii[side], _KNOTS)  # negative beyond the pleural line
    away = scene.large(line)
    air = np.clip(0.5 - away * np.float32(scene.zoom), 0, 1) * scene.large(place.inside)
    darker = np.float32(rng.uniform(0.12, 0.4) * scene.unit)
    beyond = np.maximum(scene.large(scene.small()) + np.float32(0.5) * _grain(scene.value) - darker, 0.3 * scene.lung)
    scene.value = scene.value + air * (beyond - scene.value)
    thin = max(0.5 / scene.zoom, float(rng.uniform(0.4, 0.8)) * scene.mm)
    seen = place.around(np.clip(gap * 12, 0, 1), _KNOTS) * place.inside
    edge = np.exp(-((away / np.float32(thin)) ** 2)) * scene.large(seen)
    scene.value = scene.value + edge * np.float32(rng.uniform(0.15, 0.4) * scene.unit)
    collapsed = np.clip(line / 3, 0, 1) * place.inside * np.float32(share * rng.uniform(0.2, 0.8) * scene.unit)
    scene.add(np.asarray(collapsed, np.float32))


def _grain(value: Grey) -> Grey:
    """What of a picture is finer than a few pixels: the detector's noise."""
    around = sum(np.roll(value, shift, axis) for axis in (0, 1) for shift in (-1, 1))
    return np.asarray(value - around / 4, np.float32)


def consolidation(scene: Scene, side: Side, zone: str, rng: Rng) -> None:
    """Alveoli full of fluid: a fluffy opacity in one zone of a lung, sometimes with its bronchi left dark."""
    place = scene.places[side]
    low, high = (0.17, 0.36) if zone == "upper" else (0.64, 0.86)
    centre = (float(rng.uniform(0.3, 0.75)), float(rng.uniform(low, high)))
    field = np.full(scene.lungs.shape, -9.0, np.float32)
    for _ in range(int(rng.integers(1, 4))):
        field = np.maximum(field, _ellipse(scene, place, centre, rng))
    field = field + np.float32(rng.uniform(0.12, 0.35)) * scene.clouds(rng, float(rng.uniform(1.5, 2.3)))
    dense = smooth_step((field + 0.1) / float(rng.uniform(0.5, 1.3)))
    sharp = 0.02 if side == "right" and zone == "upper" and rng.random() < 0.3 else 0.1
    border = (0.5 - place.down) if zone == "upper" else (place.down - 0.46)
    dense = dense * smooth_step(border / sharp + 0.5) * place.inside
    texture = 1 + np.float32(rng.uniform(0.03, 0.12)) * np.clip(scene.own_texture(rng), -2, 2)
    strength = float(rng.uniform(0.5, 1.0))
    room = np.clip(scene.soft + 0.1 * scene.unit - scene.local(), 0.0, None)
    added = scene.large(np.asarray(dense * texture * strength * room, np.float32))
    if strength > 0.6 and rng.random() < 0.4:
        added = added * (1 - np.float32(rng.uniform(0.35, 0.7)) * _bronchi(scene, place, centre, rng))
    scene.value = scene.value + added


def _ellipse(scene: Scene, place: Place, centre: tuple[float, float], rng: Rng) -> Grey:
    """1 in the middle of a random ellipse near the centre (lateral, down), 0 on its rim, negative outside."""
    half = scene.lungs.half
    wide, tall = float(rng.uniform(0.2, 0.42)) * half, float(rng.uniform(0.18, 0.4)) * half
    x = scene.lungs.midline + place.sign * (place.inner + centre[0] * (place.wall - place.inner))
    x, y = x + float(rng.normal(0, 0.08)) * half, place.top + centre[1] * place.high + float(rng.normal(0, 0.07)) * half
    turn = float(rng.uniform(0, np.pi))
    u, v = scene.x - x, scene.y - y
    along, across = u * np.cos(turn) + v * np.sin(turn), v * np.cos(turn) - u * np.sin(turn)
    return np.asarray(1 - (along / wide) ** 2 - (across / tall) ** 2, np.float32)


def _bronchi(scene: Scene, place: Place, centre: tuple[float, float], rng: Rng) -> Grey:
    """Air in bronchi: a few branches from the hilum through the opacity, shape of the film."""
    pen = scene.pen()
    root = np.array([scene.lungs.midline + place.sign * 0.25 * scene.lungs.half, place.top + 0.5 * place.high])
    goal = np.array([scene.lungs.midline + place.sign * place.wall * 0.9, place.top + centre[1] * place.high])
    for _ in range(int(rng.integers(2, 5))):
        end = goal + rng.normal(0, 0.16, 2) * scene.lungs.half
        bend = (root + end) / 2 + rng.normal(0, 0.06, 2) * scene.lungs.half
        steps = np.linspace(0, 1, 10)[:, None]
        curve = (1 - steps) ** 2 * root + 2 * steps * (1 - steps) * bend + steps**2 * end
        for index in range(9):  # bronchi taper
            wide = (3.2 - 0.25 * index) * scene.mm
            pen.line([(x, y) for x, y in curve[index : index + 2].tolist()], wide)
    return pen.sheet()


def nodules(scene: Scene, rng: Rng) -> None:
    """One to four round opacities of 8 to 30 mm, sometimes a mass; the rim sharp or not, a little irregular."""
    mass = rng.random() < 0.15
    count = 1 if mass else int(rng.choice([1, 2, 3, 4], p=(0.6, 0.2, 0.1, 0.1)))
    local = scene.local()
    for _ in range(count):
        radius = 0.5 * scene.mm * float(rng.uniform(32, 55) if mass else 9 + 22 * rng.beta(1.2, 1.8))
        side: Side = "left" if rng.random() < 0.5 else "right"
        place = scene.places[side]
        free = (place.depth > max(0.6 * radius, 2.5)) & (local < scene.lung + 0.55 * scene.unit)
        spots = np.argwhere(free)
        if len(spots) == 0:
            continue
        row, column = spots[int(rng.integers(len(spots)))]
        strength = float(rng.uniform(0.45, 1.0)) * scene.unit
        _nodule(scene, (float(column), float(row)), radius, strength, rng)


def _nodule(scene: Scene, centre: tuple[float, float], radius: float, strength: float, rng: Rng) -> None:
    """One of them, in a window of the film around it; places and radius in pixels of the grid."""
    x0, y0, r = (centre[0] + 0.5) * scene.zoom, (centre[1] + 0.5) * scene.zoom, radius * scene.zoom
    rows = slice(max(0, int(y0 - 1.5 * r)), min(scene.value.shape[0], int(y0 + 1.5 * r) + 2))
    columns = slice(max(0, int(x0 - 1.5 * r)), min(scene.value.shape[1], int(x0 + 1.5 * r) + 2))
    y, x = np.ogrid[rows, columns]
    angle = np.arctan2(y - y0, x - x0)
    uneven = float(rng.uniform(0.02, 0.1))
    rim = 1 + sum(rng.normal(0, uneven / k**0.5) * np.cos(k * angle + rng.uniform(0, 6.28)) for k in range(2, 7))
    inside = 1 - np.hypot(x - x0, y - y0) / (r * rim)
    round_body = np.sqrt(np.clip(1 - (1 - inside) ** 2, 0, 1))
    soft = smooth_step(np.asarray(inside / float(rng.uniform(0.12, 0.6)), np.float32))
    scene.value[rows, columns] += np.asarray(strength * (0.5 * round_body + 0.5) * soft, np.float32)
