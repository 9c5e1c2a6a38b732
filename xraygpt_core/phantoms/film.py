"""From attenuation to a film: turning, blur, noise, exposure, collimation, markers and the word SYNTHETIC."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from xraygpt_core.phantoms.anatomy import Floats, Span
from xraygpt_core.phantoms.findings import Population, View

GAMMA = Span(0.72, 1.38, 0.62, 1.55)
NOISE = Span(0.003, 0.018, 0.0005, 0.025)
TURN = Span(-3.5, 3.5, -6.0, 6.0)  # degrees
FIELD = Span(1.2, 1.55, 1.13, 1.66)  # the film's width over the chest's inner width
SHIFT = Span(-13.0, 13.0, -22.0, 22.0)  # mm
SHARPNESS = Span(0.45, 1.0, 0.36, 1.0)  # detail kept: 0.5 is a detector with half the pixels
BITS = (8, 10, 12, 14, 15)


@dataclass(frozen=True)
class Exposure:
    """How one film was taken and shown."""

    field: float  # times the inner width of the chest
    centre: tuple[float, float]
    turn: float
    gamma: float
    noise: float
    sharpness: float
    floor: float  # attenuation shown black
    ceiling: float  # attenuation shown white
    vignette: float
    bits: int


def draw_exposure(rng: np.random.Generator, population: Population, view: View) -> Exposure:
    """One film's exposure. Portable (AP) films are noisier: less dose, more scatter."""
    noise = NOISE.draw(rng, population) * (1.6 if view == "AP" else 1.0)
    return Exposure(
        field=FIELD.draw(rng, population),
        centre=(SHIFT.draw(rng, population), float(rng.uniform(-2, 26)) + 0.6 * SHIFT.draw(rng, population)),
        turn=TURN.draw(rng, population),
        gamma=GAMMA.draw(rng, population),
        noise=noise,
        sharpness=SHARPNESS.draw(rng, population),
        floor=float(rng.uniform(-0.1, 0.01)),
        ceiling=float(rng.uniform(0.92, 1.3)),
        vignette=float(rng.choice([0.0, 1.0]) * rng.uniform(0.0, 0.3)),
        bits=int(rng.choice(BITS)),
    )


def expose(attenuation: Floats, rng: np.random.Generator, exposure: Exposure, side: int) -> Floats:
    """Attenuation of the canvas (n, n) → grey 0–1 of the film (side, side)."""
    detector = side if exposure.sharpness > 0.95 else int(side * exposure.sharpness)
    value = np.array(_turn(attenuation, exposure.turn, side, detector), dtype=np.float32)
    grain = rng.standard_normal((detector, detector), dtype=np.float32)
    grain *= np.float32(exposure.noise * detector / 400)  # a larger pixel catches more quanta
    value += grain * (0.5 + np.clip(value, 0.0, 1.2))
    value -= np.float32(exposure.floor)
    value *= np.float32(1.0 / (exposure.ceiling - exposure.floor))
    np.clip(value, 0.0, 1.0, out=value)
    np.power(value, np.float32(exposure.gamma), out=value)
    if exposure.vignette > 0:
        edge = np.linspace(-1, 1, detector, dtype=np.float32) ** 2
        value *= 1.0 - np.float32(0.5 * exposure.vignette) * (edge[None, :] + edge[:, None])
    if detector < side:
        value = np.array(Image.fromarray(value).resize((side, side), Image.Resampling.BILINEAR))
    return value


def _turn(attenuation: Floats, degrees: float, side: int, detector: int) -> Image.Image:
    """Turn the canvas about its middle and cut the film out of it, sampled with ``detector`` pixels a side."""
    n = attenuation.shape[0]
    angle = np.deg2rad(degrees)
    step = side / detector
    cos, sin = step * float(np.cos(angle)), step * float(np.sin(angle))
    middle, half = n / 2, detector / 2
    shift_x = middle - cos * half + sin * half
    shift_y = middle - sin * half - cos * half
    image = Image.fromarray(attenuation)
    return image.transform(
        (detector, detector), Image.Transform.AFFINE, (cos, -sin, shift_x, sin, cos, shift_y), Image.Resampling.BILINEAR
    )


def collimate(film: Floats, rng: np.random.Generator, view: View) -> None:
    """Darken a border in place. Portable films are collimated by hand: often, unevenly, a little oblique."""
    side = film.shape[0]
    if rng.random() > (0.6 if view == "AP" else 0.3):
        return
    deepest = 0.075 if view == "AP" else 0.05
    left, top, right, bottom = (float(rng.uniform(0.0, deepest)) * side for _ in range(4))
    skew = float(rng.normal(0, 0.012)) if view == "AP" else 0.0
    along = np.arange(side, dtype=np.float32)
    shade = np.float32(rng.uniform(0.0, 0.08))
    columns, rows = along[None, :], along[:, None]
    outside = (columns < left + skew * rows) | (columns > side - right + skew * rows)
    outside |= (rows < top - skew * columns) | (rows > side - bottom - skew * columns)
    film[outside] = shade


@lru_cache(maxsize=256)
def stamp(text: str, height: int) -> Floats:
    """Text as an array of 0–1, about ``height`` pixels high, in Pillow's built-in font."""
    font = ImageFont.load_default(size=height)
    left, top, right, bottom = font.getbbox(text)
    image = Image.new("L", (int(right - left) + 2, int(bottom - top) + 2))
    ImageDraw.Draw(image).text((1 - left, 1 - top), text, fill=255, font=font)
    letters = np.asarray(image, dtype=np.float32) * np.float32(1 / 255)
    letters.setflags(write=False)
    return letters


def _put(film: Floats, text: str, height: int, x: int, y: int, ink: float) -> None:
    letters = stamp(text, height)
    side = film.shape[0]
    rows, columns = letters.shape
    y, x = min(max(y, 0), side - rows), min(max(x, 0), side - columns)
    window = film[y : y + rows, x : x + columns]
    window += letters * (ink - window)


def mark(film: Floats, rng: np.random.Generator, view: View) -> None:
    """Write on the film in place: SYNTHETIC at the top edge always; often a side marker, sometimes the view."""
    side = film.shape[0]
    size = int(side * rng.uniform(0.035, 0.06))
    if rng.random() < 0.75:
        letter, on_left = ("R", True) if rng.random() < 0.5 else ("L", False)
        near = int(side * rng.uniform(0.03, 0.1))
        x = near if on_left else side - near - size
        _put(film, letter, size, x, int(side * rng.uniform(0.05, 0.12)), float(rng.uniform(0.75, 1.0)))
    if rng.random() < 0.35:
        words = ("AP", "PORTABLE", "SUPINE", "MOBILE") if view == "AP" else ("PA", "ERECT", "PA", "ERECT")
        word = words[int(rng.integers(len(words)))]
        x = int(side * rng.uniform(0.02, 0.75))
        _put(film, word, int(0.75 * size), x, int(side * rng.uniform(0.05, 0.11)), float(rng.uniform(0.6, 1.0)))
    height = max(9, round(side * 0.024))
    x = int(rng.uniform(0.3, 0.58) * side)
    plate = stamp("SYNTHETIC", height).shape
    film[2 : 2 + plate[0] + 2, x - 2 : x + plate[1] + 2] *= 0.35  # a dark plate: legible on any film
    _put(film, "SYNTHETIC", height, x, 3, 1.0)


def quantise(film: Floats, bits: int) -> npt.NDArray[np.uint16]:
    """Grey 0–1 → stored values of ``bits`` bits, uint16."""
    top = float(2**bits - 1)
    return np.asarray(np.clip(np.rint(film * np.float32(top)), 0, top), dtype=np.uint16)
