"""A loaded bundle on one picture: does it run, and does it still write what it wrote before?"""

import io

import numpy as np
import torch
from PIL import Image

from xraygpt_core.model.backend import Generated, GenerationRequest
from xraygpt_core.model.bundle import Bundle
from xraygpt_core.model.engine.engine import Engine
from xraygpt_core.phantoms.draw import draw_phantom

_SIDE = 448
_SEED = 20_230_613  # any one phantom, always the same


def summarise_once(
    bundle: Bundle, png: bytes, *, device: str = "auto", dtype: str | None = None, question: str | None = None
) -> Generated:
    """Load the bundle as a worker does, summarise one picture, and close it.

    Raises:
        BundleError: the bundle does not load. InvalidRequest: it cannot use the picture or the question.
    """
    engine = Engine(bundle, device=device, batch_size=1, dtype=getattr(torch, dtype) if dtype else None)
    try:
        return engine.submit(GenerationRequest(png, question)).result()
    finally:
        engine.close()


def phantom_png() -> bytes:
    """A synthetic film as ingest would store it: 8-bit grey."""
    pixels = draw_phantom(_SEED, side=_SIDE).pixels.astype(np.float32)
    scaled = (pixels - pixels.min()) / max(float(np.ptp(pixels)), 1.0) * 255
    buffer = io.BytesIO()
    Image.fromarray(scaled.astype(np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()
