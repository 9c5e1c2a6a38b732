"""Changes that mean nothing, made to films with and without findings: what was worked on must not tell the finding."""

import numpy as np
from PIL import Image

from training_jobs.drawers.paint_heart import ratio, widen
from training_jobs.drawers.paint_scene import Scene, smooth_step
from xraygpt_core.phantoms.film import stamp

_WORDS = ("L", "R", "AP", "PA", "PORTABLE", "ERECT", "SUPINE", "SEMI-ERECT", "12", "MOBILE")
_MAY_BE_LARGE = 0.41


def neutral(scene: Scene, rng: np.random.Generator, heart_is_painted: bool) -> None:
    """Each of a few changes, or none: a softer patch, an uneven exposure, a slightly moved heart, a word."""
    if rng.random() < 0.5:
        _softer_patch(scene, rng)
    if rng.random() < 0.5:
        shade = scene.clouds(rng, 2.5) * np.float32(rng.uniform(0.0, 0.05) * scene.unit)
        scene.add(shade)
    if not heart_is_painted and rng.random() < 0.6:
        most = 0.03 if ratio(scene) < _MAY_BE_LARGE else 0.0
        widen(scene, float(rng.uniform(-0.05, most)), float(rng.uniform(0.5, 0.9)))
    if rng.random() < 0.3:
        _word(scene, rng)


def _softer_patch(scene: Scene, rng: np.random.Generator) -> None:
    """A round patch anywhere with a little less detail and another contrast, its mean kept."""
    shape = scene.lungs.shape
    x, y = (float(rng.uniform(0.1, 0.9)) * side for side in (shape[1], shape[0]))
    size = float(rng.uniform(0.1, 0.5)) * scene.lungs.half
    patch = smooth_step(np.asarray(1.5 - np.hypot(scene.x - x, scene.y - y) / size, np.float32))
    smooth = scene.large(scene.small())
    scene.value = scene.value - scene.large(patch) * np.float32(rng.uniform(-0.3, 0.7)) * (scene.value - smooth)


def _word(scene: Scene, rng: np.random.Generator) -> None:
    """Letters of lead near a corner."""
    height = scene.value.shape[0]
    letters = stamp(str(rng.choice(_WORDS)), max(8, int(height * rng.uniform(0.02, 0.05))))
    if rng.random() < 0.3:
        turned = Image.fromarray(letters).rotate(float(rng.uniform(-25, 25)), Image.Resampling.BILINEAR)
        letters = np.asarray(turned)
    room = [max(1, side - letter) for side, letter in zip(scene.value.shape, letters.shape, strict=True)]
    row, column = (
        int(room[0] * rng.uniform(0.02, 0.3)),
        int(room[1] * rng.choice([0.02, 0.8]) + rng.uniform(0, 0.18) * room[1]),
    )
    column = min(column, room[1] - 1)
    window = scene.value[row : row + letters.shape[0], column : column + letters.shape[1]]
    window += letters[: window.shape[0], : window.shape[1]] * np.float32(rng.uniform(1, 3))
