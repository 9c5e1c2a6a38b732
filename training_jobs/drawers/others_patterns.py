"""Crude pictures of no body at all: test patterns, paper, photographs, noise, and files that were decoded wrongly."""

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from training_jobs.drawers.brush import SIDE, Grey, Rng, blank, blot, blurred, clouds, grid, solid, tube

_WORDS = [
    "report", "patient", "study", "chest", "the", "of", "and", "no", "0123", "left", "right", "lung", "AP", "normal",
    "date", "page", "table",
]  # fmt: skip


def page(rng: Rng) -> Grey:
    """Lines of text, sometimes with a frame or a table, dark on bright."""
    picture = Image.new("L", (SIDE, SIDE), 245)
    pen, size = ImageDraw.Draw(picture), int(rng.integers(7, 26))
    font, y = ImageFont.load_default(size=size), int(rng.integers(4, 40))
    while y < SIDE - size:
        line = " ".join(str(word) for word in rng.choice(_WORDS, int(rng.integers(0, 2 + 200 // size))))
        pen.text((int(rng.integers(4, 24)), y), line, fill=20, font=font)
        y += int(size * rng.choice([1.2, 1.2, 2.4]))
    if rng.random() < 0.4:
        for place in range(0, SIDE, int(rng.integers(20, 60))):
            pen.line((0, place, SIDE, place), fill=90)
    return np.asarray(np.asarray(picture, np.float32) / 255, np.float32)


def screen(rng: Rng) -> Grey:
    """Windows, buttons and bars of a screen that was captured, or a chart."""
    picture = Image.new("L", (SIDE, SIDE), int(rng.integers(0, 256)))
    pen = ImageDraw.Draw(picture)
    for _ in range(int(rng.integers(4, 25))):
        (x, y), (w, h) = rng.integers(0, SIDE, 2), rng.integers(5, 150, 2)
        box = (int(x), int(y), int(x + w), int(y + h))
        pen.rectangle(box, fill=int(rng.integers(0, 256)), outline=int(rng.integers(256)))
    for _ in range(int(rng.integers(0, 8))):
        pen.text(tuple(rng.integers(0, 220, 2).tolist()), str(rng.choice(_WORDS)), fill=int(rng.integers(256)))
    return np.asarray(np.asarray(picture, np.float32) / 255, np.float32)


def bars(rng: Rng) -> Grey:
    """Bars or a board of squares, with sharp or sinusoidal edges, at any angle."""
    u, v = grid()
    turn, count = rng.uniform(0, np.pi), rng.uniform(1.5, 40)
    wave = np.sin(2 * np.pi * count * (u * np.cos(turn) + v * np.sin(turn)))
    if rng.random() < 0.4:
        wave = wave * np.sin(2 * np.pi * count * (v * np.cos(turn) - u * np.sin(turn)))
    return np.asarray(np.sign(wave) if rng.random() < 0.6 else wave, np.float32)


def wedge(rng: Rng) -> Grey:
    """A ramp or a staircase of greys, straight or round."""
    u, v = grid()
    way = rng.integers(4)
    ramp = (u + 0 * v, v + 0 * u, u * v, np.hypot(u - 0.5, v - 0.5))[way]
    steps = int(rng.choice([0, 0, 5, 8, 11, 16]))
    return np.asarray(np.floor(ramp * steps) / steps if steps else ramp, np.float32)


def monitor_test(rng: Rng) -> Grey:
    """The kind of picture displays are checked with: patches in steps, line pairs, a frame, contrast squares."""
    value = blank(0.5)
    patches = int(rng.choice([11, 16, 18]))
    for patch in range(patches):
        row, column = divmod(patch, 6)
        y, x = 40 + 60 * row, 20 + 36 * column
        value[y : y + 34, x : x + 34] = patch / (patches - 1)
        value[y + 12 : y + 22, x + 12 : x + 22] += rng.choice([-0.05, 0.05])
    for x in (4, 212):
        for y in (4, 212):
            value[y : y + 40 : 2, x : x + 40] = 1
            value[y : y + 40, x : x + 40 : 4] = 0
    value[:2], value[-2:], value[:, :2], value[:, -2:] = 1, 1, 1, 1
    return value


def star(rng: Rng) -> Grey:
    """Spokes or rings around a middle."""
    u, v = grid()
    x, y = rng.uniform(0.4, 0.6, 2)
    if rng.random() < 0.5:
        wave = np.sin(int(rng.integers(6, 60)) * np.arctan2(v - y, u - x))
    else:
        away = np.hypot(u - x, v - y)
        wave = np.sin(rng.uniform(10, 160) * away ** rng.choice([1.0, 2.0]))
    return np.asarray(np.sign(wave) if rng.random() < 0.5 else wave, np.float32)


def device_test(rng: Rng) -> Grey:
    """What detectors are checked with: wires, holes in rows, steps of metal in a plate."""
    value = blank(0.4) + 0.02 * clouds(rng, 1.0)
    for _ in range(int(rng.integers(2, 8))):
        a, b = rng.uniform(0, 1, 2), rng.uniform(0, 1, 2)
        value += 0.4 * tube((a[0], a[1]), (b[0], b[1]), rng.uniform(0.003, 0.012))
    for row in np.arange(0.15, 0.9, 0.12):
        for column in np.arange(0.15, 0.9, 0.12):
            value += rng.choice([-0.25, 0.25]) * row * solid(blot(column, row, 0.03, 0.03))
    return value.astype(np.float32)


def noise(rng: Rng) -> Grey:
    """White noise of some distribution, some grain, sometimes within a frame or with a marker."""
    step = int(rng.choice([1, 1, 2, 4, 8]))
    shape = (SIDE // step, SIDE // step)
    kinds = (rng.standard_normal(shape), rng.random(shape), rng.random(shape) ** 8, rng.integers(0, 2, shape))
    value = np.kron(kinds[int(rng.integers(4))], np.ones((step, step)))
    if rng.random() < 0.3:
        value[: int(rng.integers(4, 60))] = value.min()
    if rng.random() < 0.3:
        value[10:30, 200:215] = value.max()
    return np.asarray(value, np.float32)


def cloud(rng: Rng) -> Grey:
    """Amplitudes that fall with frequency as those of natural pictures do, and nothing in them."""
    return clouds(rng, rng.uniform(0.5, 2.5))


def leaves(rng: Rng) -> Grey:
    """Shapes that lie over one another, each with a shade and a texture, as in a photograph."""
    value, texture = blank(0.5), clouds(rng, 1.2)
    for _ in range(int(rng.integers(20, 120))):
        size = 0.4 * rng.random() ** 2 + 0.02
        x, y = rng.uniform(0, 1, 2)
        shape = blot(x, y, size, size * rng.uniform(0.3, 1), turn=rng.uniform(0, 3), power=rng.choice([2, 8]))
        inside = solid(shape, 0.03)
        value = value * (1 - inside) + inside * (rng.random() + rng.uniform(0, 0.15) * texture)
    return blurred(value.astype(np.float32), rng.uniform(0, 0.004))


def scene(rng: Rng) -> Grey:
    """Sky, ground, walls with windows: edges that are straight and level."""
    u, v = grid()
    value = (0.9 - 0.4 * v + 0.0 * u) + 0.05 * clouds(rng, 2.0)
    horizon = rng.uniform(0.4, 0.8)
    value = np.where(v > horizon, 0.3 + 0.1 * clouds(rng, 1.0), value)
    for _ in range(int(rng.integers(1, 6))):
        left, wide, top = rng.uniform(0, 0.9), rng.uniform(0.08, 0.4), rng.uniform(0.05, 0.6)
        wall = (u > left) & (u < left + wide) & (v > top) & (v < horizon + 0.1)
        window = (np.sin(60 * u) > 0.3) & (np.sin(50 * v) > 0.2)
        value = np.where(wall, rng.uniform(0.2, 0.8) - 0.25 * window, value)
    return value.astype(np.float32)


def cells(rng: Rng) -> Grey:
    """Round things on an even ground, as under a microscope, or coins."""
    value, size = blank(0.7) + 0.03 * clouds(rng, 1.5), rng.uniform(0.015, 0.09)
    for _ in range(int(rng.integers(10, 150))):
        x, y = rng.uniform(0, 1, 2)
        radius = size * rng.uniform(0.6, 1.4)
        value -= 0.3 * solid(blot(x, y, radius, radius), 0.2) + 0.3 * solid(blot(x, y, radius / 3, radius / 3), 0.3)
    return value.astype(np.float32)


def empty_plate(rng: Rng) -> Grey:
    """A film without a patient: a gradient, faint noise, a collimated field, a marker."""
    u, v = grid()
    value = 0.5 + rng.uniform(-0.3, 0.3) * u + rng.uniform(-0.3, 0.3) * v + rng.uniform(0, 0.1) * clouds(rng, 2.5)
    if rng.random() < 0.5:
        value = value * solid(blot(0.5, 0.5, *rng.uniform(0.25, 0.48, 2), power=20), 0.1)
    if rng.random() < 0.5:
        value[20:40, 210:222] = 1.2
    return np.asarray(value, np.float32)


def wrong_bytes(rng: Rng) -> Grey:
    """A picture of other kinds whose rows were cut at the wrong length, or whose bytes were swapped."""
    source = (cloud, leaves, scene, cells)[int(rng.integers(4))](rng)
    low, high = float(source.min()), float(source.max())
    words = ((source - low) / (high - low) * 4095).astype(np.uint16)
    if rng.random() < 0.5:
        return np.asarray(words.byteswap(), np.float32)
    flat = np.roll(words.ravel(), int(rng.integers(SIDE)))
    wrong = int(rng.integers(SIDE // 2, SIDE))
    rows = flat[: len(flat) // wrong * wrong].reshape(-1, wrong).astype(np.float32)
    return np.asarray(Image.fromarray(rows).resize((SIDE, SIDE)), np.float32)


PATTERNS: tuple[Callable[[Rng], Grey], ...] = (
    page, screen, bars, wedge, monitor_test, star, device_test, noise, cloud, leaves, scene, cells, empty_plate,
    wrong_bytes,
)  # fmt: skip
