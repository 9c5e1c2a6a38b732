"""A shard's two files in the derived bucket: where its images lie, without a text; and the texts, without an address.

Both are JSON lines, in the order of the images, named by their content.
"""

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from xraygpt_core.errors import TrainingError
from xraygpt_core.ledger.training.plan import PlannedShard
from xraygpt_core.storage import ObjectStore
from xraygpt_core.training.corpus import SHARD_PAIRS
from xraygpt_core.training.pairs import Pair

_MAX_BYTES = 2**30  # of such a file


@dataclass(frozen=True)
class Placed:
    """Where an image lies, and what the plan saw there."""

    place: str
    version: str


@dataclass
class Cutter:
    """Cuts sets into shards. Files are written below ``home`` first: nothing of a set that is unsound leaves it."""

    home: Path
    shards: list[PlannedShard] = field(default_factory=list)
    splits: set[str] = field(default_factory=set)
    _pairs: list[tuple[Pair, Placed | None]] = field(default_factory=list)

    def add(self, pair: Pair, placed: Placed | None) -> None:
        """The next pair of the set; ``placed`` is None for a signed study, whose film is named by its hash."""
        self.splits.add(pair.split)
        self._pairs.append((pair, placed))
        if len(self._pairs) == SHARD_PAIRS:
            self.end_set()

    def end_set(self) -> None:
        """What comes next is of another set."""
        if self._pairs:
            self.shards.append(_signed(self._pairs) if self._pairs[0][1] is None else self._cut())
        self._pairs = []

    def push(self, store: ObjectStore, alive: Callable[[], None]) -> None:
        """Store the files of all shards."""
        for shard in self.shards:
            for key in (shard.addresses_key, shard.texts_key):
                if key is not None:
                    store.put_file(key, self.home / key)
                    alive()

    def _cut(self) -> PlannedShard:
        placed = [one for _, one in self._pairs if one is not None]
        addresses = "".join(json.dumps([one.place, one.version]) + "\n" for one in placed)
        texts = "".join(
            json.dumps(document(replace(pair, image=str(number)))) + "\n"
            for number, (pair, _) in enumerate(self._pairs)
        )
        digest = hashlib.sha256(addresses.encode()).hexdigest()
        return PlannedShard(
            digest,
            len(placed),
            addresses_key=self._write(f"training/addresses/{digest}.jsonl", addresses),
            texts_key=self._write(f"training/texts/{hashlib.sha256(texts.encode()).hexdigest()}.jsonl", texts),
        )

    def _write(self, key: str, text: str) -> str:
        path = self.home / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return key


def _signed(pairs: list[tuple[Pair, Placed | None]]) -> PlannedShard:
    films = tuple(pair.image for pair, _ in pairs)
    digest = hashlib.sha256("\n".join(("signed", *films)).encode()).hexdigest()
    return PlannedShard(digest, len(pairs), signed=films, pairs=tuple(document(pair) for pair, _ in pairs))


def document(pair: Pair) -> dict[str, Any]:
    """A pair as JSON, without what says where its image lies."""
    told = asdict(replace(pair, key=None))
    return {key: value for key, value in told.items() if value or key in ("image", "text")}


def read_addresses(store: ObjectStore, key: str) -> list[Placed]:
    """Where the images of a shard lie.

    Raises:
        TrainingError: the object is not what the plan left there. ObjectMissing, Unavailable.
    """
    return [Placed(*line) for line in _lines(store, key)]


def read_texts(store: ObjectStore, key: str) -> list[Pair]:
    """The pairs of a shard, in the order of its images. Raises as :func:`read_addresses`."""
    return [pair_of(line) for line in _lines(store, key)]


def pair_of(told: dict[str, Any]) -> Pair:
    """A pair of what :func:`document` made of it."""
    return Pair(**{**told, "paraphrases": tuple(told.get("paraphrases", ()))})


def _lines(store: ObjectStore, key: str) -> Iterator[Any]:
    data = store.get(key, max_bytes=_MAX_BYTES)
    if f"{hashlib.sha256(data).hexdigest()}.jsonl" != key.rpartition("/")[2]:
        raise TrainingError("what the derived bucket holds of a set is not what the plan left there")
    return (json.loads(line) for line in data.splitlines())
