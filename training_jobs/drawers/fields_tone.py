"""From density to a developed film: curves, local contrast, noise, collimation, letters."""

from functools import cache
from math import tau

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from training_jobs.drawers.fields_grid import Grid, cloud, local_mean
from xraygpt_core.phantoms.findings import View

_WORDS: dict[View, tuple[tuple[str, ...], ...]] = {
    "AP": (("PORTABLE",), ("AP",), ("SUPINE",), ("AP", "PORTABLE"), ("AP", "SUPINE"), ("AP", "SUPINE", "PORTABLE")),
    "PA": (("PA",), ("ERECT",), ("PA", "ERECT"), ("PA ERECT",)),
}


def develop(rng: np.random.Generator, density: Grid, view: View) -> NDArray[np.uint8]:
    """The film as uint8, bone white, with its letters, edges and noise; density 1 is the brightest of the body."""
    side = density.shape[0]
    film = np.clip(density, 0, 1.15)
    film = _equalise(rng, film)
    film = _curve(rng, film)
    low, high = rng.uniform(0, 40) * (rng.random() < 0.6), rng.uniform(190, 255)
    film = low + film * np.float32(high - low)
    if rng.random() < 0.8:
        grain = cloud(rng, side, side // int(rng.integers(1, 3)))
        film += grain * rng.uniform(0.3, 5.0)
    film = _collimate(rng, film, 0.5 if view == "AP" else 0.25)
    picture = Image.fromarray(np.clip(film, 0, 255).astype(np.uint8))
    if rng.random() < 0.5:
        picture = picture.filter(ImageFilter.GaussianBlur(rng.uniform(0.2, 0.9)))
    _letters(rng, picture, view)
    return np.asarray(picture)


def _equalise(rng: np.random.Generator, film: Grid) -> Grid:
    """Unsharp masking and local contrast, each of random strength and often absent."""
    side = film.shape[0]
    if rng.random() < 0.6:
        film = film + rng.uniform(0.2, 1.2) * (film - local_mean(film, rng.uniform(3, 14)))
    if rng.random() < 0.5:
        radius = side / rng.uniform(5, 9)
        mean = local_mean(film, radius)
        spread = np.sqrt(np.maximum(local_mean(np.square(film - mean), radius), 0)) + np.float32(0.07)
        share = rng.uniform(0.15, 0.55)
        air = np.clip(film * 8, 0, 1)
        film = film + share * air * (np.float32(0.5) + np.float32(0.17) * (film - mean) / spread - film)
    return np.clip(film, 0, 1.2)


def _curve(rng: np.random.Generator, film: Grid) -> Grid:
    """A random monotone curve: five rises of random share, then a power."""
    rises = 0.13 + rng.dirichlet(np.full(5, 3.0)) * 0.45
    heights = np.concatenate([[0.0], np.cumsum(rises) / rises.sum()])
    table = np.interp(np.linspace(0, 1, 512), np.linspace(0, 1, 6), heights)
    smooth = np.convolve(np.pad(table, 40, mode="edge"), np.full(81, 1 / 81), mode="valid") ** rng.uniform(0.65, 1.35)
    smooth[0] = 0.0
    return smooth.astype(np.float32)[np.clip(film * 511, 0, 511).astype(np.intp)]


def _collimate(rng: np.random.Generator, film: Grid, chance: float) -> Grid:
    """A shutter, often slanted, outside which the film is black or seldom white; sometimes a plain border."""
    side = film.shape[0]
    if rng.random() > chance:
        return film
    axis = np.arange(side, dtype=np.float32) / np.float32(side) - np.float32(0.5)
    shade = np.float32(rng.choice([0.0, 8.0, 245.0], p=[0.7, 0.2, 0.1]))
    for edge in rng.choice(4, int(rng.integers(1, 4)), replace=False):
        angle = edge * tau / 4 + rng.normal(0, 0.03)
        across, down = np.float32(np.cos(angle)), np.float32(np.sin(angle))
        limit = rng.uniform(0.42, 0.495)
        film = np.where(axis[None, :] * across + axis[:, None] * down > limit, shade, film)
    return film


@cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def _letters(rng: np.random.Generator, picture: Image.Image, view: View) -> None:
    """A side marker and a word for the view, both now and then; never a word of the other view."""
    side, pen = picture.size[0], ImageDraw.Draw(picture)
    ink = int(rng.integers(200, 256))
    is_left = rng.random() < 0.6
    if rng.random() < 0.7:
        x = side * (rng.uniform(0.86, 0.94) if is_left else rng.uniform(0.04, 0.1))
        y, size = side * rng.uniform(0.03, 0.2), int(rng.integers(11, 22))
        if rng.random() < 0.3:
            pen.rectangle((x - 3, y - 1, x + size * 0.75, y + size * 1.15), fill=ink)
            ink = 10
        elif rng.random() < 0.25:
            pen.ellipse((x - size * 0.3, y - 1, x + size * 0.9, y + size * 1.25), outline=ink)
        pen.text((x, y), "L" if is_left else "R", fill=ink, font=_font(size))
    if rng.random() < (0.6 if view == "AP" else 0.3):
        words = _WORDS[view][int(rng.integers(len(_WORDS[view])))]
        size = int(rng.integers(8, 15))
        x, y = (
            side * (rng.uniform(0.02, 0.1) if is_left else rng.uniform(0.72, 0.8)),
            side * float(rng.choice([0.03, 0.12, 0.3, 0.82])),
        )
        x = min(x, side - 4.0 - max(pen.textlength(word, font=_font(size)) for word in words))
        shade = int(rng.integers(190, 256))
        for number, word in enumerate(words):
            pen.text((x, y + number * (size + 3)), word, fill=shade, font=_font(size))
