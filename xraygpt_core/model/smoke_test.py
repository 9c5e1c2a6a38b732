"""A loaded bundle on one picture: does it run, and does it still write what it wrote before?"""

import io
from collections.abc import Mapping
from contextlib import closing

import numpy as np
from PIL import Image

from xraygpt_core.model.backend import Backend, Generated, GenerationRequest
from xraygpt_core.model.bundle import Bundle
from xraygpt_core.model.opening import open_server
from xraygpt_core.model.server.bundle import AnyBundle, ServerBundle
from xraygpt_core.model.server.identity import FINGERPRINT
from xraygpt_core.phantoms.draw import draw_phantom
from xraygpt_core.states import ImageRole

_SIDE = 448
_SEED = 20_230_613  # any one phantom, always the same


def summarise_once(
    bundle: AnyBundle,
    pngs: bytes | Mapping[ImageRole, bytes],
    *,
    device: str = "auto",
    dtype: str | None = None,
    question: str | None = None,
) -> Generated:
    """Load the bundle as a worker does, or ask its server, summarise one film or the films of one study, and close it.

    Raises:
        BundleError: the bundle does not load. InvalidRequest: it cannot use the picture or the question.
        ConfigurationError, ServerBusy, RequestFailed: as its server answers.
    """
    engine = _engine(bundle, device, dtype) if isinstance(bundle, Bundle) else open_server(bundle)
    films = {ImageRole.FRONTAL: pngs} if isinstance(pngs, bytes) else pngs
    request = GenerationRequest(
        films[ImageRole.FRONTAL],
        question,
        lateral_png=films.get(ImageRole.LATERAL),
        prior_png=films.get(ImageRole.PRIOR),
    )
    with closing(engine):
        return engine.submit(request).result()


def _engine(bundle: Bundle, device: str, dtype: str | None) -> Backend:
    import torch

    from xraygpt_core.model.engine.engine import Engine

    return Engine(bundle, device=device, batch_size=1, dtype=getattr(torch, dtype) if dtype else None)


def try_server(bundle: ServerBundle, *, pin: bool) -> tuple[Generated, dict[str, str]]:
    """What the server writes about one synthetic film, and what it said about its model.

    Args:
        pin: with the fingerprint that it states, which a hosted service may change at any time.

    Raises:
        ConfigurationError, ServerBusy, RequestFailed: as it answers.
    """
    with closing(open_server(bundle)) as engine:
        made = engine.submit(GenerationRequest(phantom_png())).result()
        return made, {name: said for name, said in engine.identity.known.items() if pin or name != FINGERPRINT}


def phantom_png() -> bytes:
    """A synthetic film as ingest would store it: 8-bit grey."""
    pixels = draw_phantom(_SEED, side=_SIDE).pixels.astype(np.float32)
    scaled = (pixels - pixels.min()) / max(float(np.ptp(pixels)), 1.0) * 255
    buffer = io.BytesIO()
    Image.fromarray(scaled.astype(np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()
