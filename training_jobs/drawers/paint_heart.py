"""A heart made wider or narrower: the film is stretched sideways about the midline, the lung beside it gives way."""

import numpy as np

from training_jobs.drawers.paint_lungs import Grey
from training_jobs.drawers.paint_scene import Place, Scene, smooth_step

_ENLARGED = 0.49  # ratio of an enlarged heart as measured here: the outlines run outside the spine, some 0.07 below
_MOST_GROWTH = 0.22


def ratio(scene: Scene) -> float:
    """The cardiothoracic ratio as the outlines of the lungs show it."""
    wide = sum(place.heart() for place in scene.places.values())
    return wide / sum(place.wall for place in scene.places.values())


def enlarge(scene: Scene, rng: np.random.Generator) -> bool:
    """Let the ratio grow by 0.08 to 0.22; whether that makes an enlarged heart. The film is left alone otherwise."""
    now = ratio(scene)
    growth = max(float(rng.uniform(0.08, 0.17)), _ENLARGED + float(rng.uniform(0, 0.04)) - now)
    if growth > _MOST_GROWTH:
        return False
    widen(scene, growth, float(rng.uniform(0.65, 0.9)))
    return True


def widen(scene: Scene, growth: float, left: float) -> None:
    """Change the ratio by ``growth``; ``left`` is the share of the left border in it."""
    inner = sum(place.wall for place in scene.places.values())
    low = max(place.bottom for place in scene.places.values())
    high = low - min(place.top for place in scene.places.values())
    rows = np.arange(scene.value.shape[0], dtype=np.float32) / np.float32(scene.zoom)
    centre, above, below = low - 0.22 * high, 0.36 * high, 0.42 * high
    weight = smooth_step(1 - np.where(rows < centre, (centre - rows) / above, (rows - centre) / below))
    for place, share in ((scene.places["left"], left), (scene.places["right"], 1 - left)):
        _pull(scene, place, growth * inner * share, weight)


def _pull(scene: Scene, place: Place, shift: float, weight: Grey) -> None:
    """Move the heart's border of one side outwards by ``shift`` times each row's weight (grid pixels)."""
    middle, zoom = scene.lungs.midline * scene.zoom, scene.zoom
    border = max(place.heart(), 0.2 * place.wall) * zoom
    wall, spine = max(place.wall * 0.97 * zoom, border * 1.25), 0.5 * border
    width = scene.value.shape[1]
    sides = np.arange(width, dtype=np.float32)
    columns = sides[place.sign * (sides - middle) >= 0]
    away = np.abs(columns - middle)
    for row in np.flatnonzero(weight > 0.01):
        moved = float(np.clip(border + shift * zoom * float(weight[row]), spine + 2, 0.94 * wall))
        source = np.interp(away, (0, spine, moved, wall), (0, spine, border, wall))
        source = np.where(away > wall, away, source)
        line = scene.value[row]
        line[columns.astype(int)] = np.interp(middle + place.sign * source, sides, line)
