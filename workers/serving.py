"""Which bundle this GPU worker serves, and leaving in good order when another one is promoted."""

import logging
import threading
from collections.abc import Callable

from workers.bundles import served
from workers.context import Context
from workers.executor import attempt
from xraygpt_core.ledger.training.serving import ServedBundle, served_bundle, start_serving
from xraygpt_core.ledger.transaction import Ledger
from xraygpt_core.model.backend import Backend
from xraygpt_core.model.bundle import Bundle, verify
from xraygpt_core.model.engine.engine import Engine
from xraygpt_core.model.vllm.backend import VllmEngine, VllmServer
from xraygpt_core.settings import Settings

log = logging.getLogger(__name__)

_LOOK_SECONDS = 2.0


def load_engine(context: Context) -> tuple[Backend, Bundle, ServedBundle]:
    """Load the bundle that is to be served now.

    Raises:
        BundleError: it is not on this machine, incomplete, or does not fit together.
    """
    settings = context.settings
    start_serving(context.ledger, settings.bundle)
    wanted = served_bundle(context.ledger)
    bundle = served(context.ledger, context.store, settings.models, wanted)
    if settings.verify == "full":
        verify(bundle)
    engine = _engine(settings, bundle)
    log.info("bundle loaded", extra={"bundle": bundle.name, "bundle_sha256": bundle.sha256})
    return engine, bundle, wanted


def _engine(settings: Settings, bundle: Bundle) -> Backend:
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
