"""What happens at the film: scatter, blur, quantum noise, the film's curve, and what is written on it."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from training_jobs.drawers.solids_rays import Plane, soften
from xraygpt_core.phantoms.findings import View

WORDS = {
    "AP": ("PORTABLE", "AP", "SUPINE", "AP PORTABLE", "SEMI UPRIGHT"),
    "PA": ("PA", "ERECT", "PA ERECT", "UPRIGHT"),
}


def expose(path: Plane, rng: np.random.Generator) -> NDArray[np.uint8]:
    """The film behind optical paths (side, side): grey with dense tissue white."""
    light = soften(np.exp(-path), int(rng.integers(1, 4)))
    side = len(path)
    small = Image.fromarray(light).resize((9, 9), Image.Resampling.BOX)
    fog = np.asarray(small.resize((side, side), Image.Resampling.BICUBIC))
    light = light + rng.uniform(0.03, 0.3) * np.clip(fog, 0.01, 0.3) + 0.004
    noise = rng.standard_normal(light.shape, dtype=np.float32) * np.float32(rng.uniform(0.002, 0.012))
    dark = -np.log(light) + noise * np.sqrt(0.2 / light)
    ranked = np.sort(dark[::5, ::5], axis=None)
    low = ranked[int(len(ranked) * rng.uniform(0.01, 0.12))] - rng.uniform(0, 0.35)
    high = ranked[int(len(ranked) * rng.uniform(0.965, 0.998))] + rng.uniform(0, 0.4)
    tone = np.clip((dark - low) / (high - low), 0, 1) ** rng.uniform(0.75, 1.45)
    bend = rng.uniform(-0.3, 0.8)
    tone = tone + bend * tone * (1 - tone) * (2 * tone - 1)
    floor, ceiling = rng.uniform(0, 40), rng.uniform(215, 255)
    grey: NDArray[np.uint8] = (floor + (ceiling - floor) * np.clip(tone, 0, 1)).astype(np.uint8)
    return grey


def mark(grey: NDArray[np.uint8], view: View, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Roll, collimation, the side's letter and perhaps a word of ``view``; never a word of the other."""
    image = Image.fromarray(grey)
    border = int(rng.choice((0, 0, 0, 255, 12)))
    roll = float(rng.normal(0, 2.2 if view == "AP" else 1.2))
    side, inset = image.width, int(rng.choice((0, 8, 8, 8)))
    image = image.rotate(roll, Image.Resampling.BILINEAR, fillcolor=border)
    image = image.resize((side, side), Image.Resampling.BILINEAR, (inset, inset, side - inset, side - inset))
    draw = ImageDraw.Draw(image)
    _collimate(draw, image.width, view, border, rng)
    ink = int(rng.choice((255, 240, 215)))
    if rng.random() < 0.8:
        letter = "L" if rng.random() < 0.6 else "R"
        x = rng.uniform(0.86, 0.93) if letter == "L" else rng.uniform(0.04, 0.1)
        _write(draw, letter, (x * image.width, rng.uniform(0.12, 0.35) * image.width), rng.uniform(11, 20), ink)
    if rng.random() < (0.55 if view == "AP" else 0.4):
        word = str(rng.choice(WORDS[view]))
        x = rng.uniform(0.03, 0.14) if rng.random() < 0.4 else rng.uniform(0.55, 0.68)
        y = rng.uniform(0.01, 0.06) if rng.random() < 0.8 else rng.uniform(0.9, 0.94)
        _write(draw, word, (x * image.width, y * image.width), rng.uniform(9, 14), ink)
    return np.asarray(image)


def _collimate(draw: ImageDraw.ImageDraw, side: int, view: View, border: int, rng: np.random.Generator) -> None:
    for edge in range(4):
        if rng.random() > (0.3 if view == "AP" else 0.15):
            continue
        first = rng.uniform(0, 0.045) * side
        last = first + (rng.normal(0, 0.02) * side if view == "AP" else 0)
        corners = [(0.0, 0.0), (float(side), 0.0), (float(side), last), (0.0, first)]
        if edge >= 2:
            corners = [(x, side - y) for x, y in corners]
        if edge % 2:
            corners = [(y, x) for x, y in corners]
        draw.polygon(corners, fill=border)


def _write(draw: ImageDraw.ImageDraw, text: str, place: tuple[float, float], size: float, ink: int) -> None:
    font = ImageFont.load_default(size=size)
    if ink == 215:
        left, top, right, low = draw.textbbox(place, text, font=font)
        draw.rectangle((left - 2, top - 2, right + 2, low + 2), fill=ink)
        ink = 10
    draw.text(place, text, fill=ink, font=font)
