"""From shades to a film: the hand of a style, exposure, grain, collimation, borders and words."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from training_jobs.drawers.contours_curves import SIDE, Layer, blurred, noise
from xraygpt_core.phantoms.findings import View

_WORDS = {
    "AP": ("PORTABLE", "AP", "SUPINE", "AP PORTABLE", "AP SUPINE", "MOBILE"),
    "PA": ("PA", "ERECT", "PA ERECT", "PA CHEST", "UPRIGHT"),
}
_WORD_CHANCE = {"AP": 0.45, "PA": 0.25}


def developed(rng: np.random.Generator, shades: Layer, view: View) -> NDArray[np.uint8]:
    """Shades of 0 (black) to 1 (bone) as a film of one of four styles, (SIDE, SIDE)."""
    style = (_soft, _hard, _equalised, _printed)[rng.choice(4, p=[0.35, 0.2, 0.25, 0.2])]
    film = style(rng, np.clip(shades, 0, 1))
    film = np.clip(film, 0, 1) ** np.float32(np.exp(rng.normal(0.04, 0.2)))
    film = film + np.float32(rng.uniform(0.004, 0.02)) * noise(rng, SIDE, SIDE)
    blur = rng.uniform(-0.6, 1.1)
    if blur > 0.3:
        film = blurred(film, blur)
    image = Image.fromarray((np.clip(film, 0, 1) * 255).astype(np.uint8))
    _collimate(rng, image, view)
    _write(rng, image, view)
    return np.asarray(image)


def _soft(rng: np.random.Generator, shades: Layer) -> Layer:
    low, high = rng.uniform(0.0, 0.22), rng.uniform(0.85, 1.0)
    return np.float32(low) + np.float32(high - low) * shades


def _hard(rng: np.random.Generator, shades: Layer) -> Layer:
    steep = rng.uniform(5, 7.5)
    middle = rng.uniform(0.42, 0.56)
    exposed: Layer = 1 / (1 + np.exp(-steep * (shades - middle)))
    return exposed + np.float32(0.02) * noise(rng, 150, 150)


def _equalised(rng: np.random.Generator, shades: Layer) -> Layer:
    around = blurred(shades, SIDE * rng.uniform(0.05, 0.11))
    local = np.float32(0.5) + np.float32(rng.uniform(1.1, 1.6)) * (shades - around)
    share = np.float32(rng.uniform(0.35, 0.6))
    return share * local + (1 - share) * shades


def _printed(rng: np.random.Generator, shades: Layer) -> Layer:
    low, high = rng.uniform(0.05, 0.25), rng.uniform(0.7, 0.9)
    steps = np.linspace(-1, 1, SIDE, dtype=np.float32)
    corner = np.float32(rng.uniform(0, 0.15)) * (steps[:, None] ** 2 + steps[None] ** 2)
    paper = 0.012 * noise(rng, 6, 6) + 0.008 * noise(rng, 30, 280, rng.uniform(0, 180))
    return np.float32(low) + np.float32(high - low) * shades - corner + paper.astype(np.float32)


def _collimate(rng: np.random.Generator, image: Image.Image, view: View) -> None:
    """Unexposed edges; uneven and tilted ones mostly at the bedside."""
    pencil = ImageDraw.Draw(image)
    shade = int(rng.choice([0, 12, 250], p=[0.6, 0.25, 0.15]))
    chance, slope = (0.3, 14) if view == "AP" else (0.15, 3)
    last = SIDE - 1
    for edge in range(4):
        near, far = rng.uniform(0, 10) + np.abs(rng.normal(0, slope, 2))
        if rng.random() < chance:
            near, far = float(near), float(far)
            corners = (
                [(0, 0), (last, 0), (last, near), (0, far)],
                [(0, last), (last, last), (last, last - near), (0, last - far)],
                [(0, 0), (0, last), (near, last), (far, 0)],
                [(last, 0), (last, last), (last - near, last), (last - far, 0)],
            )[edge]
            pencil.polygon(corners, fill=shade)


def _write(rng: np.random.Generator, image: Image.Image, view: View) -> None:
    pencil = ImageDraw.Draw(image)
    shade = int(rng.integers(190, 256))
    if rng.random() < 0.7:
        left = rng.random() < 0.65
        x = SIDE * (rng.uniform(0.84, 0.94) if left else rng.uniform(0.03, 0.12))
        _word(pencil, x, SIDE * rng.uniform(0.03, 0.3), "L" if left else "R", int(rng.integers(12, 24)), shade)
    if rng.random() < _WORD_CHANCE[view]:
        x = SIDE * (rng.uniform(0.02, 0.1) if rng.random() < 0.6 else rng.uniform(0.65, 0.78))
        y = SIDE * (rng.uniform(0.02, 0.15) if rng.random() < 0.8 else rng.uniform(0.88, 0.94))
        _word(pencil, x, y, str(rng.choice(_WORDS[view])), int(rng.integers(9, 15)), shade)


def _word(pencil: ImageDraw.ImageDraw, x: float, y: float, word: str, size: int, shade: int) -> None:
    pencil.text((x, y), word, fill=shade, font=ImageFont.load_default(size=size))
