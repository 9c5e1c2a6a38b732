"""Weights and pictures that depend on nothing but their name: the same here and where the references were computed."""

import io
import zlib
from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image


def seeded(name: str, shape: Sequence[int]) -> np.ndarray:
    """Float32 numbers of a size that keeps a deep network alive."""
    noise = np.random.default_rng(zlib.crc32(name.encode())).standard_normal(tuple(shape), dtype=np.float32)
    if name.endswith("running_var"):
        return np.abs(noise) * np.float32(0.2) + np.float32(0.8)
    if len(shape) < 2:
        return np.asarray(noise * np.float32(0.05) + np.float32(1.0 if name.endswith(("weight", "lambda1")) else 0.0))
    inputs = int(np.prod(tuple(shape)[1:])) if name.endswith("weight") else 2500
    return noise * np.float32(1.0 / np.sqrt(inputs))


def seeded_state(shapes: Mapping[str, Sequence[int]]) -> dict[str, np.ndarray]:
    """A state dict of :func:`seeded` tensors."""
    return {name: seeded(name, shape) for name, shape in shapes.items()}


def picture(width: int = 300, height: int = 260) -> Image.Image:
    """A grey picture with large shapes and fine grain."""
    rng = np.random.default_rng(7)
    coarse = Image.fromarray(rng.integers(0, 255, (6, 5), dtype=np.uint8)).resize((width, height), Image.BICUBIC)
    grain = rng.integers(-20, 20, (height, width))
    return Image.fromarray(np.clip(np.asarray(coarse).astype(int) + grain, 0, 255).astype(np.uint8))


def picture_png(width: int = 300, height: int = 260) -> bytes:
    """The same as a PNG."""
    buffer = io.BytesIO()
    picture(width, height).save(buffer, "PNG")
    return buffer.getvalue()
