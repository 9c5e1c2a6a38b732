"""A bundle opened on this machine for a command, by what serves it; the command closes it."""

import os

from xraygpt_core.errors import ConfigurationError
from xraygpt_core.model.backend import Backend
from xraygpt_core.model.bundle import ServedBy
from xraygpt_core.model.server.backend import ServerEngine, key_of
from xraygpt_core.model.server.bundle import AnyBundle, ServerBundle


def open_backend(
    bundle: AnyBundle,
    *,
    device: str = "auto",
    batch_size: int = 1,
    vllm_url: str | None = None,
    vllm_key: str | None = None,
) -> Backend:
    """The engine, with the bundle's weights, or a client of its server.

    Args:
        batch_size: requests at once; more wait for their turn.
        vllm_url, vllm_key: of the server of a bundle that vLLM serves; other bundles do without.

    Raises:
        BundleError: the bundle does not load.
        ConfigurationError: its server refuses us, has another model, or where it listens is not set.
    """
    if isinstance(bundle, ServerBundle):
        return open_server(bundle, batch_size=batch_size)
    from xraygpt_core.model.engine.engine import Engine  # torch, which a server's bundle does without

    if bundle.served_by is not ServedBy.VLLM:
        return Engine(bundle, device=device, batch_size=batch_size)
    from xraygpt_core.model.vllm.backend import VllmEngine, VllmServer

    if not vllm_url:
        raise ConfigurationError(
            f"bundle {bundle.name!r} is served by vLLM: set XRAYGPT_VLLM_URL to the address of the server"
        )
    return VllmEngine(bundle, VllmServer(vllm_url, vllm_key), device=device, batch_size=batch_size)


def open_server(bundle: ServerBundle, *, batch_size: int = 1) -> ServerEngine:
    """A client of the bundle's server, with the key that this process has; raises as :func:`open_backend`."""
    return ServerEngine(bundle, key_of(bundle.server, os.environ), batch_size=batch_size)
