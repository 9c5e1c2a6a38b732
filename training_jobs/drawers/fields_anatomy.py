"""What every chest has besides its lungs: the body, bones, vessels and texture, as fields of added density."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from training_jobs.drawers.fields_chest import Chest
from training_jobs.drawers.fields_grid import Grid, cloud, enlarge, knots, look_up, ridge, step


def soft_tissue(rng: np.random.Generator, chest: Chest) -> Grid:
    """Density of the body without lungs and bones, 0 in the air around it and about 1 in the abdomen."""
    fat = rng.uniform(0.1, 0.34)
    torso = 1.03 + fat
    waist = torso + rng.uniform(-0.1, 0.2)
    shoulder, neck = rng.uniform(1.6, 2.1), rng.uniform(0.34, 0.5)
    lift = rng.uniform(-0.08, 0.06) - (0.05 if chest.view == "AP" else 0.0)
    outline = knots(
        [-0.8, lift - 0.34, lift - 0.2, lift - 0.08, lift + 0.05, lift + 0.2, 0.36, 0.46, 0.6, 2.0],
        [neck, neck, neck + 0.18, neck + 0.6, shoulder - 0.25, shoulder, shoulder, torso + 0.15, torso, waist],
        35,
    )
    depth = look_up(outline, chest.row) - chest.a
    if rng.random() < (0.7 if chest.view == "AP" else 0.35):
        reach = torso + rng.uniform(0.04, 0.25)
        arm = np.minimum(np.minimum(chest.a - reach, reach + 0.42 - chest.a), (chest.v - 0.2) * chest.tall)
        depth = np.maximum(depth, np.asarray(arm, np.float32))
    body = step(depth, 0.04)
    round_off = 1 - np.square(1 - np.clip(depth * (1 / rng.uniform(0.5, 1.2)), 0, 1))
    density = body * (0.16 + rng.uniform(0.38, 0.5) * round_off)
    below = step((chest.v - chest.dome) * chest.tall, rng.uniform(0.045, 0.09))
    inside = step(chest.outer + 0.08 - chest.a, 0.2)
    density += below * inside * rng.uniform(0.2, 0.36)
    density += _heart(rng, chest) * (1 - below * 0.7) * body
    density += _breasts(rng, chest) * body
    density += _stomach(rng, chest) * below
    uneven = rng.uniform(0.0, 0.1) * cloud(rng, chest.side, 4) + rng.normal(0, 0.05) * chest.u
    return np.asarray(density * (1 + uneven), np.float32)


def _heart(rng: np.random.Generator, chest: Chest) -> Grid:
    depth = chest.inner - chest.a
    edge = step(depth, rng.uniform(0.045, 0.09))
    deep = np.clip(depth / np.maximum(chest.inner, 0.05) * rng.uniform(1.1, 1.8), 0, 1)
    bottom = step(1.3 - chest.v, 0.5)
    neck = step(chest.v + 0.12, 0.3)
    heart = edge * (rng.uniform(0.03, 0.12) + rng.uniform(0.14, 0.36) * deep) * bottom * neck
    middle = chest.u - rng.normal(0.0, 0.03)
    bodies = np.sin(chest.v * rng.uniform(47, 63))
    spine = step(rng.uniform(0.09, 0.12) - np.abs(middle), 0.04)
    heart += spine * (rng.uniform(0.0, 0.11) + rng.uniform(0.0, 0.035) * bodies)
    windpipe = ridge(middle + rng.normal(0.01, 0.015), 0.075) * step(0.32 - chest.v, 0.05)
    fork = ridge(chest.a - (chest.v - 0.29), 0.06) * step(0.09 - np.abs(chest.v - 0.37), 0.05)
    return np.asarray(heart - rng.uniform(0.04, 0.14) * np.maximum(windpipe, fork), np.float32)


def _breasts(rng: np.random.Generator, chest: Chest) -> Grid:
    """Two shadows with a round lower edge; none in about half of the chests."""
    if rng.random() < 0.5:
        return np.zeros_like(chest.a)
    across = (chest.a - rng.uniform(0.6, 0.8)) * (1 / rng.uniform(0.45, 0.65))
    down = (chest.v - rng.uniform(0.66, 0.9)) * (1 / rng.uniform(0.2, 0.32))
    depth = 1 - across * across - down * down
    return step(depth, 0.25) * rng.uniform(0.04, 0.2) * step(down + 0.3, 1.2)


def _stomach(rng: np.random.Generator, chest: Chest) -> Grid:
    """Gas under the left dome, negative density; standing patients show it more often and with a flat lower edge."""
    is_ap = chest.view == "AP"
    if rng.random() > (0.2 if is_ap else 0.75):
        return np.zeros_like(chest.a)
    across = (chest.u - rng.uniform(0.38, 0.6)) * (1 / rng.uniform(0.16, 0.32))
    down = (chest.v - chest.dome - rng.uniform(0.05, 0.09)) * (1 / rng.uniform(0.04, 0.08))
    depth = 1 - across * across - down * down
    if not is_ap:
        depth = np.minimum(depth, (rng.uniform(0.1, 0.9) - down) * 2)
    return -step(depth, 0.5) * rng.uniform(0.12, 0.35)


def bones(rng: np.random.Generator, chest: Chest) -> Grid:
    """Ribs, clavicles, shoulder blades and the heads of the arms."""
    is_ap = chest.view == "AP"
    strength = rng.uniform(0.0, 1.0) ** 1.3 * 0.15 + 0.01
    field = _ribs(rng, chest, strength)
    if rng.random() < 0.15:
        is_ap = not is_ap  # each cue misleads now and then
    start, slope = (
        (rng.uniform(-0.06, 0.05), rng.uniform(0.0, 0.09))
        if is_ap
        else (rng.uniform(0.12, 0.2), rng.uniform(0.15, 0.26))
    )
    wave = rng.uniform(0.01, 0.03) * np.sin(5.5 * (chest.a - 0.15))
    lean = rng.normal(0, 0.02) * np.sign(chest.u)
    height = start - slope * (chest.a - 0.15) + wave + lean
    off = (chest.v - height) * chest.tall
    thick = rng.uniform(0.04, 0.06) + 0.02 * ridge(chest.a - 0.17, 0.15)
    ends = step(1.25 - chest.a, 0.1) * step(chest.a - rng.uniform(0.12, 0.18), 0.04)
    clavicle = step(thick - np.abs(off), 0.03) * (0.7 + 0.3 * np.clip(np.abs(off) / thick, 0, 1))
    field += clavicle * ends * rng.uniform(0.05, 0.15)
    head = np.hypot(chest.a - rng.uniform(1.4, 1.6), (chest.v - rng.uniform(0.0, 0.1)) * chest.tall)
    field += step(0.22 - head.astype(np.float32), 0.05) * rng.uniform(0.05, 0.15)
    return field + _shoulder_blades(rng, chest)


def _shoulder_blades(rng: np.random.Generator, chest: Chest) -> Grid:
    """Flat bones with a bright rim: over the lungs in AP, beside them in PA."""
    is_over = (chest.view == "AP") != (rng.random() < 0.12)
    border = rng.uniform(0.64, 0.84) if is_over else rng.uniform(1.02, 1.16)
    medial = chest.a - border - rng.uniform(-0.1, 0.25) * (chest.v - 0.1)
    tip = rng.uniform(0.46, 0.62) - chest.v
    lateral = (border + 0.12) + tip * rng.uniform(0.8, 1.2) - chest.a
    depth = np.minimum(np.minimum(medial, lateral), np.minimum(tip, chest.v - 0.02) * chest.tall)
    fill, rim = rng.uniform(0.03, 0.1), rng.uniform(0.02, 0.08)
    sides = ridge(np.minimum(medial, lateral) - 0.02, 0.04) * step(depth, 0.03)
    return (step(depth, 0.03) * fill + sides * rim) * step(chest.v - 0.08, 0.25)


def _ribs(rng: np.random.Generator, chest: Chest, strength: float) -> Grid:
    """Bands between level lines of two heights bent over the width: the ribs behind and those in front."""
    is_flat = (chest.view == "AP") != (rng.random() < 0.12)
    fall = rng.uniform(0.03, 0.12) if is_flat else rng.uniform(0.15, 0.27)
    front = rng.uniform(0.1, 0.22) if is_flat else rng.uniform(0.24, 0.42)
    number = rng.uniform(7.5, 9.5) * (0.85 if is_flat else 1.0)
    table = _rib_table(rng)
    behind = np.asarray((chest.v - fall * chest.a * chest.a) * number, np.float32)
    before = np.asarray((chest.v - fall - front * (1 - chest.a)) * number + 0.4, np.float32)
    cage = step(chest.outer + 0.05 - chest.a, 0.04) * step(chest.v, 0.04)
    cage *= rng.uniform(0.1, 0.45) + step(chest.air - 0.3, 0.5) * rng.uniform(0.5, 0.8)
    near_wall = 1 + 0.9 * np.square(np.clip(chest.a / np.maximum(chest.outer, 0.3), 0, 1.1))
    field = _bands(table, behind) * near_wall
    field += _bands(table, before) * step(chest.a - rng.uniform(0.35, 0.55), 0.3) * rng.uniform(0.3, 0.9)
    cage *= 0.6 * strength
    return np.asarray(
        cage * (field * step(chest.a - 0.1, 0.05) + ridge(chest.outer + 0.025 - chest.a, 0.045)), np.float32
    )


def _rib_table(rng: np.random.Generator) -> NDArray[np.float32]:
    """One rib to every 64 entries, each with its own brightness; the edges brighter than the middle."""
    phase = np.linspace(-1, 1, 64)
    width = rng.uniform(0.36, 0.55)
    inside = np.clip((width - np.abs(phase)) / 0.12, 0, 1)
    rim = np.exp(-(((np.abs(phase) - width + 0.08) / 0.08) ** 2)) * rng.uniform(0.0, 0.7)
    return np.concatenate([(inside + rim) * rng.uniform(0.75, 1.15) for _ in range(24)]).astype(np.float32)


def _bands(table: NDArray[np.float32], height: Grid) -> Grid:
    index = np.asarray(np.clip((height + 6.0) * 64.0, 0, table.size - 1), np.intp)
    return np.asarray(table[index])


def markings(rng: np.random.Generator, chest: Chest) -> Grid:
    """Vessels that branch out of both hila, and the grain of the lung between them; unmasked."""
    picture = Image.new("L", (2 * chest.side, 2 * chest.side))
    pen = ImageDraw.Draw(picture)
    root = rng.uniform(0.36, 0.5)
    for sign in (-1.0, 1.0):
        _branches(rng, chest, pen, sign, root)
    is_soft = rng.random() < 0.5
    vessels = np.asarray(picture.reduce(4 if is_soft else 2), np.float32)
    if is_soft:
        vessels = enlarge(vessels, chest.side)
    grain = cloud(rng, chest.side, int(rng.integers(10, 24)), 4, rng.uniform(0.55, 0.85))
    hilum = np.square(chest.a - 0.3) + 1.7 * np.square(chest.v - root - 0.03)
    near = np.exp(hilum * (-1 / rng.uniform(0.1, 0.2) ** 2))
    field = vessels * (rng.uniform(0.07, 0.25) / 255) + near * rng.uniform(0.03, 0.2)
    return np.asarray(field + grain * rng.uniform(0.01, 0.034), np.float32)


def _branches(rng: np.random.Generator, chest: Chest, pen: ImageDraw.ImageDraw, sign: float, root: float) -> None:
    count = int(rng.integers(9, 15))
    u = np.full(count, sign * rng.uniform(0.2, 0.28)) + rng.normal(0, 0.02, count)
    v = root + rng.normal(0, 0.04, count)
    angle = np.linspace(-1.45, 1.5, count) + rng.normal(0, 0.15, count)
    width = rng.uniform(0.02, 0.04)

    for generation in range(8):
        length = rng.uniform(0.08, 0.23, u.size) * (0.9**generation)
        ends_u, ends_v = u + sign * length * np.cos(angle), v + length * np.sin(angle) / chest.tall
        ink = int(210 * 0.86**generation)
        thick = max(1, round(2 * width * chest.scale * 0.72**generation))
        starts, ends = 2 * chest.pixels(np.stack([u, v], 1)), 2 * chest.pixels(np.stack([ends_u, ends_v], 1))
        for line in np.hstack([starts, ends]).tolist():
            pen.line(line, fill=ink, width=thick)
        u, v = np.repeat(ends_u, 2), np.repeat(ends_v, 2)
        angle = np.repeat(angle, 2) + rng.normal(0, 0.33, u.size)
        keep = rng.random(u.size) < 0.66
        u, v, angle = u[keep], v[keep], angle[keep]
