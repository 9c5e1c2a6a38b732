"""The pairs of corpora as batches in the order of a seed, with their features, without holding either in memory."""

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache, partial
from math import ceil, inf
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from training_jobs.features.batch import Batch
from training_jobs.features.order import Indices, Order, SetRows
from training_jobs.features.pairs_file import PairsFile
from training_jobs.features.shard_index import NO_TEXT, index_of
from xraygpt_core.errors import TrainingError
from xraygpt_core.model.feature_shards import FeatureShard, open_features
from xraygpt_core.training.corpus import Corpus, Shard
from xraygpt_core.training.pairs import SPLITS, Pair

_OPEN = 200  # shards whose files are open at once
_COLUMNS = ("shard", "row", "offset", "size", "letters")  # what is kept of an index


class PairStream:
    """Batches of (image, text) pairs.

    A step's batch is a function of the corpora, ``batch``, ``seed`` and the step alone: a run that is resumed sees what
    it would have seen. Sets are drawn by their weights, as :mod:`training_jobs.features.order` says.

    Args:
        corpora: with features of one encoder.
        split: ``train``, ``val`` or ``test``.
        batch: pairs of a step, over all processes.
        needs_text: only pairs with a text.
        weights: how often a pair of each set is drawn; None: as the corpora say. A set that is not named: 1.
        bucket_by_length: a batch has texts of like length, which saves padding.

    Raises:
        TrainingError: encoders or weights contradict each other, or a shard is damaged.
    """

    def __init__(
        self,
        corpora: Sequence[Corpus],
        *,
        split: str,
        batch: int,
        seed: int,
        needs_text: bool = True,
        weights: Mapping[str, float] | None = None,
        bucket_by_length: bool = False,
    ) -> None:
        if not corpora or len({corpus.encoder for corpus in corpora}) != 1:
            raise TrainingError("the corpora of a run need features of one and the same encoder")
        self.encoder, self.split, self._size, self._seed = corpora[0].encoder, split, batch, seed
        self._shards: list[tuple[Corpus, Shard]] = [(corpus, shard) for corpus in corpora for shard in corpus.shards]
        # caches that do not hold the stream: its files are closed when it is let go
        self._open = lru_cache(_OPEN)(partial(_open_shard, self._shards))
        self._pairs_file = lru_cache(_OPEN)(partial(_open_pairs, self._shards))
        self.positions, self.channels = self._check_shards()
        self._rows, sets = _chosen(corpora, split, needs_text)
        given = _checked(_weights(corpora) if weights is None else weights)
        drawable = {name: pairs for name, pairs in sets.items() if len(pairs) and given.get(name, 1.0) > 0}
        self.counts = {name: len(pairs) for name, pairs in drawable.items()}
        self._sets = [
            SetRows(pairs, self._rows["shard"][pairs], given.get(name, 1.0)) for name, pairs in sorted(drawable.items())
        ]
        lengths = self._rows["letters"] if bucket_by_length else None
        self._order = Order(self._sets, batch=batch, seed=seed, lengths=lengths)

    @property
    def pairs_count(self) -> int:
        """How many pairs may be drawn."""
        return self._order.count

    def steps_of(self, epochs: float) -> int:
        """Steps in which as many pairs are drawn as so many passes have."""
        return ceil(epochs * self.pairs_count / self._size)

    def batch(self, step: int) -> Batch:
        """The batch of a step, of all processes.

        Raises:
            TrainingError: there is no pair, or a shard cannot be read.
        """
        if not self.pairs_count:
            raise TrainingError(f"no pair in the {self.split} split can be drawn")
        self._expect(self._order.batch(step + 1))
        return self._batch_of(self._order.batch(step))

    def once(self, limit: int | None = None) -> Iterator[Batch]:
        """Every pair once, or the first ``limit`` of them, in the order of the seed; the last batch may be smaller."""
        if not self.pairs_count:
            return
        drawable = np.sort(np.concatenate([one.pairs for one in self._sets]))
        left = len(drawable) if limit is None else min(limit, len(drawable))
        order = Order([SetRows(drawable, self._rows["shard"][drawable], 1.0)], batch=self._size, seed=self._seed)
        for step in range(ceil(left / self._size)):
            yield self._batch_of(order.batch(step)[: left - step * self._size])

    def share(self, batch: Batch, rank: int, world: int) -> Batch:
        """The part of a batch that one of ``world`` processes computes: every ``world``-th pair from ``rank`` on."""
        return batch.take(range(rank, len(batch), world))

    def _batch_of(self, indices: Indices) -> Batch:
        return Batch([self._pair(int(index)) for index in indices], partial(self._features, indices))

    def _pair(self, index: int) -> Pair:
        rows = self._rows
        file = self._pairs_file(int(rows["shard"][index]))
        return file.pair(int(rows["offset"][index]), int(rows["size"][index]), int(rows["row"][index]))

    def _features(self, indices: Indices, places: Sequence[int]) -> Tensor:
        """(places, positions, channels), float32; shard by shard, each in its own order."""
        chosen = indices[np.asarray(places, dtype=np.int64)]
        out = np.empty((len(chosen), self.positions, self.channels), np.float16)
        for place in np.lexsort((self._rows["row"][chosen], self._rows["shard"][chosen])):
            shard = self._open(int(self._rows["shard"][chosen[place]]))
            shard.read_into(out[place], int(self._rows["row"][chosen[place]]))
        return torch.from_numpy(out.astype(np.float32))  # torch would wait for threads that others keep busy

    def _expect(self, indices: Indices) -> None:
        """Tell the system which features are wanted next, so that the disk works while the device computes."""
        for shard, row in zip(self._rows["shard"][indices], self._rows["row"][indices], strict=True):
            self._open(int(shard)).expect(int(row))

    def _check_shards(self) -> tuple[int, int]:
        """Positions and channels of all shards; (0, 0) where there are none."""
        shapes = set()
        for corpus, shard in self._shards:
            opened = open_features(corpus.path / shard.features, corpus.encoder)
            opened.close()
            if len(opened) != shard.count:
                raise TrainingError(f"{shard.features} has {len(opened)} images, and {shard.pairs} {shard.count} pairs")
            shapes.add((opened.positions, opened.channels))
        if len(shapes) > 1:
            raise TrainingError(f"the shards of a run have features of several shapes: {sorted(shapes)}")
        return shapes.pop() if shapes else (0, 0)


def _open_shard(shards: Sequence[tuple[Corpus, Shard]], number: int) -> FeatureShard:
    corpus, shard = shards[number]
    opened = open_features(corpus.path / shard.features, corpus.encoder)
    opened.expect_all()
    return opened


def _open_pairs(shards: Sequence[tuple[Corpus, Shard]], number: int) -> PairsFile:
    corpus, shard = shards[number]
    return PairsFile(corpus.path / shard.pairs)


def _chosen(
    corpora: Sequence[Corpus], split: str, needs_text: bool
) -> tuple[dict[str, NDArray[Any]], dict[str, Indices]]:
    """Where the pairs of a split lie, an array for each property; and the numbers of the pairs of each set."""
    parts: list[dict[str, NDArray[Any]]] = []
    names: list[NDArray[Any]] = []
    sets: dict[str, int] = {}
    shards = 0
    for corpus in corpora:
        index = index_of(corpus)
        keep = (index.split == SPLITS.index(split)) & ((index.letters != NO_TEXT) | (not needs_text))
        parts.append({name: getattr(index, name)[keep] for name in _COLUMNS})
        parts[-1]["shard"] = parts[-1]["shard"] + shards
        numbers = np.array([sets.setdefault(name, len(sets)) for name in index.sets] or [0], np.int16)
        names.append(numbers[index.set_number[keep]])
        shards += len(corpus.shards)
    of_set = np.concatenate(names)
    rows = {name: np.concatenate([part[name] for part in parts]) for name in _COLUMNS}
    return rows, {name: np.flatnonzero(of_set == number).astype(np.int32) for name, number in sets.items()}


def _weights(corpora: Sequence[Corpus]) -> dict[str, float]:
    weights: dict[str, float] = {}
    for corpus in corpora:
        for name, weight in corpus.weights.items():
            if weights.setdefault(name, weight) != weight:
                raise TrainingError(f"the corpora of a run give the set {name!r} several weights")
    return weights


def _checked(weights: Mapping[str, float]) -> Mapping[str, float]:
    for name, weight in weights.items():
        if not 0 <= weight < inf:
            raise TrainingError(f"the weight of the set {name!r} cannot be {weight!r}")
    return weights
