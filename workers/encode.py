"""The encode jobs: the frozen encoder's features of a shard, made once, with what the device has left over.

A GPU worker encodes only by the encoder of the bundle it serves. Its weights are loaded a second time, beside the
engine's: batches need no place in the engine's own queue, and go to the device between its steps. Where a server has
the model, there is no encoder here, and all of it is left to the training worker.
"""

import hashlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from workers.context import Context
from workers.executor import HandedBack
from workers.give_way import give_way
from workers.heartbeat import JobProgress
from xraygpt_core.errors import ObjectMissing, TrainingError
from xraygpt_core.ledger.jobs.fence import Claim
from xraygpt_core.ledger.training.features import (
    FeaturesInput,
    complete_features,
    features_input,
    leave_features,
    load_encoder_digest,
)
from xraygpt_core.model.bundle import Bundle, file_sha256
from xraygpt_core.model.encoders.digest import BATCH, encoder_digest
from xraygpt_core.model.server.bundle import AnyBundle
from xraygpt_core.states import JobKind

if TYPE_CHECKING:
    from xraygpt_core.model.frozen_encoder import FrozenEncoder

_YIELD_SECONDS = 2.0  # how long a batch waits for routine work of this process, at most


class Encode:
    """The encode jobs of one process, one at a time, by the encoder of the bundle it serves."""

    def __init__(self, context: Context, bundle: AnyBundle) -> None:
        self._context = context
        self._bundle = bundle if isinstance(bundle, Bundle) else None
        self._digest = None if self._bundle is None else encoder_digest(self._bundle)
        self._loaded: FrozenEncoder | None = None

    def announce(self) -> None:
        """From now on, features by this encoder are made here."""
        load_encoder_digest(self._context.ledger, self._digest)

    def __call__(self, claim: Claim, progress: JobProgress) -> None:
        """Encode one shard; leave it to the training worker where another encoder is wanted."""
        given = features_input(self._context.ledger, claim)
        if self._bundle is None or given.encoder != self._digest or not given.images:
            leave_features(self._context.ledger, claim)
            return
        with tempfile.TemporaryDirectory(prefix="xraygpt-encode-") as temporary:
            file = Path(temporary) / "features.safetensors"
            self._encoder(self._bundle).write(file, self._pictures(given, progress))
            key = features_key(given, file_sha256(file))
            progress.check()
            self._context.store.put_file(key, file)
            complete_features(self._context.ledger, claim, given, key)

    def _pictures(self, given: FeaturesInput, progress: JobProgress) -> Iterator[bytes]:
        for number, (key, sha256) in enumerate(zip(given.keys, given.images, strict=True)):
            if self._context.draining.is_set():
                raise HandedBack("the worker is stopping")
            if number % BATCH == 0:
                give_way(self._context, JobKind.ENCODE, _YIELD_SECONDS)
            progress.check()
            try:
                png = self._context.store.get(key)
            except ObjectMissing:
                raise TrainingError("a prepared film is not in the derived bucket any more") from None
            if hashlib.sha256(png).hexdigest() != sha256:
                raise TrainingError("a prepared film in the derived bucket is not the one that was prepared")
            yield png

    def _encoder(self, bundle: Bundle) -> "FrozenEncoder":
        if self._loaded is None:
            from xraygpt_core.model.frozen_encoder import FrozenEncoder  # torch, only if it is needed

            self._loaded = FrozenEncoder(bundle, self._context.settings.device)
        return self._loaded


def features_key(given: FeaturesInput, sha256: str) -> str:
    """Where features lie. The hash of the file is a part of it: two that make them never overwrite each other's."""
    return f"training/features/{given.encoder}/{given.digest}-{sha256}.safetensors"
