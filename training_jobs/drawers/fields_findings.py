"""What a sick chest shows, as fields: fluid, free air, consolidations and nodules, each in its place."""

from dataclasses import dataclass

import numpy as np

from training_jobs.drawers.fields_chest import Chest
from training_jobs.drawers.fields_grid import Grid, cloud, enlarge, ridge, step
from xraygpt_core.phantoms.findings import SIDES, Side


@dataclass(eq=False)
class Disease:
    """Fields of shape (side, side), all 0 in health."""

    fluid: Grid  # share of the lung's air that fluid hides
    solid: Grid  # share of it that is consolidated
    free: Grid  # 1 where air lies outside the lung
    line: Grid  # the visceral pleura
    collapse: Grid  # share of its air a lung has lost beside free air
    round_: Grid  # nodules


def healthy(chest: Chest) -> Disease:
    """A chest without findings."""
    return Disease(*(np.zeros_like(chest.a) for _ in range(6)))


def add_pneumothorax(rng: np.random.Generator, chest: Chest, disease: Disease, where: Side, is_shared: bool) -> None:
    """Air between lung and chest wall; only a rim where ``is_shared``, so that the lung can show something else."""
    kind = rng.choice(["apical", "lateral", "large"], p=[0.5, 0.5, 0.0] if is_shared else [0.4, 0.35, 0.25])
    beside, above = np.maximum(chest.outer - chest.a, 0.001), np.maximum(chest.v * chest.tall, 0.001)
    from_wall = beside * above / np.hypot(beside, above)
    if kind == "apical":
        share = np.clip(1 - chest.v * (1 / rng.uniform(0.4, 0.65)), 0, 1)
        gap = rng.uniform(0.24, 0.36 if is_shared else 0.48) * np.sqrt(share)
    elif kind == "lateral":
        lower = step(rng.uniform(0.7, 1.1) - chest.v, 0.3)
        gap = rng.uniform(0.15, 0.22 if is_shared else 0.34) * lower
    else:
        gap = rng.uniform(0.28, 0.42) * step(1.15 - chest.v, 0.5)
    gap = gap + 0.012 * cloud(rng, chest.side, 5)
    beyond = np.asarray(gap - from_wall, np.float32)

    inside = chest.on(where) * step(chest.a - chest.inner, 0.03)
    disease.free = np.maximum(disease.free, step(beyond, 0.02) * inside)
    thick = max(0.02, 1.7 / chest.scale)
    line = ridge(beyond, thick) * inside * step(gap - 0.03, 0.04)
    disease.line = np.maximum(disease.line, line * rng.uniform(0.18, 0.34))
    disease.collapse = np.maximum(disease.collapse, chest.on(where) * rng.uniform(0.05, 0.12 if is_shared else 0.3))


def add_effusion(rng: np.random.Generator, chest: Chest, disease: Disease, where: Side, highest: float) -> None:
    """Fluid with a meniscus, not above ``highest``; in half of the AP films a haze over the lower lung."""
    inside = chest.on(where) * step(np.minimum(chest.outer - chest.a, chest.a - chest.inner), 0.04)
    is_level = bool((disease.free[::2, ::2] * inside).max() > 0.5) and rng.random() < 0.6
    if chest.view == "AP" and rng.random() < 0.5:
        start = rng.uniform(0.25, 0.5)
        haze = np.clip((chest.v - start) * (1 / (0.95 - start)), 0, 1)
        most = rng.uniform(0.55, 0.65) if highest > 0.7 else rng.uniform(0.6, 0.9)
        field = most * haze
        corner = step((chest.v - rng.uniform(0.82, 0.95)) * chest.tall, 0.3)
        field = np.maximum(field, corner * rng.uniform(0.7, 0.95))
    else:
        level = rng.choice([rng.uniform(0.93, 1.0), rng.uniform(0.72, 0.93), rng.uniform(0.2, 0.7)], p=[0.4, 0.4, 0.2])
        level = max(float(level), highest)
        climb = 0.0 if is_level else rng.uniform(0.16, 0.3)
        lateral = np.exp((chest.a - chest.outer) * (1 / rng.uniform(0.12, 0.3)))
        medial = 0.25 * np.exp((chest.inner - chest.a) * 8)
        top = level - climb * (lateral + medial)
        field = step((chest.v - top) * chest.tall, 0.02 if is_level else rng.uniform(0.05, 0.14))
        field = field * rng.uniform(0.88, 1.0)
    disease.fluid = np.maximum(disease.fluid, enlarge(field * inside, disease.fluid.shape[0]))


def add_consolidation(rng: np.random.Generator, chest: Chest, disease: Disease, where: Side, is_upper: bool) -> None:
    """A fluffy opacity of one to three patches within the upper or the lower half of one lung."""
    heart = 0.28 if is_upper else max(0.3, chest.widest[where == "left"])
    fluff = cloud(rng, chest.side, int(rng.integers(7, 12)), 4, 0.7)
    reach = np.full_like(chest.a, -9.0)
    for _ in range(int(rng.integers(1, 4))):
        height = rng.uniform(0.2, 0.38) if is_upper else rng.uniform(0.6, 0.8)
        centre = heart + (0.92 - heart) * rng.uniform(0.2, 0.8)
        across = (chest.a - centre) * (1 / rng.uniform(0.18, 0.4))
        down = (chest.v - height) * (1 / rng.uniform(0.08, 0.19)) + across * rng.normal(0, 0.5)
        reach = np.maximum(reach, 1 - across * across - down * down)
    reach += rng.uniform(0.45, 0.85) * fluff
    edge = (0.52 - chest.v) if is_upper else (chest.v - 0.47)
    is_lobar = rng.random() < 0.25  # ends sharply at the fissure
    patch = step(reach, rng.uniform(1.1, 2.2)) * step(edge, 0.02 if is_lobar else 0.12)
    patch *= rng.uniform(0.6, 0.95) * (1 + rng.uniform(0.0, 0.18) * fluff)
    if rng.random() < 0.35:
        patch -= ridge(cloud(rng, chest.side, 9), 0.12) * patch * rng.uniform(0.3, 0.6)
    solid = np.clip(patch, 0, 1) * chest.on(where)
    disease.solid = np.maximum(disease.solid, enlarge(solid, disease.solid.shape[0]))


def add_nodules(rng: np.random.Generator, chest: Chest, disease: Disease) -> None:
    """Round spots of 8 to 30 mm, seldom a mass of up to 50, where the lung is clear; the chest is 280 mm wide."""
    clear = chest.air * (1 - disease.fluid) * (1 - disease.solid) * (1 - disease.free)
    clear *= step(chest.outer - chest.a - 0.13, 0.05) * step(chest.v - 0.1, 0.05)
    count = int(rng.choice([1, 2, 3, 4], p=[0.6, 0.2, 0.12, 0.08]))
    column = np.arange(chest.side, dtype=np.float32)[None, :]
    line = np.arange(chest.side, dtype=np.float32)[:, None]
    for spot in range(count):
        is_mass = spot == 0 and rng.random() < 0.2
        millimetres = rng.uniform(30, 50) if is_mass else 10 * 3 ** rng.random()
        radius = max(3.2, millimetres / 280 * chest.scale)
        coarse = clear[2::5, 2::5]
        order = np.flatnonzero(coarse > 0.75 * coarse.max())
        place = int(rng.choice(order))
        x, y = 5 * (place % coarse.shape[1]) + 2, 5 * (place // coarse.shape[1]) + 2
        far = np.hypot(column - x, (line - y) * rng.uniform(0.88, 1.14))
        if is_mass:
            far = far + (radius * 0.06) * cloud(rng, chest.side, 24)
        disc = step(np.asarray(radius - far, np.float32), max(1.5, radius * 0.22))
        dome = 0.75 + 0.25 * np.clip(1 - far / radius, 0, 1)
        strength = rng.uniform(0.65, 0.95) * (1.3 if radius < 5 else 1.0)
        disease.round_ = np.maximum(disease.round_, disc * dome * strength)
        clear = clear * step(np.asarray(far - 2 * radius - 6, np.float32), 2.0)


def add_findings(generators: dict[str, np.random.Generator], labels: frozenset[str], chest: Chest) -> Disease:
    """All findings of the lungs and pleura; each has its own generator, so that one never changes another."""
    disease, half = healthy(chest), chest.half()
    for where in SIDES:
        upper, lower = (f"consolidation_{where}_{zone}" for zone in ("upper", "lower"))
        is_shared = bool({upper, lower} & labels)
        if (name := f"pneumothorax_{where}") in labels:
            add_pneumothorax(generators[name], chest, disease, where, is_shared or "nodule" in labels)
        if (name := f"effusion_{where}") in labels:
            highest = 0.92 if lower in labels else 0.72 if upper in labels or "nodule" in labels else 0.15
            add_effusion(generators[name], half, disease, where, highest)
        for name, is_upper in ((upper, True), (lower, False)):
            if name in labels:
                add_consolidation(generators[name], half, disease, where, is_upper)
    if "nodule" in labels:
        add_nodules(generators["nodule"], chest, disease)
    return disease
