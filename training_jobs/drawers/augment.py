"""Pixel-level augmentation of training films. Never a flip: left and right are findings.

Everything is drawn from one generator, so a film's augmented picture is the same in every run.
"""

import io
import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

Grey = NDArray[np.float32]


def augment(grey: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """One random variation of an 8-bit grey picture, (height, width) in and out."""
    picture = _warp(Image.fromarray(grey), rng)
    picture = _resample(picture, rng)
    value: Grey = np.asarray(picture, dtype=np.float32) / np.float32(255)
    value = _tone(value, rng)
    value = _shade(value, rng)
    value = _grain(value, rng)
    value = _collimate(value, rng)
    return _compress((np.clip(value, 0, 1) * 255).astype(np.uint8), rng)


def _warp(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Rotate up to 8 degrees, scale each axis 0.83–1.19, shear and shift a little; what enters is the border's grey.

    The two axes are scaled apart: bodies are broad or tall, and the shape of the chest alone must not tell the view.
    """
    width, height = picture.size
    angle = math.radians(float(rng.uniform(-8, 8)))
    zoom = float(rng.uniform(0.88, 1.12))
    zx, zy = (zoom * float(rng.uniform(0.94, 1.06)) for _ in range(2))
    shear = float(rng.uniform(-0.05, 0.05))
    a, b = math.cos(angle) / zx, (math.sin(angle) + shear) / zx
    d, e = -math.sin(angle) / zy, math.cos(angle) / zy
    cx, cy = (side / 2 + float(rng.uniform(-0.07, 0.07)) * side for side in (width, height))
    coefficients = (a, b, cx - a * width / 2 - b * height / 2, d, e, cy - d * width / 2 - e * height / 2)
    fill = int(rng.choice([0, int(np.median(np.asarray(picture)[:, :4]))]))
    return picture.transform(
        picture.size, Image.Transform.AFFINE, coefficients, Image.Resampling.BILINEAR, fillcolor=fill
    )


def _resample(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Blur, sharpen, or lose resolution."""
    match int(rng.integers(7)):
        case 0:
            return picture.filter(ImageFilter.GaussianBlur(float(rng.uniform(0.3, 2.0))))
        case 1:
            return picture.filter(ImageFilter.UnsharpMask(float(rng.uniform(1, 6)), int(rng.uniform(50, 250)), 0))
        case 2:
            small = [max(96, int(side * rng.uniform(0.4, 0.9))) for side in picture.size]
            return picture.resize((small[0], small[1]), Image.Resampling.BILINEAR).resize(picture.size)
        case 3:
            return picture.filter(ImageFilter.MedianFilter(int(rng.choice([3, 5]))))
        case _:
            return picture


def _tone(value: Grey, rng: np.random.Generator) -> Grey:
    """A gamma, then a random monotone curve, then window and level."""
    value = value ** np.float32(np.exp(rng.uniform(-0.6, 0.6)))
    if rng.random() < 0.5:
        steps = np.concatenate([[0.0], np.cumsum(rng.uniform(0.3, 1.7, 6))])
        value = np.interp(value, np.linspace(0, 1, 7), steps / steps[-1]).astype(np.float32)
    low, high = rng.uniform(-0.1, 0.12), rng.uniform(0.85, 1.15)
    return ((value - np.float32(low)) / np.float32(high - low)).astype(np.float32)


def _shade(value: Grey, rng: np.random.Generator) -> Grey:
    """A smooth gradient across the film and a faint cloudy texture."""
    coarse = rng.normal(0, 1, (4, 4)).astype(np.float32)
    fine = rng.normal(0, 1, (24, 24)).astype(np.float32)
    shaded: Grey = (
        value
        + _stretch(coarse, value.shape) * np.float32(rng.uniform(0, 0.06))
        + _stretch(fine, value.shape) * (np.float32(rng.uniform(0, 0.015)))
    )
    return shaded


def _stretch(field: Grey, shape: tuple[int, ...]) -> Grey:
    image = Image.fromarray(field).resize((shape[1], shape[0]), Image.Resampling.BICUBIC)
    return np.asarray(image, dtype=np.float32)


def _grain(value: Grey, rng: np.random.Generator) -> Grey:
    """Detector noise, white or of a coarser grain."""
    if rng.random() < 0.4:
        return value
    step = int(rng.choice([1, 1, 1, 2, 3]))
    shape = (-(-value.shape[0] // step), -(-value.shape[1] // step))
    noise = rng.standard_normal(shape, dtype=np.float32) * np.float32(rng.uniform(0, 0.05) / step**0.5)
    return value + noise.repeat(step, 0).repeat(step, 1)[: value.shape[0], : value.shape[1]]


def _collimate(value: Grey, rng: np.random.Generator) -> Grey:
    """Sometimes a plain margin, and sometimes a bright marker in a corner."""
    if rng.random() < 0.25:
        value = value.copy()
        shade = np.float32(rng.choice([0.0, 0.0, 0.05, 1.0]))
        top, bottom, left, right = (int(rng.uniform(0, 0.05) * value.shape[0]) for _ in range(4))
        value[:top], value[:, :left] = shade, shade
        value[value.shape[0] - bottom :], value[:, value.shape[1] - right :] = shade, shade
    if rng.random() < 0.2:
        value = value.copy()
        y, x = int(rng.uniform(0.02, 0.1) * value.shape[0]), int(rng.uniform(0.02, 0.95) * value.shape[1])
        value[y : y + int(rng.uniform(5, 22)), x : x + int(rng.uniform(5, 30))] = 1
    return value


def _compress(grey: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    if rng.random() < 0.7:
        return grey
    buffer = io.BytesIO()
    Image.fromarray(grey).save(buffer, "JPEG", quality=int(rng.uniform(25, 90)))
    return np.asarray(Image.open(buffer))
