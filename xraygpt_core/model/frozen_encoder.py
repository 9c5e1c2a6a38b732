"""The encoder of a bundle on a device, for features that are made once and kept."""

from collections.abc import Iterable
from pathlib import Path

from xraygpt_core.model.bundle import Bundle
from xraygpt_core.model.encoders.digest import BATCH, encoder_digest
from xraygpt_core.model.encoders.encoder import load_encoder
from xraygpt_core.model.feature_shards import encode_pngs, write_features
from xraygpt_core.model.llm import pick_device


class FrozenEncoder:
    """Loads the weights. For one thread.

    Args:
        device: ``auto``, ``cpu``, ``cuda`` …

    Raises:
        BundleError: the weights do not fit their encoder.
    """

    def __init__(self, bundle: Bundle, device: str) -> None:
        self._device = pick_device(device)
        encoder = load_encoder(bundle.encoder, bundle.encoder_weights, dict(bundle.encoder_options))
        self._encoder = encoder.to(self._device)
        self.digest = encoder_digest(bundle)

    def write(self, path: Path, pngs: Iterable[bytes]) -> None:
        """The features of these pictures, in their order, as a shard (:mod:`xraygpt_core.model.feature_shards`).

        Raises:
            InvalidRequest: one of them is no readable picture. TrainingError: its features are no finite numbers.
        """
        write_features(path, encode_pngs(self._encoder, pngs, BATCH, self._device), self.digest)
