"""Frozen encoder outputs, computed once and kept: the encoder never sees the same picture twice."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from itertools import islice
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from training_jobs.data import TrainingStudy, draw
from training_jobs.learning.checkpoint import complete_directory
from xraygpt_core.model.bundle import Bundle
from xraygpt_core.model.encoders.encoder import Encoder, load_encoder

_VERSION = 3  # raise when the preprocessing changes
_PART = 512  # studies in one cache entry
_CHUNK = 32


@dataclass(frozen=True)
class Features:
    """Features (studies, positions, channels) as float16 on disk, and the studies they belong to, in the same order."""

    values: NDArray[np.float16]
    studies: list[TrainingStudy]

    def batch(self, indices: Sequence[int]) -> Tensor:
        """(batch, positions, channels), float32."""
        return torch.from_numpy(self.values[np.asarray(indices)].astype(np.float32))


def cached_features(base: Bundle, studies: Sequence[TrainingStudy], cache: Path, workers: int = 1) -> Features:
    """Features of the studies from the cache, or computed into it part by part; a killed job finds its parts."""
    parts = [studies[start : start + _PART] for start in range(0, len(studies), _PART)]
    found = [_cached_part(base, part, cache, workers) for part in parts]
    values = found[0].values if len(found) == 1 else np.concatenate([part.values for part in found])
    return Features(values, [study for part in found for study in part.studies])


def _cached_part(base: Bundle, studies: Sequence[TrainingStudy], cache: Path, workers: int) -> Features:
    folder = cache / _key(base, studies)
    if not (folder / "features.npy").is_file():
        with complete_directory(folder) as work:
            _compute(base, studies, work, workers)
    values = np.load(folder / "features.npy", mmap_mode="r")
    truths = json.loads((folder / "studies.json").read_text())
    pairs = zip(studies, truths, strict=True)
    return Features(values, [replace(study, presence=tuple(there), report=text) for study, (there, text) in pairs])


def _key(base: Bundle, studies: Sequence[TrainingStudy]) -> str:
    """What the features depend on: the encoder, the studies, and how a film is drawn (by the first one's pixels)."""
    options = json.dumps([dict(base.encoder_options), base.encoder, _VERSION], sort_keys=True)
    digest = hashlib.sha256(options.encode())
    digest.update(base.files[str(base.encoder_weights.relative_to(base.path))].encode())
    for study in studies:
        digest.update(json.dumps(asdict(study), sort_keys=True).encode())
    for augmented in (False, True):
        digest.update(draw(replace(studies[0], augmented=augmented))[0])
    return digest.hexdigest()[:32]


def _compute(base: Bundle, studies: Sequence[TrainingStudy], work: Path, workers: int) -> None:
    encoder = load_encoder(base.encoder, base.encoder_weights, dict(base.encoder_options))
    shape = (len(studies), encoder.positions, encoder.channels)
    values = np.lib.format.open_memmap(work / "features.npy", mode="w+", dtype=np.float16, shape=shape)
    truths: list[tuple[tuple[float | None, ...], str | None]] = []
    for images, drawn in _images(encoder, studies, workers):
        values[len(truths) : len(truths) + len(drawn)] = encoder.encode(images).numpy().astype(np.float16)
        truths += [(study.presence, study.report) for study in drawn]
    values.flush()
    (work / "studies.json").write_text(json.dumps(truths))


def _images(
    encoder: Encoder, studies: Sequence[TrainingStudy], workers: int
) -> Iterator[tuple[Tensor, list[TrainingStudy]]]:
    """Preprocessed batches; with more than one worker, drawn in child processes while the encoder computes."""
    if workers < 2:
        yield from _batches(encoder, map(draw, studies))
        return
    with ProcessPoolExecutor(workers - 1, mp_context=get_context("spawn")) as pool:
        yield from _batches(encoder, pool.map(draw, studies, chunksize=_CHUNK))


def _batches(
    encoder: Encoder, drawn: Iterator[tuple[bytes, TrainingStudy]]
) -> Iterator[tuple[Tensor, list[TrainingStudy]]]:
    while chunk := list(islice(drawn, _CHUNK)):
        yield torch.stack([encoder.preprocess(data) for data, _ in chunk]), [study for _, study in chunk]
