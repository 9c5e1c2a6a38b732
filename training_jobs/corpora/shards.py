"""Encoded shards in a cache: named by what their features depend on, so that runs share them and a killed one goes on.

The features of a tuned encoder begin where those below its tuned blocks end: where the latter are in the cache, no
film is decoded again.

::

    shards/<digest>/features.safetensors    of the pictures that are not dropped
    shards/<digest>/pictures.jsonl          one line a picture, dropped or not (training_jobs.corpora.sources.Picture)
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from training_jobs.corpora.sources import VERSION, Picture, Prepare, Source
from training_jobs.corpora.temporary import publish, unnamed
from xraygpt_core.errors import TrainingError
from xraygpt_core.model.bundle import Bundle
from xraygpt_core.model.encoders.digest import encoder_digest
from xraygpt_core.model.encoders.encoder import Encoder, load_encoder
from xraygpt_core.model.feature_shards import encode_pngs, open_features, write_features

FEATURES, _PICTURES = "features.safetensors", "pictures.jsonl"
_BATCH = 32


@dataclass(frozen=True)
class Encoded:
    """A shard in the cache: its directory, and what is known of each picture, in order."""

    path: Path
    pictures: list[Picture]


class ShardCache:
    """Encodes shards that are not there yet."""

    def __init__(self, base: Bundle, cache: Path, prepare: Prepare, below: "Below | None" = None) -> None:
        self.digest, self._below = encoder_digest(base), below
        self._base, self._folder, self._prepare = base, cache / "shards", prepare
        self._encoder: Encoder | None = None
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")

    def encoded(self, sources: Sequence[Source], progress: Callable[[int], None]) -> Encoded:
        """The shard of these pictures.

        Args:
            progress: is told of each picture how many of this shard are done.

        Raises:
            OSError: the disk is full, or does not answer.
            BundleError: the encoder cannot be loaded.
        """
        entry = self._folder / _key(self.digest, sources)
        if not entry.is_dir():
            lower = None if self._below is None else self._folder / _key(self._below.digest, sources)
            with unnamed(self._folder) as work:
                if lower is not None and lower.is_dir():
                    assert self._below is not None
                    self._below.go_on(lower, work / FEATURES, self.digest)
                    os.link(lower / _PICTURES, work / _PICTURES)
                else:
                    self._encode(sources, work, progress)
                publish(work, entry)
        progress(len(sources))
        return Encoded(entry, _read(entry / _PICTURES))

    def _encode(self, sources: Sequence[Source], work: Path, progress: Callable[[int], None]) -> None:
        told: list[Picture] = []

        def pngs() -> Iterator[bytes]:
            for picture, png in self._prepare(sources):
                told.append(picture)
                progress(len(told))
                if picture.dropped is None:
                    yield png

        write_features(work / FEATURES, encode_pngs(self._loaded(), pngs(), _BATCH, self._device), self.digest)
        (work / _PICTURES).write_text("".join(json.dumps(asdict(picture)) + "\n" for picture in told))

    def _loaded(self) -> Encoder:
        if self._encoder is None:
            base = self._base
            encoder = load_encoder(base.encoder, base.encoder_weights, dict(base.encoder_options))
            self._encoder = encoder.to(self._device)
        return self._encoder


@dataclass(frozen=True)
class Below:
    """What lies below the tuned blocks of an encoder, and these blocks.

    Attributes:
        digest: of the encoder that ends there.
        upper: from its features to those of the tuned encoder.
    """

    digest: str
    upper: Callable[[Tensor], Tensor]

    @torch.inference_mode()
    def go_on(self, lower: Path, out: Path, digest: str) -> None:
        """Write the features that follow from those of an entry.

        Raises:
            TrainingError: the entry is damaged. OSError: the disk is full, or does not answer.
        """
        with closing(open_features(lower / FEATURES, self.digest)) as shard:
            parts = [
                self.upper(shard.batch(range(start, min(start + _BATCH, len(shard))))).to(torch.float16).numpy()
                for start in range(0, len(shard), _BATCH)
            ]
        write_features(out, np.concatenate(parts), digest)


def _key(digest: str, sources: Sequence[Source]) -> str:
    identity = json.dumps([digest, VERSION, [source.identity() for source in sources]])
    return hashlib.sha256(identity.encode()).hexdigest()[:32]


def _read(file: Path) -> list[Picture]:
    try:
        return [Picture(**json.loads(line)) for line in file.read_text().splitlines()]
    except (OSError, ValueError, TypeError) as error:
        raise TrainingError(f"{file.parent} is damaged; delete this folder and start again: {error}") from error
