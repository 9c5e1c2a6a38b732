"""Findings as layers over the chest: fluid, air outside the lung, airspace shadows and round spots."""

import numpy as np

from training_jobs.drawers.contours_anatomy import Anatomy
from training_jobs.drawers.contours_curves import SIDE, UNIT_MM, Layer, Points, blurred, curve, disc, noise, wobbled

_HILUM_SHARE = 0.48
_TRIES = 80


def collapsed(rng: np.random.Generator, body: Anatomy, sign: int) -> tuple[Points, Points]:
    """The outline of a lung that has come away, from the apex, from the side or all of it, and the free part of it."""
    outline = body.lung(sign)
    hilum = np.array([sign * 0.16, body.level(_HILUM_SHARE, sign)])
    down = (outline[:, 1] + 1) / (body.dome(sign) + body.sulcus + 1)
    out = np.clip(sign * outline[:, 0] / 0.9, 0, 1)
    apical, lateral = np.clip(1 - down / 0.7, 0, 1) ** 0.7, out**1.5 * np.clip(1.25 - down, 0, 1)
    kind = rng.choice(3, p=[0.4, 0.3, 0.3])
    pull = (rng.uniform(0.28, 0.5) * apical, rng.uniform(0.2, 0.4) * lateral, rng.uniform(0.4, 0.65) * out**0.5)[kind]
    if kind == 0:
        pull = pull + 0.1 * lateral
    moved: Points = outline + (hilum - outline) * pull[:, None]
    held = np.flatnonzero(pull < 0.03)
    return moved, moved[: held[0]] if len(held) else moved


def fluid(rng: np.random.Generator, body: Anatomy, sign: int, air_above: bool, room: float) -> Layer:
    """Pleural fluid: a meniscus or, under air, a level in an erect chest; often a haze in a lying one."""
    deep = body.dome(sign) + body.sulcus + 1
    low, high = ((0.16, 0.28), (0.28, 0.5), (0.6, 0.92))[rng.choice(3, p=[0.4, 0.4, 0.2])]
    lying = body.view == "AP" and not air_above and rng.random() < 0.5
    share = max(min(rng.uniform(low, high), room), (body.sulcus + 0.18) / deep)
    if lying:
        share = max(rng.uniform(0.15, 0.28), (body.sulcus + 0.06) / deep)
    bottom = body.dome(sign) + body.sulcus
    side = bottom - share * deep
    inner = side if air_above else bottom - share * deep * rng.uniform(0.5, 0.8)
    hang = 0.0 if air_above else 0.1 * min(1.0, 3 * share)
    marks = [(1.1, side - 0.4 * hang), (0.93, side), (0.75, side + 0.7 * (inner - side) + 0.3 * hang)]
    marks += [(0.45, inner + 0.1 * hang), (0.1, inner - 0.2 * hang), (0.0, bottom + 0.5), (1.1, bottom + 0.5)]
    pool = body.pose.fill(curve((sign * x, y) for x, y in marks), soft=1.0 if air_above else 3.0)
    if lying:
        start, end = (body.pose.place(np.array([[0.5, body.level(at, sign)]]))[0, 1] for at in (0.2, 0.95))
        ramp = np.clip((np.arange(SIDE, dtype=np.float32) - start) / (end - start), 0, 1)
        pool = np.maximum(pool, np.float32(rng.uniform(0.6, 0.82) if room > 0.3 else 0.5) * ramp[:, None] ** 0.7)
    return pool * body.pose.fill(body.cavity(sign), soft=1.0)


def airspace(rng: np.random.Generator, body: Anatomy, sign: int, upper: bool, lung: Layer, raised: float) -> Layer:
    """A fluffy shadow in one zone, lobar with a straight lower border now and then."""
    beside = body.heart[(sign + 1) // 2] if not upper else sign * 0.25
    free = min(max(0.3, abs(beside) + 0.05), 0.68)
    x = rng.uniform(free + 0.06, max(free + 0.1, 0.75))
    share = rng.uniform(0.2, 0.36) if upper else rng.uniform(0.66, 0.8) - raised
    share -= 0.06 if not upper and abs(beside) > 0.6 else 0.0
    high = 0.2 * (body.dome(sign) + 1)
    patches = [
        wobbled(rng, disc(sign * (x + dx), body.level(share, sign) + dy, rng.uniform(0.16, 0.3), high * size), 0.12)
        for dx, dy, size in zip(rng.normal(0, 0.07, 3), rng.normal(0, 0.06, 3), rng.uniform(0.5, 0.95, 3), strict=True)
    ]
    blob = body.pose.fill(*patches, soft=rng.uniform(6, 12))
    grain = int(rng.integers(16, 34))
    fluff = 1.45 * blob * (1 + 0.25 * noise(rng, grain, grain) + 0.12 * noise(rng, 70, 70)) - 0.35
    edge = body.level(0.48 if upper else 0.57, sign)
    beyond = 1.5 if upper else -1.5
    if upper and rng.random() < 0.25:
        whole = curve([(0.1, -1.1), (1.1, -1.1), (1.1, edge), (1.1, edge), (0.1, edge - 0.05), (0.1, edge - 0.05)])
        fluff = body.pose.fill(whole * (sign, 1.0), soft=1.2) * (0.9 + 0.12 * noise(rng, 30, 30))
    zone = body.pose.fill(_box(-1.2, 1.2, edge - beyond, edge), soft=2.0)
    amount = np.float32(rng.uniform(0.55, 0.8))
    shadow: Layer = np.clip(fluff, 0, 1) * zone * lung * amount
    if rng.random() < 0.5:
        shadow *= 1 - 0.28 * _bronchi(rng, body, sign, x, share)
    return shadow


def spots(rng: np.random.Generator, body: Anatomy, free: Layer) -> Layer:
    """Round spots of 9 to 30 mm, or one mass of up to 50 mm, where the lung is ``free``."""
    mass = rng.random() < 0.25
    sizes = [rng.uniform(30, 50)] if mass else rng.uniform(10, 30, rng.choice([1, 2, 3, 4], p=[0.6, 0.2, 0.1, 0.1]))
    shadow = np.zeros((SIDE, SIDE), dtype=np.float32)
    for size in sizes:
        radius = float(size) / UNIT_MM / 2
        room = blurred(free, float(radius * body.pose.unit) * 1.2 + 1)
        across = rng.choice([-1, 1], _TRIES) * rng.uniform(0.3, 0.85, _TRIES)
        tries = np.stack([across, rng.uniform(-0.9, body.domes[1], _TRIES)], axis=1)
        columns, rows = np.clip(body.pose.place(tries), 0, SIDE - 1).astype(int).T
        fit = room[rows, columns]
        x, y = tries[int(np.argmax(fit > 0.96)) if (fit > 0.96).any() else int(np.argmax(fit))]
        outline = wobbled(rng, disc(x, y, radius, radius / body.pose.tall), 0.03, harmonics=4)
        amount = np.float32(rng.uniform(0.34, 0.62))
        shadow = np.maximum(shadow, amount * body.pose.fill(outline, soft=rng.uniform(1.0, 1.9)))
    return shadow


def _bronchi(rng: np.random.Generator, body: Anatomy, sign: int, x: float, share: float) -> Layer:
    """Air-filled branches that show dark in a shadow."""
    y = body.level(share, sign)
    start = np.array([sign * 0.2, body.level(_HILUM_SHARE, sign)])
    ends = np.stack([sign * (x + rng.normal(0.08, 0.1, 4)), y + rng.normal(0, 0.1, 4)], axis=1)
    middle = (start + np.array([sign * x, y])) / 2
    return body.pose.stroke([(np.stack([start, middle, end]), 0.02, 255) for end in ends], soft=1.3)


def _box(left: float, right: float, top: float, bottom: float) -> Points:
    return np.array([(left, top), (right, top), (right, bottom), (left, bottom)])
