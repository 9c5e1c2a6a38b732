"""Streaming features without training: seconds of a pass, and memory, at 20,000 and at 200,000 pairs.

The numbers are drawn, their shapes are real: MedCLIP's pooled vector (1 x 512), its map (49 x 768), and with ``--full``
RAD-DINO's patches (1369 x 768). Each figure comes from a process of its own. "cold": the system's file cache was told
to let go of the corpus before.
"""

import os
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from benchmarks.figures import Row, arguments, peak_mib, report, say, tell
from training_jobs.features.shard_index import FILE, index_of
from training_jobs.features.stream import PairStream
from xraygpt_core.model.feature_shards import write_features
from xraygpt_core.training.corpus import SHARD_PAIRS, Corpus, Shard, read_corpus, write_corpus
from xraygpt_core.training.pairs import Pair, write_pairs

BATCH = 128  # the paper's, of stage 1
_ENCODER = "0" * 64
_WORDS = ("clear lungs", "no effusion", "heart size", "normal", "focal consolidation", "in the left", "upper lobe")
_SMALL, _PAPER = 20_000, 200_000


def measure(pairs: int, positions: int, channels: int) -> dict[str, float]:
    """The figures of a corpus of so many pairs, which is made and removed."""
    with tempfile.TemporaryDirectory(prefix="xraygpt-features-") as folder:
        say(f"making {pairs} pairs of {positions} x {channels}: {pairs * positions * channels * 2 / 2**30:.1f} GiB")
        make_corpus(Path(folder), pairs, positions, channels)
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as alone:
            return alone.submit(stream, Path(folder)).result()


def make_corpus(path: Path, pairs: int, positions: int, channels: int) -> None:
    """Random features, and texts of 20 to 120 words."""
    rng = np.random.default_rng(0)
    shards = []
    for number, start in enumerate(range(0, pairs, SHARD_PAIRS)):
        count = min(SHARD_PAIRS, pairs - start)
        shard = Shard(f"pairs-{number:05}.jsonl", f"features-{number:05}.safetensors", count)
        write_pairs(path / shard.pairs, made_up(start, count, rng))
        values = rng.standard_normal((count, positions, channels), dtype=np.float32).astype(np.float16)
        write_features(path / shard.features, values, _ENCODER)
        shards.append(shard)
    write_corpus(Corpus(path, _ENCODER, tuple(shards), {}))


def made_up(start: int, count: int, rng: np.random.Generator) -> Iterator[Pair]:
    for number in range(start, start + count):
        text = " ".join(rng.choice(_WORDS, int(rng.integers(20, 120))))
        yield Pair(f"s{number}", "reports", f"p{number // 2}", "train", f"{number:064x}", text, view="PA")


def stream(path: Path) -> dict[str, float]:
    """One cold and one warm pass, and one with batches of like length; seconds, and MiB at the most."""
    corpus = read_corpus(path)
    before, started = peak_mib(), time.monotonic()
    index_of(corpus)
    found = {"index": time.monotonic() - started}
    started = time.monotonic()
    PairStream([corpus], split="train", batch=BATCH, seed=0)
    found["open"] = time.monotonic() - started
    forget(path)
    found["cold_pass"] = one_pass(corpus, bucketed=False)
    found["warm_pass"] = one_pass(corpus, bucketed=False)
    found["bucketed_pass"] = one_pass(corpus, bucketed=True)
    found["peak_memory"] = peak_mib()
    found["memory_of_the_stream"] = peak_mib() - before
    return found


def one_pass(corpus: Corpus, *, bucketed: bool) -> float:
    pairs = PairStream([corpus], split="train", batch=BATCH, seed=0, bucket_by_length=bucketed)
    started = time.monotonic()
    for step in range(pairs.steps_of(1)):
        batch = pairs.batch(step)
        for part in batch.parts(16):
            if part.features.shape[0] != len(part.pairs):
                raise RuntimeError("features are missing")
    return time.monotonic() - started


def forget(path: Path) -> None:
    """Take the corpus out of the system's file cache, but for what is written meanwhile."""
    os.sync()
    for file in path.iterdir():
        if file.name != FILE:
            handle = os.open(file, os.O_RDONLY)
            os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(handle)


_UNITS = {"peak_memory": "MiB", "memory_of_the_stream": "MiB"}


def main() -> int:
    """Measure and report."""
    options = arguments(__doc__)
    sizes = [("pooled", _SMALL, 1, 512), ("pooled", _PAPER, 1, 512), ("map", 2_000, 49, 768), ("map", _SMALL, 49, 768)]
    if options.full:
        sizes += [("map", _PAPER, 49, 768), ("rad-dino", 512, 1369, 768), ("rad-dino", 4096, 1369, 768)]
    rows: list[Row] = []
    first: dict[str, dict[str, float]] = {}
    for name, pairs, positions, channels in sizes:
        if options.only and name not in options.only:
            continue
        found = measure(pairs, positions, channels)
        smaller = first.setdefault(name, found)
        for what, value in found.items():
            baseline = None if smaller is found else smaller[what]
            rows.append(tell(Row(f"features.{name}.{pairs}.{what}", value, _UNITS.get(what, "s"), baseline)))
        rows.append(tell(Row(f"features.{name}.{pairs}.pairs_per_second", pairs / found["warm_pass"], "1/s")))
    report(rows, as_json=options.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
