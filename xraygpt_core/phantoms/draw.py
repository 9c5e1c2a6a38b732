"""Draw a phantom: a seed in, a film with its truth and its report out."""

from collections.abc import Set
from dataclasses import dataclass

import numpy as np

from xraygpt_core.phantoms.anatomy import Anatomy, Floats, draw_anatomy
from xraygpt_core.phantoms.body import Tissue, body, draw_tissue
from xraygpt_core.phantoms.canvas import Canvas, inside
from xraygpt_core.phantoms.devices import choose_devices, devices
from xraygpt_core.phantoms.film import collimate, draw_exposure, expose, mark, quantise
from xraygpt_core.phantoms.findings import LABELS, SIDES, Phantom, PhantomReport, Population, Side, View, draw_labels
from xraygpt_core.phantoms.lesions import Lesions, add_nodule, draw_lesions, opacity_mask
from xraygpt_core.phantoms.skeleton import bones, draw_look, vessels
from xraygpt_core.phantoms.wording import write_report

_POPULATIONS: dict[Population, int] = {"train": 1, "held_out": 2}  # equal seeds of two populations share nothing
# Every part has random numbers of its own: another finding in the same chest changes that finding alone.
_PARTS = ("truth", "wording", "exposure", "anatomy", "lesions", "tissue", "body", "lungs", "bones", "devices", "film")
AP_SHARE = 0.5


@dataclass(frozen=True)
class DrawingPlan:
    """What a phantom will show and say, before a pixel is drawn."""

    view: View
    labels: frozenset[str]
    devices: tuple[str, ...]
    report: PhantomReport


def _stream(seed: int, population: Population, part: str) -> np.random.Generator:
    return np.random.default_rng([seed, _POPULATIONS[population], _PARTS.index(part)])


def plan_phantom(
    seed: int, population: Population = "train", *, labels: Set[str] | None = None, view: View | None = None
) -> DrawingPlan:
    """Truth and report of ``draw_phantom`` with the same arguments, without its pixels (0.1 ms).

    Raises ValueError for a negative seed or a label that is not in ``LABELS``.
    """
    if seed < 0:
        raise ValueError(f"a phantom needs seed >= 0, not {seed}")
    if labels is not None and not labels <= set(LABELS):
        raise ValueError(f"no such finding: {', '.join(sorted(labels - set(LABELS)))}")
    rng = _stream(seed, population, "truth")
    drawn, ap = draw_labels(rng), bool(rng.random() < AP_SHARE)
    found = drawn if labels is None else frozenset(labels)
    seen: View = view or ("AP" if ap else "PA")
    wording = _stream(seed, population, "wording")
    devices = choose_devices(wording) if "device" in found else ()
    return DrawingPlan(seen, found, devices, write_report(wording, found, seen, devices))


def draw_phantom(
    seed: int,
    population: Population = "train",
    side: int = 448,
    *,
    labels: Set[str] | None = None,
    view: View | None = None,
) -> Phantom:
    """One synthetic study, the same for the same arguments.

    ``side`` is the film's width and height in pixels. ``labels`` and ``view`` replace what the seed would have drawn.
    Raises ValueError for a side below 128, a negative seed or an unknown label.
    """
    if side < 128:
        raise ValueError(f"a phantom needs side >= 128, not {side}")
    plan = plan_phantom(seed, population, labels=labels, view=view)
    rng = {part: _stream(seed, population, part) for part in _PARTS}
    exposure = draw_exposure(rng["exposure"], population, plan.view)
    anatomy = draw_anatomy(rng["anatomy"], population, plan.view, plan.labels)
    lesions = draw_lesions(rng["lesions"], anatomy, plan.labels)
    canvas = Canvas(side, _field_mm(exposure.field, anatomy), exposure.centre)
    attenuation = _thorax(canvas, rng, anatomy, lesions, plan.view)
    if plan.devices:
        attenuation += devices(canvas, rng["devices"], anatomy, plan.devices)
    film = expose(attenuation, rng["film"], exposure, side)
    collimate(film, rng["film"], plan.view)
    mark(film, rng["film"], plan.view)
    pixels = quantise(film, exposure.bits)
    return Phantom(seed, population, plan.view, plan.labels, pixels, exposure.bits, plan.report)


def _field_mm(zoom: float, anatomy: Anatomy) -> float:
    """Width of the film: relative to the chest, but never so small that an apex or an angle is cut off."""
    lungs = anatomy.lungs.values()
    tall = max(lung.angle_y for lung in lungs) - min(lung.apex_y for lung in lungs)
    return max(zoom * 2 * anatomy.half_width, 1.06 * tall + 40.0)


def _thorax(
    full: Canvas, rng: dict[str, np.random.Generator], anatomy: Anatomy, lesions: Lesions, view: View
) -> Floats:
    """Attenuation of body, lungs and chest findings, shape (n, n)."""
    tissue, look = draw_tissue(rng["tissue"], view), draw_look(rng["bones"])
    canvas = full.coarse()
    base, value = body(canvas, rng["body"], anatomy, tissue)
    air = np.zeros_like(value)
    lung_only = np.zeros_like(value)
    for side in SIDES:
        cavity, lung = _cavity(canvas, anatomy, lesions, tissue, side)
        dry, haze = _dry(canvas, anatomy, lesions, side)
        filled = np.ones_like(value)
        for opacity in lesions.opacities:
            if opacity.side == side:
                mask = opacity_mask(canvas, rng["lungs"], opacity, anatomy.lungs[side].sign)
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
    film = full.enlarge(value) + bones(full, rng["bones"], anatomy, look)
    film += vessels(full, rng["bones"], anatomy, look) * full.enlarge(lung_only)
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
