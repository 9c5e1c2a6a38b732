"""A corpus: a directory of shards, each a file of pairs and a file of their features, which a stage streams.

::

    corpus.json                     {"format": 1, "encoder": digest, "shards": [{"pairs", "features", "count"}, …]}
    pairs-00000.jsonl               xraygpt_core.training.pairs, with image = SHA-256 of the normalised PNG
    features-00000.safetensors      "features" (count, positions, channels), float16; its header names the encoder
    images/<sha256>.png             only of the films the report shows; may be absent

``encoder`` is the digest of :func:`xraygpt_core.model.encoders.digest.encoder_digest`: class, options, weights and
preprocessing. Shards whose names and digests are equal are equal, so runs with one encoder share them.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from xraygpt_core.errors import TrainingError

FILE = "corpus.json"
FORMAT = 1
SHARD_PAIRS = 512  # in every shard but the last of a set


@dataclass(frozen=True)
class Shard:
    """Names of a shard's two files inside the corpus, and how many pairs it has."""

    pairs: str
    features: str
    count: int


@dataclass(frozen=True)
class Corpus:
    """What ``corpus.json`` says. ``weights``: how often a pair of each set is drawn; a set that is missing: 1."""

    path: Path
    encoder: str
    shards: tuple[Shard, ...]
    weights: dict[str, float]


def write_corpus(corpus: Corpus) -> None:
    """Write its ``corpus.json``, last of all its files."""
    document: dict[str, Any] = {"format": FORMAT, "encoder": corpus.encoder, "weights": corpus.weights}
    document["shards"] = [asdict(shard) for shard in corpus.shards]
    (corpus.path / FILE).write_text(json.dumps(document, indent=1) + "\n")


def read_corpus(path: Path) -> Corpus:
    """The corpus in a directory.

    Raises:
        TrainingError: there is none, or a file of it is missing.
    """
    try:
        data = json.loads((path / FILE).read_text())
        if data["format"] != FORMAT:
            raise TrainingError(f"{path}: a corpus of format {data['format']}, not {FORMAT}")
        shards = tuple(Shard(**shard) for shard in data["shards"])
        corpus = Corpus(path, str(data["encoder"]), shards, dict(data["weights"]))
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise TrainingError(f"{path} is not a readable corpus: {error}") from error
    for shard in corpus.shards:
        for name in (shard.pairs, shard.features):
            if Path(name).name != name or not (path / name).is_file():
                raise TrainingError(f"{path}: its shard {name!r} is missing")
    return corpus
