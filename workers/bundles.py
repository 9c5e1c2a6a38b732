"""The bundle a training run made, put together where it is needed: base on this machine, parts in the bucket."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

from workers.transfer import pull
from xraygpt_core.ledger.training.runs import result_prefixes
from xraygpt_core.ledger.training.serving import ServedBundle
from xraygpt_core.ledger.transaction import Ledger
from xraygpt_core.model.bundle import Bundle, bundles, load_bundle
from xraygpt_core.model.compose import compose_bundle
from xraygpt_core.storage import ObjectStore


def served(ledger: Ledger, store: ObjectStore, models: Path, wanted: ServedBundle) -> Bundle:
    """The bundle to serve; made now if it comes from a run and was never made on this machine.

    Raises:
        BundleError: it is not here and no run made it. ObjectMissing: the run's result was purged.
    """
    if wanted.run_id is None or wanted.name in bundles(models):
        return load_bundle(models, wanted.name)
    base, prefixes = result_prefixes(ledger, wanted.run_id)
    return composed(store, load_bundle(models, base), prefixes, models, wanted.name)


def composed(store: ObjectStore, base: Bundle, prefixes: Sequence[str], models: Path, name: str) -> Bundle:
    """``base`` with what these results hold, the later over the earlier, as ``models/name``."""
    with tempfile.TemporaryDirectory(prefix="xraygpt-parts-") as temporary:
        parts = Path(temporary)
        for prefix in prefixes:
            pull(store, prefix, parts)
        projector, adapter = parts / "projector.safetensors", parts / "adapter"
        return compose_bundle(
            base,
            models,
            name,
            projector=projector if projector.is_file() else None,
            adapter=adapter if adapter.is_dir() else None,
        )
