"""Crude pictures of the body that are no chest radiographs: other parts of it, and other ways to look into it."""

from collections.abc import Callable

import numpy as np

from training_jobs.drawers.brush import (
    Grey,
    Rng,
    blank,
    blot,
    blurred,
    clouds,
    grid,
    joined,
    limb,
    solid,
    thickness,
    tube,
)


def hand(rng: Rng) -> Grey:
    """Fingers, metacarpals, wrist; sometimes with the forearm."""
    x, y, size = rng.uniform(0.42, 0.58), rng.uniform(0.55, 0.68), rng.uniform(0.8, 1.1)
    flesh = thickness(blot(x, y, 0.17 * size, 0.16 * size))
    bones = blank()
    spread = rng.uniform(0.1, 0.2)
    for finger in range(5):
        angle = (finger - 2) * spread + rng.normal(0, 0.03) + (0.35 if finger == 0 else 0)
        step = size * (0.12 if finger in (1, 2, 3) else 0.09)
        at = (x + (finger - 2) * 0.05 * size, y + 0.06 * size)
        for bone in range(4):
            length = step * (1.25, 1.0, 0.7, 0.5)[bone]
            to = (at[0] + length * np.sin(angle), at[1] - length * np.cos(angle))
            bones = joined(bones, tube(at, to, 0.014 * size, flare=0.5, hollow=0.4))
            flesh = joined(flesh, tube(at, to, 0.034 * size))
            at = (to[0] + 0.008 * np.sin(angle), to[1] - 0.008 * np.cos(angle))
    for _ in range(8):
        place = (x + rng.uniform(-0.09, 0.09), y + rng.uniform(0.06, 0.13))
        bones = joined(bones, 0.7 * solid(blot(*place, 0.025, 0.02)))
    if rng.random() < 0.7:
        for off in (-0.04, 0.04):
            bones = joined(bones, tube((x + off, y + 0.15), (x + 0.8 * off, 1.1), 0.028, flare=0.3, hollow=0.5))
        flesh = joined(flesh, tube((x, y + 0.1), (x, 1.1), 0.1))
    return limb(bones, flesh, rng)


def foot(rng: Rng) -> Grey:
    """A foot from the side or an ankle."""
    heel, toes = (rng.uniform(0.2, 0.3), 0.75), (rng.uniform(0.8, 0.9), rng.uniform(0.75, 0.85))
    flesh = joined(tube(heel, toes, 0.1), tube((0.33, -0.1), (0.33, 0.7), 0.12))
    bones = joined(
        tube((0.31, -0.1), (0.31, 0.55), 0.05, flare=0.3, hollow=0.5),
        tube((0.4, -0.1), (0.39, 0.56), 0.02),
        0.8 * solid(blot(heel[0] + 0.03, 0.73, 0.11, 0.07, turn=0.3)),
        0.8 * solid(blot(0.38, 0.62, 0.09, 0.06)),
    )
    for ray in range(4):
        start, end = (0.5, 0.68 + 0.03 * ray), (toes[0] - 0.1, toes[1] - 0.03 + 0.02 * ray)
        bones = joined(bones, tube(start, end, 0.02, flare=0.5, hollow=0.4))
    return limb(bones, flesh, rng)


def joint(rng: Rng) -> Grey:
    """Two long bones that meet, as knee or elbow, sometimes bent; the lower one may be double."""
    bend, middle = rng.uniform(-0.5, 0.5), (rng.uniform(0.42, 0.58), rng.uniform(0.4, 0.6))
    lower = (middle[0] + 0.7 * np.sin(bend), middle[1] + 0.7 * np.cos(bend))
    upper, wide = (rng.uniform(0.4, 0.6), -0.1), rng.uniform(0.05, 0.09)
    flesh = joined(tube(upper, middle, wide * 2.6), tube(middle, lower, wide * 2.2))
    gap = rng.uniform(0.01, 0.03)
    bones = tube(upper, (middle[0], middle[1] - gap), wide, flare=0.5, hollow=rng.uniform(0.3, 0.7))
    bones = joined(bones, tube((middle[0], middle[1] + gap), lower, wide, flare=0.5, hollow=rng.uniform(0.3, 0.7)))
    if rng.random() < 0.6:
        bones = joined(bones, tube((middle[0] + wide, middle[1] + 0.06), (lower[0] + wide, lower[1]), wide * 0.4))
    if rng.random() < 0.3:
        bones = joined(bones, 1.2 * tube((middle[0], middle[1] - 0.3), (middle[0], middle[1] + 0.3), 0.012))
    return limb(bones, flesh, rng)


def shaft(rng: Rng) -> Grey:
    """One or two long bones across the picture: forearm, leg, thigh."""
    count, lean = int(rng.integers(1, 3)), rng.uniform(-0.2, 0.2)
    wide = rng.uniform(0.035, 0.08)
    bones, flesh = blank(), tube((0.5 - lean, -0.2), (0.5 + lean, 1.2), rng.uniform(0.16, 0.32))
    for which in range(count):
        off = 0.0 if count == 1 else (which - 0.5) * rng.uniform(0.14, 0.2)
        start, end = (0.5 - lean + off, rng.choice([-0.2, 0.1])), (0.5 + lean + off, rng.choice([1.2, 0.9]))
        bones = joined(bones, tube(start, end, wide, flare=0.5, hollow=rng.uniform(0.4, 0.8)))
    return limb(bones, flesh, rng)


def shoulder(rng: Rng) -> Grey:
    """Ball, shaft, blade and collar bone of one side, with a corner of ribs."""
    arm, collar = tube((0.52, 0.4), (0.62, 1.2), 0.06, hollow=0.6), tube((0.0, 0.2), (0.48, 0.22), 0.025, hollow=0.3)
    ball, blade = solid(blot(0.5, 0.35, 0.1, 0.1)), 0.5 * solid(blot(0.25, 0.5, 0.16, 0.28, turn=0.3))
    bones = joined(ball, arm, collar, blade)
    for rib in range(int(rng.integers(2, 5))):
        bones = joined(bones, 0.4 * tube((-0.1, 0.3 + 0.13 * rib), (0.25, 0.45 + 0.13 * rib), 0.02))
    flesh = joined(thickness(blot(0.35, 0.7, 0.45, 0.6)), tube((0.55, 0.3), (0.65, 1.2), 0.16))
    return limb(bones, flesh, rng)


def skull(rng: Rng) -> Grey:
    """From the front with orbits, or from the side with the jaw; teeth, spine."""
    x, y = rng.uniform(0.45, 0.55), rng.uniform(0.38, 0.48)
    wide, high = rng.uniform(0.26, 0.33), rng.uniform(0.3, 0.38)
    vault = blot(x, y, wide, high)
    value = 0.35 * thickness(vault) + 0.45 * (solid(vault) - solid(blot(x, y, wide * 0.92, high * 0.93)))
    if rng.random() < 0.5:
        for off in (-0.11, 0.11):
            value -= 0.15 * solid(blot(x + off, y + 0.1, 0.07, 0.055), 0.3)
        value -= 0.15 * solid(blot(x, y + 0.2, 0.035, 0.07), 0.3)
    else:
        value += 0.25 * solid(blot(x - 0.17, y + 0.3, 0.13, 0.1, turn=0.5), 0.4)
        value += 0.2 * solid(blot(x + 0.05, y + 0.22, 0.1, 0.06), 0.4)
    value += 0.35 * tube((x - 0.1, y + 0.36), (x + 0.1, y + 0.36), 0.05)
    for tooth in range(8):
        value += 0.25 * solid(blot(x - 0.1 + 0.028 * tooth, y + 0.33, 0.01, 0.03), 0.2)
    value += 0.3 * tube((x + 0.05, y + 0.35), (x + 0.06, 1.2), 0.07)
    return blurred((value + 0.02 * clouds(rng, 1.5)).astype(np.float32), rng.uniform(0.002, 0.006))


def pelvis(rng: Rng) -> Grey:
    """Two wings, sacrum, hips and thighs; or one hip alone."""
    y, gap = rng.uniform(0.3, 0.42), rng.uniform(0.2, 0.26)
    bones = 0.6 * solid(blot(0.5, y + 0.05, 0.09, 0.16), 0.3)
    for side in (-1, 1):
        x, turn, low = 0.5 + side * gap, side * 0.5, (0.5 + side * 0.1, y + 0.36)
        wing = solid(blot(x, y, 0.16, 0.2, turn=turn), 0.2) - 0.5 * solid(blot(x, y, 0.11, 0.14, turn=turn), 0.5)
        ring = solid(blot(*low, 0.09, 0.08)) - solid(blot(*low, 0.055, 0.045))
        hip = (0.5 + side * (gap + 0.07), y + 0.3)
        neck = tube(hip, (hip[0] + side * 0.1, hip[1] + 0.08), 0.045)
        thigh = tube((hip[0] + side * 0.1, hip[1] + 0.06), (hip[0] + side * 0.05, 1.3), 0.06, hollow=0.6)
        bones = joined(bones, 0.7 * wing, solid(blot(*hip, 0.075, 0.075), 0.2) * 0.9, neck, thigh, 0.7 * ring)
    bones = joined(bones, _column(rng, 0.5, -0.1, y - 0.05))
    value = limb(bones, thickness(blot(0.5, 0.5, 0.62, 0.9)), rng)
    if rng.random() < 0.4:  # one hip of it
        half = value[64:230, 128:] if rng.random() < 0.5 else value[64:230, :128]
        return np.asarray(np.kron(half[:128], np.ones((2, 2), np.float32)), np.float32)[:256, :256]
    return value


def _column(rng: Rng, x: float, top: float, bottom: float) -> Grey:
    """Vertebrae with pedicles and spinous processes."""
    bones, step = blank(), rng.uniform(0.09, 0.13)
    for place in np.arange(top, bottom, step):
        body = solid(blot(x, place + step / 2, 0.07, step * 0.42, power=4), 0.3)
        bones = joined(bones, 0.75 * body)
        for off in (-0.04, 0.04):
            bones += 0.15 * solid(blot(x + off, place + step * 0.45, 0.015, 0.02))
        bones += 0.15 * solid(blot(x, place + step * 0.6, 0.012, 0.03))
        bones = joined(bones, 0.4 * tube((x - 0.13, place + step / 2), (x + 0.13, place + step / 2), 0.012))
    return bones


def spine(rng: Rng) -> Grey:
    """A column from the front, or leaning and curved from the side, in a strip of soft tissue."""
    bones, x = blank(), rng.uniform(0.4, 0.6)
    if rng.random() < 0.5:
        bones = _column(rng, x, -0.1, 1.1)
    else:
        curve, step = rng.uniform(-0.15, 0.15), rng.uniform(0.11, 0.17)
        for place in np.arange(-0.05, 1.05, step):
            at = x + curve * np.sin(3 * place)
            bones = joined(bones, 0.8 * solid(blot(at, place, step * 0.55, step * 0.4, power=4, turn=curve), 0.3))
            bones = joined(bones, 0.5 * tube((at + 0.1, place), (at + 0.22, place + 0.06), 0.025))
    return limb(bones, solid(blot(0.5, 0.5, rng.uniform(0.35, 0.8), 2.0), 0.6), rng)


def abdomen(rng: Rng) -> Grey:
    """A plain film of the belly: column, wings of the pelvis, gas in loops of bowel, no lungs."""
    bones = joined(_column(rng, 0.5, -0.1, 0.75), 0.6 * solid(blot(0.5, 0.85, 0.1, 0.15), 0.3))
    for side in (-1, 1):
        bones = joined(bones, 0.55 * solid(blot(0.5 + side * 0.27, 0.85, 0.16, 0.18, turn=side * 0.5), 0.3))
        for rib in range(int(rng.integers(1, 4))):
            start, end = (0.5 + side * 0.12, 0.1 * rib), (0.5 + side * 0.42, 0.1 * rib + 0.1)
            bones = joined(bones, 0.3 * tube(start, end, 0.015))
    flesh = solid(blot(0.5, 0.5, rng.uniform(0.42, 0.6), 2.0), 0.4)
    value = limb(bones, flesh, rng)
    for _ in range(int(rng.integers(6, 22))):
        gas = solid(blot(*rng.uniform(0.15, 0.85, 2), *rng.uniform(0.02, 0.08, 2), turn=rng.uniform(0, 3)), 0.6)
        value -= rng.uniform(0.04, 0.15) * gas
    return blurred(value.astype(np.float32), 0.004)


def slice_of_body(rng: Rng) -> Grey:
    """A CT slice: fat, organs, a bright vertebra, ribs; in the chest, two black lungs."""
    x, y, wide, high = 0.5, rng.uniform(0.45, 0.55), rng.uniform(0.32, 0.48), rng.uniform(0.22, 0.4)
    value = 0.3 * solid(blot(x, y, wide, high)) + 0.25 * solid(blot(x, y, wide * 0.88, high * 0.86))
    if rng.random() < 0.3:
        for side in (-1, 1):
            value -= 0.5 * solid(blot(x + side * wide * 0.45, y, wide * 0.32, high * 0.6))
    else:
        for _ in range(int(rng.integers(5, 14))):
            at = (x + rng.uniform(-0.6, 0.6) * wide, y + rng.uniform(-0.6, 0.4) * high)
            organ = blot(*at, *rng.uniform(0.03, 0.12, 2))
            value += rng.uniform(-0.3, 0.35) * solid(organ, 0.1)
    value += 0.5 * solid(blot(x, y + high * 0.6, 0.05, 0.045)) - 0.3 * solid(blot(x, y + high * 0.72, 0.02, 0.015))
    for angle in rng.uniform(0, 2 * np.pi, int(rng.integers(6, 14))):
        at = (x + 0.86 * wide * np.cos(angle), y + 0.84 * high * np.sin(angle))
        value += 0.5 * solid(blot(*at, 0.025, 0.009, turn=angle + 1.57))
    if rng.random() < 0.6:
        value += 0.3 * tube((0.15, y + high + 0.06), (0.85, y + high + 0.06), 0.006)
    return _labelled(value * solid(blot(x, y, wide + 1, high + 0.1)), rng)


def slice_of_head(rng: Rng) -> Grey:
    """A CT slice of the head, or an MR slice without the white bone; folds, ventricles."""
    x, y, wide, high = 0.5, 0.5, rng.uniform(0.25, 0.38), rng.uniform(0.32, 0.45)
    head, inner = blot(x, y, wide, high), blot(x, y, wide * 0.88, high * 0.9)
    folds = np.sin(6 * clouds(rng, 2.0) + 20 * inner)
    ring = rng.choice([0.9, 0.15])
    brain = rng.uniform(0.25, 0.5) + rng.uniform(0.03, 0.12) * folds
    value = ring * (solid(head) - solid(inner)) + solid(inner) * brain
    for side in (-1, 1):
        value -= 0.25 * solid(blot(x + side * 0.05, y - 0.03, 0.025, 0.12, turn=side * 0.3), 0.2)
    return _labelled(value, rng)


def side_of_head(rng: Rng) -> Grey:
    """An MR picture of head and neck from the side: brain, brain stem, cord."""
    x, y = rng.uniform(0.4, 0.5), rng.uniform(0.3, 0.4)
    value = 0.5 * solid(blot(x, y, 0.32, 0.28)) * (1 + 0.3 * np.sin(5 * clouds(rng, 1.8)))
    value += 0.6 * (solid(blot(x, y, 0.36, 0.32)) - solid(blot(x, y, 0.33, 0.29)))
    value += 0.4 * tube((x + 0.02, y + 0.2), (x + 0.1, 1.2), 0.045) + 0.4 * solid(blot(x + 0.12, y + 0.2, 0.1, 0.08))
    value += 0.25 * tube((x, y + 0.35), (x + 0.02, 1.2), 0.2)
    return _labelled(value.astype(np.float32), rng)


def ultrasound(rng: Rng) -> Grey:
    """A fan of speckle with dark cysts and bright walls."""
    u, v = grid()
    top, half = rng.uniform(-0.1, 0.1), rng.uniform(0.4, 0.9)
    angle, depth = np.arctan2(u - 0.5, v - top), np.hypot(u - 0.5, v - top)
    fan = (np.abs(angle) < half) & (depth > rng.uniform(0.05, 0.15)) & (depth < rng.uniform(0.75, 0.95))
    tissue = np.exp(0.6 * clouds(rng, 1.3)) * np.exp(-1.2 * depth)
    for _ in range(int(rng.integers(1, 6))):
        hole = blot(rng.uniform(0.3, 0.7), rng.uniform(0.3, 0.8), *rng.uniform(0.03, 0.13, 2), turn=rng.uniform(0, 3))
        tissue = tissue * (1 - 0.9 * solid(hole, 0.1)) + 0.6 * (solid(hole) - solid(hole - 0.25)).clip(0)
    speckle = rng.rayleigh(0.8, tissue.shape)
    return _labelled((blurred((tissue * speckle).astype(np.float32), 0.003) * fan).astype(np.float32), rng)


def breast(rng: Rng) -> Grey:
    """A mammogram: one half ellipse at the edge, strands and blots in it."""
    shape = blot(0.0, rng.uniform(0.45, 0.55), rng.uniform(0.45, 0.8), rng.uniform(0.35, 0.5))
    strands = np.exp(0.8 * clouds(rng, 1.7))
    value = 0.25 * solid(shape) + 0.2 * thickness(shape) * strands
    value += 0.25 * solid(blot(0.0, 0.05, 0.25, 0.3, turn=0.5))
    return np.asarray(value, np.float32)


def teeth(rng: Rng) -> Grey:
    """A panoramic view of both rows of teeth, or a few of them."""
    value = 0.25 + 0.06 * clouds(rng, 1.8)
    size = rng.choice([0.028, 0.07])
    for row, sign in ((0.42, 1), (0.58, -1)):
        for place in np.arange(0.05, 1, size * 2.1):
            y = row + 0.3 * (place - 0.5) ** 2 - 0.04
            value += 0.35 * solid(blot(place, y, size, size * 1.2, power=3), 0.2)
            value += 0.2 * solid(blot(place, y - sign * size * 1.8, size * 0.5, size * 1.8), 0.3)
    value += 0.25 * solid(blot(0.5, 0.95, 0.6, 0.12), 0.4) - 0.2 * solid(blot(0.5, 0.15, 0.3, 0.12), 0.6)
    return value.astype(np.float32)


def vessels(rng: Rng) -> Grey:
    """An angiogram: a dark or bright tree on an even background."""
    value = blank(0.5) + 0.05 * clouds(rng, 2.0)
    ends = [(rng.uniform(0.2, 0.8), 1.05, -np.pi / 2, 0.025)]
    for _ in range(40):
        x, y, angle, wide = ends.pop(0)
        step = rng.uniform(0.06, 0.14)
        to = (x + step * np.cos(angle), y + step * np.sin(angle))
        value -= 0.4 * tube((x, y), to, wide)
        ends += [(*to, angle + rng.normal(0, 0.5), wide * 0.85) for _ in range(1 + int(rng.random() < 0.5))]
    return value.astype(np.float32)


def _labelled(value: Grey, rng: Rng) -> Grey:
    """Sometimes with a scale or a bar of greys at the edge, as consoles draw them."""
    if rng.random() < 0.4:
        for tick in np.arange(0.1, 0.95, 0.05):
            value = joined(value, 0.8 * tube((0.96, tick), (0.985, tick), 0.004))
    if rng.random() < 0.2:
        value[40:216, 4:12] = np.linspace(1, 0, 176, dtype=np.float32)[:, None]
    return np.asarray(value, np.float32)


BODIES: tuple[Callable[[Rng], Grey], ...] = (
    hand, foot, joint, shaft, shoulder, skull, pelvis, spine, abdomen, slice_of_body, slice_of_head, side_of_head,
    ultrasound, breast, teeth, vessels,
)  # fmt: skip
