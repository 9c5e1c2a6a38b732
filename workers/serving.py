"""Which bundle this GPU worker serves, and leaving in good order when another one is promoted."""

import logging
import os
import threading
from collections.abc import Callable

from workers.bundles import served
from workers.context import Context
from workers.executor import attempt
from xraygpt_core.errors import ConfigurationError
from xraygpt_core.ledger.training.serving import ServedBundle, served_bundle, start_serving
from xraygpt_core.ledger.transaction import Ledger
from xraygpt_core.model.backend import Backend
from xraygpt_core.model.bundle import Bundle, ServedBy, verify
from xraygpt_core.model.server.bundle import KEY_VARIABLE, AnyBundle, ServerBundle
from xraygpt_core.settings import Settings

log = logging.getLogger(__name__)

_LOOK_SECONDS = 2.0


def load_engine(context: Context) -> tuple[Backend, AnyBundle, ServedBundle]:
    """Load the bundle that is to be served now.

    Raises:
        BundleError: it is not on this machine, incomplete, or does not fit together.
        ConfigurationError: its server refuses us, has another model, or its settings are missing.
    """
    settings = context.settings
    start_serving(context.ledger, settings.bundle)
    wanted = served_bundle(context.ledger)
    bundle = served(context.ledger, context.store, settings.models, wanted)
    if settings.verify == "full":
        verify(bundle)
    engine = _by_server(settings, bundle) if isinstance(bundle, ServerBundle) else _by_weights(settings, bundle)
    log.info("bundle loaded", extra={"bundle": bundle.name, "bundle_sha256": bundle.sha256})
    return engine, bundle, wanted


def _by_server(settings: Settings, bundle: ServerBundle) -> Backend:
    """No weight is loaded, so this needs no torch."""
    from xraygpt_core.model.server.backend import ServerEngine, key_of

    server = bundle.server
    if server.timeout >= settings.stall_seconds:
        raise ConfigurationError(
            f"bundle {bundle.name!r} waits {server.timeout:g} seconds for its server (timeout), and a silent job loses "
            f"its lease after {settings.stall_seconds:g}: set XRAYGPT_STALL_SECONDS higher"
        )
    log.info("films go to a model server", extra={"address": server.url, "bundle": bundle.name})
    keys = dict(os.environ)
    if settings.server_key is not None:  # which may come from a file of secrets
        keys[KEY_VARIABLE] = settings.server_key.get_secret_value()
    return ServerEngine(bundle, key_of(server, keys), batch_size=settings.batch_size)


def _by_weights(settings: Settings, bundle: Bundle) -> Backend:
    if settings.vllm_url is None and bundle.served_by is ServedBy.VLLM:
        raise ConfigurationError(
            f"bundle {bundle.name!r} is served by vLLM: set XRAYGPT_VLLM_URL to the address of the server"
        )
    from xraygpt_core.model.engine.engine import Engine
    from xraygpt_core.model.vllm.backend import VllmEngine, VllmServer

    if settings.vllm_url is None:
        return Engine(
            bundle,
            device=settings.device,
            batch_size=settings.batch_size,
            graphs=settings.cuda_graphs,
            invariant=settings.batch_invariant,
        )
    key = settings.vllm_key.get_secret_value() if settings.vllm_key else None
    return VllmEngine(
        bundle, VllmServer(settings.vllm_url, key), device=settings.device, batch_size=settings.batch_size
    )


def watch(ledger: Ledger, loaded: ServedBundle, changed: Callable[[], None], *, seconds: float = _LOOK_SECONDS) -> None:
    """Call ``changed`` once, from a thread, as soon as another bundle is to be served. Errors do not end the watch."""

    def look() -> None:
        never, failing = threading.Event(), False
        while not never.wait(seconds):
            now, error = attempt(lambda: served_bundle(ledger))
            if error is not None and not failing:
                log.warning(
                    "cannot read which bundle is to be served", extra={"error": type(error).__name__}, exc_info=error
                )
            failing = error is not None
            if now is not None and now != loaded:
                log.info("another bundle is served now", extra={"bundle": now.name})
                changed()
                return

    threading.Thread(target=look, name="serving", daemon=True).start()
