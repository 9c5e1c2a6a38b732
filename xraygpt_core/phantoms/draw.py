"""Draw a phantom: a seed in, a film with its truth and its report out."""

import numpy as np

from xraygpt_core.phantoms.anatomy import Anatomy, Floats, draw_anatomy
from xraygpt_core.phantoms.body import Tissue, body, draw_tissue
from xraygpt_core.phantoms.canvas import Canvas, inside
from xraygpt_core.phantoms.devices import choose_devices, devices
from xraygpt_core.phantoms.film import collimate, draw_exposure, expose, mark, quantise
from xraygpt_core.phantoms.findings import SIDES, Phantom, Population, Side, View, draw_labels
from xraygpt_core.phantoms.lesions import Lesions, add_nodule, draw_lesions, opacity_mask
from xraygpt_core.phantoms.skeleton import BoneLook, bones, draw_look, vessels
from xraygpt_core.phantoms.wording import write_report

_STREAM: dict[Population, int] = {"train": 1, "held_out": 2}  # equal seeds of two populations share nothing
AP_SHARE = 0.5


def draw_phantom(seed: int, population: Population = "train", side: int = 448) -> Phantom:
    """One synthetic study, the same for the same arguments.

    ``side`` is the film's width and height in pixels. Raises ValueError for a side below 128 or a negative seed.
    """
    if side < 128 or seed < 0:
        raise ValueError(f"a phantom needs side >= 128 and seed >= 0, not {side} and {seed}")
    rng = np.random.default_rng([seed, _STREAM[population]])
    labels = draw_labels(rng)
    view: View = "AP" if rng.random() < AP_SHARE else "PA"
    report = write_report(rng, labels, view, chosen := choose_devices(rng) if "device" in labels else ())
    exposure = draw_exposure(rng, population, view)
    anatomy = draw_anatomy(rng, population, view, labels)
    lesions = draw_lesions(rng, anatomy, labels)
    canvas = Canvas(side, _field_mm(exposure.field, anatomy), exposure.centre)
    attenuation = _thorax(canvas, rng, anatomy, lesions, draw_tissue(rng, view), draw_look(rng))
    if chosen:
        attenuation += devices(canvas, rng, anatomy, chosen)
    film = expose(attenuation, rng, exposure, side)
    collimate(film, rng, view)
    mark(film, rng, view)
    return Phantom(seed, population, view, labels, quantise(film, exposure.bits), exposure.bits, report)


def _field_mm(zoom: float, anatomy: Anatomy) -> float:
    """Width of the film: relative to the chest, but never so small that an apex or an angle is cut off."""
    lungs = anatomy.lungs.values()
    tall = max(lung.angle_y for lung in lungs) - min(lung.apex_y for lung in lungs)
    return max(zoom * 2 * anatomy.half_width, 1.06 * tall + 40.0)


def _thorax(
    full: Canvas, rng: np.random.Generator, anatomy: Anatomy, lesions: Lesions, tissue: Tissue, look: BoneLook
) -> Floats:
    """Attenuation of body, lungs and chest findings, shape (n, n)."""
    canvas = full.coarse()
    base, value = body(canvas, rng, anatomy, tissue)
    air = np.zeros_like(value)
    lung_only = np.zeros_like(value)
    for side in SIDES:
        cavity, lung = _cavity(canvas, anatomy, lesions, tissue, side)
        dry, haze = _dry(canvas, anatomy, lesions, side)
        filled = np.ones_like(value)
        for opacity in lesions.opacities:
            if opacity.side == side:
                mask = opacity_mask(canvas, rng, opacity, anatomy.lungs[side].sign)
                filled *= 1.0 - mask
                value += 0.16 * mask * (canvas.x * anatomy.lungs[side].sign > 0) * (1 - cavity)  # behind the heart
        air += (1.0 - tissue.lung) * (lung * filled * haze * dry)
        if side in lesions.collapse:
            free = cavity * (1.0 - lung)
            air += (1.0 - tissue.lung * tissue.free_air) * (free * dry)
            value += lesions.collapse[side].line * 4.0 * lung * (1.0 - lung) * cavity * dry
        lung_only += lung * dry * filled
        if side in lesions.effusions:
            value += (lesions.effusions[side].density - 0.9) * 0.4 * cavity * (1.0 - dry)
    value -= air * base
    film = full.enlarge(value) + bones(full, rng, anatomy, look)
    film += vessels(full, rng, anatomy, look) * full.enlarge(lung_only)
    for nodule in lesions.nodules:
        add_nodule(full, film, nodule)
    return film


def _cavity(canvas: Canvas, anatomy: Anatomy, lesions: Lesions, tissue: Tissue, side: Side) -> tuple[Floats, Floats]:
    """The pleural cavity and the lung in it, 0–1 each; equal unless there is a pneumothorax."""
    outline = anatomy.lungs[side]
    x = canvas.x * outline.sign
    medial = inside(x - anatomy.heart.border(canvas.y, side), tissue.heart_border)
    medial *= inside(outline.floor(x) - canvas.y, tissue.border) * inside(canvas.y - outline.dome(x), tissue.border)
    cavity = medial * inside(outline.wall(canvas.y) - x, tissue.border)
    collapse = lesions.collapse.get(side)
    if collapse is None:
        return cavity, cavity
    shrunk = outline.wall(canvas.y, inset=collapse.rim)
    rim = np.maximum(collapse.inset(canvas.y, outline), 0.0)
    edge = np.where(shrunk < 0, shrunk, np.maximum(shrunk, outline.wall(canvas.y) - rim)).astype(np.float32)
    top = inside(canvas.y - outline.dome(x, inset=collapse.rim), 2.0)
    return cavity, cavity * inside(edge - x, 1.2) * top


def _dry(canvas: Canvas, anatomy: Anatomy, lesions: Lesions, side: Side) -> tuple[Floats, Floats]:
    """How much of the cavity holds no fluid, and the share of air left by the haze above it, 0–1 each."""
    outline = anatomy.lungs[side]
    effusion = lesions.effusions.get(side)
    if effusion is None:
        one = np.ones((1, 1), dtype=np.float32)
        return one, one
    above: Floats = effusion.surface(canvas.x * outline.sign, outline) - canvas.y
    haze = 1.0 - effusion.veil * inside(40.0 - above, 40.0)
    return inside(above, effusion.softness), np.asarray(haze, dtype=np.float32)
