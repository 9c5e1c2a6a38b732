"""A mixture becomes a corpus in the cache: every set read and checked, every picture normalised, drawn and encoded.

Shards that an earlier run encoded are taken as they are, so a killed run goes on with the shard that it was at. The
corpus is named by its content: it is complete when it is there.
"""

import hashlib
import json
import os
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path

from training_jobs.corpora.examples import Examples
from training_jobs.corpora.reading import ReadSet, mixture_problems, reading
from training_jobs.corpora.shards import FEATURES, Below, Encoded, ShardCache
from training_jobs.corpora.sources import Source, preparing
from training_jobs.corpora.temporary import publish, unnamed
from xraygpt_core.model.bundle import Bundle
from xraygpt_core.training.corpus import SHARD_PAIRS, Corpus, Shard, read_corpus, write_corpus
from xraygpt_core.training.datasets.problems import Kind, Problems, stop_at
from xraygpt_core.training.datasets.read import note_image
from xraygpt_core.training.datasets.splits import SplitOf
from xraygpt_core.training.mixture import Mixture
from xraygpt_core.training.pairs import Pair, write_pairs

PROBLEMS = "problems.jsonl"
Notify = Callable[[int, int], None]
Items = Sequence[tuple[Pair, Source]]


def local_corpus(
    base: Bundle, mixture: Mixture, cache: Path, workers: int, notify: Notify, below: Below | None = None
) -> Corpus:
    """The corpus of a mixture whose sets lie on this machine.

    Args:
        cache: encoded shards and corpora are kept below it, and shared by runs.
        workers: with two or more, pictures are prepared in ``workers - 1`` processes beside the encoder.
        notify: is told how many pictures of how many are done.
        below: of a tuned encoder, what it may begin with.

    Raises:
        TrainingError: a set cannot be trained on; its text lists what is wrong, with file and line.
        BundleError: the encoder cannot be loaded.
        OSError: the disk is full, or does not answer.
    """
    corpora = cache / "corpora"
    with reading(mixture, cache) as sets, preparing(workers) as prepare, unnamed(corpora) as work:
        builder = _Builder(sets, ShardCache(base, cache, prepare, below), work, notify)
        builder.check()
        for one in sets:
            builder.add(one)
        digest = builder.finish({spec.name: spec.weight for spec in mixture.sets})
        target = corpora / digest
        if not target.is_dir():
            builder.examples.write(work, prepare)
            publish(work, target)
        return read_corpus(target)


class _Builder:
    """Writes the files of a corpus, set by set."""

    def __init__(self, sets: Sequence[ReadSet], shards: ShardCache, work: Path, notify: Notify) -> None:
        self.examples = Examples()
        self._sets, self._shards, self._work, self._notify = sets, shards, work, notify
        self._written: list[Shard] = []
        self._digest = hashlib.sha256(shards.digest.encode())
        self._pixels = SplitOf()
        self._splits = Counter[str]()
        self._done, self._total = 0, sum(one.count for one in sets)

    def check(self) -> None:
        """Raises TrainingError if the sets as they were read cannot be trained on."""
        splits = Counter[str]()
        for one in self._sets:
            splits.update(one.splits)
        stop_at([*(one.problems for one in self._sets), mixture_problems(splits)])

    def add(self, one: ReadSet) -> None:
        """A set, shard by shard."""
        items = one.items()
        while chunk := list(islice(items, SHARD_PAIRS)):
            encoded = self._shards.encoded([source for _, source in chunk], self._tell)
            self._done += len(chunk)
            self._write(one, chunk, encoded)
            one.problems.weigh(one.spec.name, one.spec.bad_images)
            stop_at(every.problems for every in self._sets)

    def finish(self, weights: dict[str, float]) -> str:
        """Write what belongs to the corpus as a whole; its digest.

        Raises:
            TrainingError: so much was dropped that nothing is left to train on.
        """
        whole = mixture_problems(self._splits)
        stop_at([whole])
        write_corpus(Corpus(self._work, self._shards.digest, tuple(self._written), weights))
        named = [("the mixture", whole), *((one.spec.name, one.problems) for one in self._sets)]
        (self._work / PROBLEMS).write_text("".join(map(_told, named)))
        self._digest.update(json.dumps(weights, sort_keys=True).encode())
        return self._digest.hexdigest()[:32]

    def _tell(self, done: int) -> None:
        self._notify(self._done + done, self._total)

    def _write(self, one: ReadSet, items: Items, encoded: Encoded) -> None:
        """The shard's two files, of the pictures that were not dropped."""
        kept = []
        for (pair, source), picture in zip(items, encoded.pictures, strict=True):
            if picture.dropped is None:
                kept.append(picture.of(pair))
                self._splits[pair.split] += 1
                if picture.pixels is not None:
                    note_image(self._pixels, picture.pixels, pair, one.problems)
                if not source.variant:
                    self.examples.offer(kept[-1], source)
            elif source.first:
                one.problems.add(pair.where or pair.pair_id, picture.why, Kind(picture.dropped))
        if not kept:
            return
        number = len(self._written)
        shard = Shard(f"pairs-{number:05d}.jsonl", f"features-{number:05d}.safetensors", len(kept))
        write_pairs(self._work / shard.pairs, kept)
        os.link(encoded.path / FEATURES, self._work / shard.features)
        self._written.append(shard)
        self._digest.update(encoded.path.name.encode() + (self._work / shard.pairs).read_bytes())


def _told(named: tuple[str, Problems]) -> str:
    """The problems of a set as JSON lines, and last how many of each kind there were."""
    name, problems = named
    lines = [{"set": name, "where": one.where, "kind": one.kind, "what": one.what} for one in problems]
    counted = [{"set": name, "counts": problems.counts}] if problems.counts else []
    return "".join(json.dumps(line) + "\n" for line in [*lines, *counted])
