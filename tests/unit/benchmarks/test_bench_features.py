"""The benchmark of streaming: it makes a corpus, and measures every figure of it."""

from pathlib import Path

from benchmarks.features import make_corpus, stream
from xraygpt_core.training.corpus import read_corpus


def test_every_figure_is_measured(tmp_path: Path) -> None:
    make_corpus(tmp_path, 600, 1, 8)
    assert [shard.count for shard in read_corpus(tmp_path).shards] == [512, 88]
    found = stream(tmp_path)
    assert set(found) == {
        "index",
        "open",
        "cold_pass",
        "warm_pass",
        "bucketed_pass",
        "peak_memory",
        "memory_of_the_stream",
    }
    assert all(value >= 0 for value in found.values())
