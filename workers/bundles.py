"""The bundle a training run made, put together where it is needed: base on this machine, parts in the bucket."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from workers.transfer import pull
from xraygpt_core.ledger.training.runs import result_prefixes
from xraygpt_core.ledger.training.serving import ServedBundle
from xraygpt_core.ledger.transaction import Ledger
from xraygpt_core.model.bundle import Bundle, bundles, load_bundle
from xraygpt_core.model.compose import ENCODER_FILE, PROJECTOR_FILE, compose_bundle
from xraygpt_core.model.server.bundle import AnyBundle, load_any_bundle
from xraygpt_core.storage import ObjectStore


def served(ledger: Ledger, store: ObjectStore, models: Path, wanted: ServedBundle) -> AnyBundle:
    """The bundle to serve; made now if it comes from a run and was never made on this machine.

    Raises:
        BundleError: it is not here and no run made it. ObjectMissing: the run's result was purged.
    """
    if wanted.run_id is None or wanted.name in bundles(models):
        return load_any_bundle(models, wanted.name)
    base, prefixes = result_prefixes(ledger, wanted.run_id)
    return composed(store, load_bundle(models, base), prefixes, models, wanted.name)


@dataclass
class _Parts:
    """What a bundle gets beside its base's parts."""

    encoder: Path | None = None
    projector: Path | None = None
    adapter: Path | None = None
    llm: Path | None = None

    def take(self, result: Path) -> None:
        """What one more result holds, over what was there. An adapter belongs to the LLM it was trained on, a projector
        to the encoder."""
        if (result / ENCODER_FILE).is_file():
            self.encoder, self.projector = result / ENCODER_FILE, None
        if (result / "llm").is_dir():
            self.llm, self.adapter = result / "llm", None
        if (result / "adapter").is_dir():
            self.adapter = result / "adapter"
        if (result / PROJECTOR_FILE).is_file():
            self.projector = result / PROJECTOR_FILE


def composed(store: ObjectStore, base: Bundle, prefixes: Sequence[str], models: Path, name: str) -> Bundle:
    """``base`` with what these results hold, the later over the earlier, as ``models/name``."""
    models.mkdir(parents=True, exist_ok=True)
    # beside the bundles: a language model does not fit into every machine's temporary directory
    with tempfile.TemporaryDirectory(prefix=".parts-", dir=models) as temporary:
        parts = _Parts()
        for number, prefix in enumerate(prefixes):
            result = Path(temporary) / str(number)
            pull(store, prefix, result)
            if parts.encoder is not None and (result / ENCODER_FILE).is_file():
                base = _tuned(base, parts.encoder, result)
            parts.take(result)
        return compose_bundle(
            base,
            models,
            name,
            projector=parts.projector,
            adapter=parts.adapter,
            llm=parts.llm,
            encoder=parts.encoder,
        )


def _tuned(base: Bundle, encoder: Path, result: Path) -> Bundle:
    """``base`` with the encoder that the one in ``result`` is a difference to."""
    folder = result.with_name(f"{result.name}-base")
    return compose_bundle(base, folder, base.name, projector=None, adapter=None, encoder=encoder)
