"""A stream of pairs and features over corpora: which pairs, their features, shares of processes, and what is wrong."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.corpora import make_corpus, make_pair
from training_jobs.features.batch import Batch
from training_jobs.features.stream import PairStream
from xraygpt_core.errors import TrainingError
from xraygpt_core.training.corpus import Corpus


def numbers(batch: Batch) -> list[int]:
    return [int(pair.image, 16) for pair in batch.pairs]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """50 pairs of set a, of which every fifth is kept back and every seventh has no text."""
    pairs = [
        make_pair(number, split="val" if number % 5 == 0 else "train", text=None if number % 7 == 0 else "")
        for number in range(50)
    ]
    return make_corpus(tmp_path_factory.mktemp("corpus"), pairs)


def test_features_are_those_of_the_pairs(corpus: Corpus) -> None:
    stream = PairStream([corpus], split="train", batch=9, seed=0)
    for step in range(10):
        batch = stream.batch(step)
        assert batch.features.shape == (9, 2, 3)
        assert batch.features.dtype == torch.float32
        assert batch.features[:, 1, 2].int().tolist() == numbers(batch)


def test_only_pairs_of_the_split_with_a_text_are_drawn(corpus: Corpus) -> None:
    stream = PairStream([corpus], split="train", batch=8, seed=0)
    seen = {number for step in range(stream.steps_of(1)) for number in numbers(stream.batch(step))}
    assert seen == {number for number in range(50) if number % 5 and number % 7}
    assert stream.pairs_count == len(seen)


def test_pairs_without_a_text_are_drawn_where_none_is_needed(corpus: Corpus) -> None:
    stream = PairStream([corpus], split="train", batch=8, seed=0, needs_text=False)
    assert stream.pairs_count == 40
    assert any(pair.text is None for step in range(5) for pair in stream.batch(step).pairs)


def test_two_corpora_are_one_stream(corpus: Corpus, tmp_path: Path) -> None:
    more = make_corpus(tmp_path / "b", [make_pair(number, set_name="b") for number in range(100, 120)])
    stream = PairStream([corpus, more], split="train", batch=7, seed=0)
    seen = [number for step in range(stream.steps_of(1)) for number in numbers(stream.batch(step))]
    assert stream.counts == {"a": 34, "b": 20}
    assert set(range(100, 120)) < set(seen)
    assert stream.batch(3).features[:, 0, 0].int().tolist() == numbers(stream.batch(3))


def test_a_set_of_weight_zero_is_not_drawn(corpus: Corpus, tmp_path: Path) -> None:
    more = make_corpus(tmp_path / "b", [make_pair(1, set_name="b")], weights={"b": 0.0})
    assert PairStream([corpus, more], split="train", batch=7, seed=0).counts == {"a": 34}


def test_given_weights_win_over_those_of_the_corpora(tmp_path: Path) -> None:
    pairs = [make_pair(number, set_name="ab"[number % 2]) for number in range(20)]
    corpus = make_corpus(tmp_path / "c", pairs, weights={"a": 0.0})
    stream = PairStream([corpus], split="train", batch=4, seed=0, weights={"a": 3.0, "b": 1.0})
    drawn = [pair.set_name for step in range(260) for pair in stream.batch(step).pairs]
    assert drawn.count("a") == 3 * drawn.count("b")


def test_passes_are_counted_in_steps(corpus: Corpus) -> None:
    stream = PairStream([corpus], split="train", batch=10, seed=0)
    assert [stream.steps_of(epochs) for epochs in (0, 0.1, 1, 2, 2.5)] == [0, 1, 4, 7, 9]


@settings(max_examples=30, deadline=None)
@given(batch=st.integers(1, 40), world=st.integers(1, 9), step=st.integers(0, 99), bucketed=st.booleans())
def test_the_shares_of_processes_are_disjoint_and_together_the_batch(
    corpus: Corpus, batch: int, world: int, step: int, bucketed: bool
) -> None:
    stream = PairStream([corpus], split="train", batch=batch, seed=5, bucket_by_length=bucketed)
    whole = stream.batch(step)
    shares = [stream.share(whole, rank, world) for rank in range(world)]
    places = [number for share in shares for number in numbers(share)]
    assert sorted(places) == sorted(numbers(whole))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1
    for share in shares:
        assert share.features.shape == (len(share), 2, 3)
        assert share.features[:, 0, 0].int().tolist() == numbers(share)


def test_the_parts_of_a_batch_are_the_batch(corpus: Corpus) -> None:
    batch = PairStream([corpus], split="train", batch=10, seed=0).batch(0)
    parts = list(batch.parts(4))
    assert [len(part) for part in parts] == [4, 4, 2]
    assert torch.equal(torch.cat([part.features for part in parts]), batch.features)
    assert torch.equal(batch.take([3, 1]).features, batch.features[[3, 1]])


def test_a_batch_can_be_made_of_features_that_are_there() -> None:
    batch = Batch([make_pair(0), make_pair(1)], torch.arange(12.0).reshape(2, 2, 3))
    assert torch.equal(batch.take([1]).features, batch.features[1:])


def test_every_pair_comes_once_where_that_is_asked_for(corpus: Corpus) -> None:
    stream = PairStream([corpus], split="val", batch=4, seed=0)
    batches = list(stream.once())
    assert [len(batch) for batch in batches] == [4, 4]
    assert sorted(number for batch in batches for number in numbers(batch)) == [5, 10, 15, 20, 25, 30, 40, 45]
    assert [number for batch in stream.once(5) for number in numbers(batch)] == [
        number for batch in batches for number in numbers(batch)
    ][:5]


def test_a_split_without_a_pair_says_so_when_it_is_drawn(corpus: Corpus) -> None:
    stream = PairStream([corpus], split="test", batch=4, seed=0)
    assert (stream.pairs_count, stream.steps_of(3), list(stream.once())) == (0, 0, [])
    with pytest.raises(TrainingError, match="no pair in the test split"):
        stream.batch(0)


def test_features_of_several_encoders_are_refused(corpus: Corpus, tmp_path: Path) -> None:
    other = make_corpus(tmp_path / "o", [make_pair(0)], encoder="f" * 64)
    with pytest.raises(TrainingError, match="one and the same encoder"):
        PairStream([corpus, other], split="train", batch=1, seed=0)


def test_weights_that_contradict_each_other_are_refused(tmp_path: Path) -> None:
    corpora = [make_corpus(tmp_path / str(w), [make_pair(0)], weights={"a": w}) for w in (1.0, 2.0)]
    with pytest.raises(TrainingError, match="several weights"):
        PairStream(corpora, split="train", batch=1, seed=0)


@pytest.mark.parametrize("weight", [-1.0, float("nan"), float("inf")])
def test_a_weight_that_is_none_is_refused(tmp_path: Path, weight: float) -> None:
    corpus = make_corpus(tmp_path / "c", [make_pair(0)], weights={"a": weight})
    with pytest.raises(TrainingError, match=r"weight of the set 'a'|several weights"):
        PairStream([corpus], split="train", batch=1, seed=0)


def test_a_set_may_lie_in_several_corpora(tmp_path: Path) -> None:
    corpora = [make_corpus(tmp_path / str(n), [make_pair(n * 9 + k) for k in range(9)], shard=4) for n in range(3)]
    stream = PairStream(corpora, split="train", batch=27, seed=0)
    assert stream.counts == {"a": 27}
    assert sorted(numbers(stream.batch(1))) == list(range(27))
    assert stream.batch(1).features[:, 0, 0].int().tolist() == numbers(stream.batch(1))


def test_features_of_several_shapes_are_refused(tmp_path: Path) -> None:
    corpora = [make_corpus(tmp_path / str(n), [make_pair(0)], channels=n) for n in (3, 4)]
    with pytest.raises(TrainingError, match="several shapes"):
        PairStream(corpora, split="train", batch=1, seed=0)


def test_a_shard_with_other_images_than_pairs_is_refused_before_the_first_step(tmp_path: Path) -> None:
    corpus = make_corpus(tmp_path / "c", [make_pair(number) for number in range(12)])
    os.replace(tmp_path / "c/features-00001.safetensors", tmp_path / "c/features-00000.safetensors")
    os.link(tmp_path / "c/features-00000.safetensors", tmp_path / "c/features-00001.safetensors")
    with pytest.raises(TrainingError, match=r"features-00000.safetensors has 4 images, and pairs-00000.jsonl 8 pairs"):
        PairStream([corpus], split="train", batch=1, seed=0)


def test_many_shards_are_streamed_with_few_open_files(tmp_path: Path) -> None:
    corpus = make_corpus(tmp_path / "c", [make_pair(number) for number in range(600)], shard=1)
    before = len(os.listdir("/proc/self/fd"))
    stream = PairStream([corpus], split="train", batch=300, seed=0)
    for step in range(4):
        assert stream.batch(step).features[:, 0, 0].int().tolist() == numbers(stream.batch(step))
    assert 100 < len(os.listdir("/proc/self/fd")) - before <= 400
    del stream
    assert len(os.listdir("/proc/self/fd")) <= before


def test_the_disk_is_told_what_the_next_step_wants(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("xraygpt_core.model.feature_shards._AHEAD", 0)
    told: list[int] = []
    monkeypatch.setattr(os, "posix_fadvise", lambda handle, start, length, advice: told.append(length))
    stream = PairStream(
        [make_corpus(tmp_path / "c", [make_pair(n) for n in range(20)])], split="train", batch=5, seed=0
    )
    stream.batch(0)
    assert told == [2 * 3 * np.dtype(np.float16).itemsize] * 5
