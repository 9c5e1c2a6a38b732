"""The index of a corpus: where each pair lies, kept beside the corpus, and made again when it does not fit."""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.support.corpora import make_corpus, make_pair
from training_jobs.features.pairs_file import PairsFile
from training_jobs.features.shard_index import FILE, NO_TEXT, index_of
from xraygpt_core.errors import TrainingError
from xraygpt_core.training.corpus import Corpus

PAIRS = [
    make_pair(0, text="Ein Bild – mit Umlaut: ü."),
    make_pair(1, text=None, split="val"),
    make_pair(2, set_name="b", split="test"),
]


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    return make_corpus(tmp_path, PAIRS, shard=2)


def test_every_pair_is_read_back_by_its_offset(corpus: Corpus) -> None:
    index = index_of(corpus)
    for place, pair in enumerate(PAIRS):
        file = PairsFile(corpus.path / corpus.shards[index.shard[place]].pairs)
        assert file.pair(int(index.offset[place]), int(index.size[place]), int(index.row[place])) == pair


def test_lengths_sets_and_splits_are_known_without_reading_a_text(corpus: Corpus) -> None:
    index = index_of(corpus)
    assert index.letters.tolist() == [25, NO_TEXT, len(PAIRS[2].text or "")]
    assert index.split.tolist() == [0, 1, 2]
    assert [index.sets[number] for number in index.set_number] == ["a", "a", "b"]


def test_the_index_is_read_from_its_file_the_second_time(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    made = index_of(corpus)
    monkeypatch.setattr("training_jobs.features.shard_index._make", None)
    read = index_of(corpus)
    assert read.sets == made.sets
    assert all(np.array_equal(getattr(read, name), getattr(made, name)) for name in ("offset", "size", "split"))


def test_a_corpus_that_changed_is_indexed_again(corpus: Corpus) -> None:
    index_of(corpus)
    file = corpus.path / corpus.shards[1].pairs
    file.write_text(json.dumps(json.loads(file.read_text()) | {"split": "train"}) + "\n")
    assert index_of(corpus).split.tolist() == [0, 1, 0]


@pytest.mark.parametrize("damage", [b"", b"no archive", b"PK\x03\x04"])
def test_a_damaged_index_is_made_again(corpus: Corpus, damage: bytes) -> None:
    index_of(corpus)
    (corpus.path / FILE).write_bytes(damage)
    assert len(index_of(corpus)) == 3
    assert (corpus.path / FILE).read_bytes()[:2] == b"PK"


def test_an_index_that_is_cut_anywhere_is_made_again(corpus: Corpus) -> None:
    index_of(corpus)
    whole = (corpus.path / FILE).read_bytes()
    for length in range(0, len(whole), 97):
        (corpus.path / FILE).write_bytes(whole[:length])
        assert index_of(corpus).split.tolist() == [0, 1, 2]


def test_a_corpus_that_may_not_be_written_is_indexed_all_the_same(
    corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object, **__: object) -> None:
        raise PermissionError

    monkeypatch.setattr("training_jobs.features.shard_index.tempfile.mkstemp", refused)
    assert len(index_of(corpus)) == 3
    assert not (corpus.path / FILE).exists()


@pytest.mark.parametrize("line", ["{", "[]", '{"pair_id": "x"}', '{"pair_id": "x", "nonsense": 1}', "\x00"])
def test_a_line_that_is_no_pair_is_named(corpus: Corpus, line: str) -> None:
    file = corpus.path / corpus.shards[0].pairs
    file.write_text(file.read_text().splitlines()[0] + "\n" + line + "\n")
    with pytest.raises(TrainingError, match=r"pairs-00000.jsonl, line 2: no pair"):
        index_of(corpus)


@pytest.mark.parametrize("change", [{"split": "dev"}, {"text": 5}, {"set_name": None}])
def test_a_pair_of_no_split_set_or_text_is_named(corpus: Corpus, change: dict[str, object]) -> None:
    file = corpus.path / corpus.shards[1].pairs
    file.write_text(json.dumps(json.loads(file.read_text()) | change) + "\n")
    with pytest.raises(TrainingError, match=r"pairs-00001.jsonl, line 1: no pair"):
        index_of(corpus)


def test_a_file_with_another_number_of_pairs_is_refused(corpus: Corpus) -> None:
    file = corpus.path / corpus.shards[0].pairs
    file.write_text(file.read_text().splitlines()[0] + "\n")
    with pytest.raises(TrainingError, match=r"pairs-00000.jsonl has 1 pairs, and the corpus says 2"):
        index_of(corpus)


def test_a_corpus_of_nothing_has_an_empty_index(tmp_path: Path) -> None:
    assert len(index_of(make_corpus(tmp_path / "none", []))) == 0
