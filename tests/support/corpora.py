"""Corpora of made-up features: the number of a pair is the number in all its features."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from xraygpt_core.model.feature_shards import write_features
from xraygpt_core.training.corpus import Corpus, Shard, write_corpus
from xraygpt_core.training.pairs import Pair, write_pairs

ENCODER = "e" * 64


def make_pair(number: int, *, set_name: str = "a", split: str = "train", text: str | None = "") -> Pair:
    """A pair whose text grows with its number, where none is given."""
    told = f"Findings: {'word ' * (number % 17)}{number}." if text == "" else text
    return Pair(f"{set_name}-{number}", set_name, f"p{number}", split, f"{number:064x}", told)


def make_corpus(
    path: Path,
    pairs: Sequence[Pair],
    *,
    shard: int = 8,
    positions: int = 2,
    channels: int = 3,
    encoder: str = ENCODER,
    weights: Mapping[str, float] | None = None,
) -> Corpus:
    """A corpus directory of these pairs, ``shard`` of them in each shard."""
    path.mkdir(parents=True, exist_ok=True)
    shards = []
    for number, start in enumerate(range(0, len(pairs), shard)):
        part = pairs[start : start + shard]
        values = np.array([int(pair.image, 16) for pair in part], np.float16)
        one = Shard(f"pairs-{number:05}.jsonl", f"features-{number:05}.safetensors", len(part))
        write_pairs(path / one.pairs, part)
        whole = np.broadcast_to(values[:, None, None], (len(part), positions, channels))
        write_features(path / one.features, whole, encoder)
        shards.append(one)
    corpus = Corpus(path, encoder, tuple(shards), dict(weights or {}))
    write_corpus(corpus)
    return corpus
