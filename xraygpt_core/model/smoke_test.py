"""A loaded bundle on one picture: whether it runs at all, and whether it says today what it said then."""

import io

import numpy as np
import torch
from PIL import Image

from xraygpt_core.model.bundle import Bundle
from xraygpt_core.model.engine.engine import Engine
from xraygpt_core.model.engine.requests import Generated, SummaryRequest
from xraygpt_core.phantoms.draw import draw_phantom

_SIDE = 448
_SEED = 20_230_613  # any one phantom, always the same


def summarise_once(
    bundle: Bundle, png: bytes, *, device: str = "auto", dtype: str | None = None, question: str | None = None
) -> Generated:
    """Load the bundle as a worker does, summarise one picture, and let go of it.

    Raises:
        BundleError: the bundle does not load. InvalidRequest: the picture or the question is of no use to it.
    """
    engine = Engine(bundle, device=device, batch_size=1, dtype=getattr(torch, dtype) if dtype else None)
    try:
        return engine.submit(SummaryRequest(png, question)).result()
    finally:
        engine.close()


def phantom_png() -> bytes:
    """A synthetic film as ingest would store it: 8-bit grey."""
    pixels = draw_phantom(_SEED, side=_SIDE).pixels.astype(np.float32)
    scaled = (pixels - pixels.min()) / max(float(np.ptp(pixels)), 1.0) * 255
    buffer = io.BytesIO()
    Image.fromarray(scaled.astype(np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()
