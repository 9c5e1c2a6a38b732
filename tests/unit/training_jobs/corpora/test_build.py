"""From a mixture to a corpus: every kind of set, and what a later run finds in the cache."""

import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch

import training_jobs.corpora.shards as shards_module
from tests.support.training_corpora import build, encodings, mixture, pairs_of, table
from tests.support.training_sets import SETS, film, make_set, table_set, text, write
from training_jobs.corpora.build import local_corpus
from training_jobs.corpora.mixtures import demo_films, mixture_of
from xraygpt_core.model.bundle import Bundle
from xraygpt_core.model.encoders.digest import encoder_digest
from xraygpt_core.model.encoders.encoder import load_encoder
from xraygpt_core.model.feature_shards import open_features
from xraygpt_core.phantoms.findings import LABELS
from xraygpt_core.report.labeller import label_report
from xraygpt_core.training.config import Config, Phantoms


@pytest.mark.parametrize("reader", SETS)
def test_every_layout_becomes_a_corpus(reader: str, tiny_base: Bundle, tmp_path: Path) -> None:
    path = make_set(reader, tmp_path / "set", range(5))
    corpus = build(
        tiny_base, mixture({"name": "a", "reader": reader, "path": str(path), "weight": 2.0}), tmp_path / "c"
    )
    pairs = pairs_of(corpus)
    assert len(pairs) == sum(shard.count for shard in corpus.shards) == (10 if reader == "open-i" else 5)
    assert all(len(pair.image) == 64 and pair.text and pair.set_name == "a" for pair in pairs)
    assert corpus.weights == {"a": 2.0}
    assert corpus.encoder == encoder_digest(tiny_base)


def test_features_are_those_of_the_normalised_film(tiny_base: Bundle, tmp_path: Path) -> None:
    corpus = build(tiny_base, mixture(table(table_set(tmp_path, range(4)))), tmp_path / "c")
    encoder = load_encoder(tiny_base.encoder, tiny_base.encoder_weights, dict(tiny_base.encoder_options))
    shown = [encoder.preprocess(film(seed)) for seed in range(4)]  # a PNG is normalised already
    found = open_features(corpus.path / corpus.shards[0].features, corpus.encoder).batch(range(4))
    torch.testing.assert_close(found, encoder.encode(torch.stack(shown)), rtol=1e-2, atol=1e-2)


def test_drawn_sets_know_their_truth_and_hold_some_out(tiny_base: Bundle, tmp_path: Path) -> None:
    corpus = build(tiny_base, mixture_of(Config(phantoms=Phantoms(count=4), sketches=3)), tmp_path)
    pairs = pairs_of(corpus)
    assert Counter((pair.set_name, pair.split) for pair in pairs) == {
        ("phantoms", "train"): 4,
        ("phantoms", "val"): 1,
        ("sketches", "train"): 3,
        ("sketches", "val"): 1,
    }
    for pair in pairs:
        there = {label for label in LABELS if pair.labels[label]}
        assert label_report(pair.text or "") == there
        assert pair.labels["view"] == float(pair.view == "AP")


def test_a_run_without_a_mixture_trains_on_the_demos_films(film_directory: Path) -> None:
    sets = mixture_of(Config(films=str(film_directory))).sets
    assert [one.name for one in sets] == ["phantoms", "NIH ChestX-ray14", "Hannover COVID-19"]
    assert all(one.licence for one in sets if not one.drawn)
    assert not any("covid/" in door for one in sets for door in one.only)
    assert len(demo_films(film_directory / "none")) == 3


def test_a_film_has_augmented_copies_where_it_is_trained_on(tiny_base: Bundle, tmp_path: Path) -> None:
    path = table_set(tmp_path, range(5))
    pairs = pairs_of(build(tiny_base, mixture(table(path, variants=2)), tmp_path / "c"))
    assert [pair.pair_id for pair in pairs if pair.split != "train"] == ["study-3", "study-4"]
    assert [pair.pair_id for pair in pairs][:3] == ["study-0", "study-0+1", "study-0+2"]
    assert len({pair.image for pair in pairs}) == len(pairs) == 11


def test_the_same_mixture_is_the_same_corpus_and_encodes_nothing(
    tiny_base: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sets = mixture(table(table_set(tmp_path)), {"name": "drawn", "reader": "phantoms", "count": 2})
    first = build(tiny_base, sets, tmp_path / "c")
    seen = encodings(monkeypatch)
    assert build(tiny_base, sets, tmp_path / "c") == first
    assert seen == []


def test_other_texts_are_another_corpus_of_the_same_features(
    tiny_base: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = table_set(tmp_path)
    first = build(tiny_base, mixture(table(path)), tmp_path / "c")
    path.write_text(path.read_text().replace("Findings", "Result"))
    seen = encodings(monkeypatch)
    second = build(tiny_base, mixture(table(path)), tmp_path / "c")
    assert second.path != first.path
    assert "Result" in (pairs_of(second)[0].text or "")
    assert seen == []


def test_a_changed_film_is_encoded_again(tiny_base: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = table_set(tmp_path)
    build(tiny_base, mixture(table(path)), tmp_path / "c")
    write(tmp_path / "films/0.png", film(77))
    seen = encodings(monkeypatch)
    build(tiny_base, mixture(table(path)), tmp_path / "c")
    assert seen == [6]


def test_a_killed_run_finds_the_shards_it_finished(
    tiny_base: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training_jobs.corpora.build.SHARD_PAIRS", 2)
    sets = mixture(table(table_set(tmp_path)))
    real = shards_module.write_features

    def killed(path: Path, values: Any, encoder: str) -> None:
        if seen == [2, 2]:
            raise KeyboardInterrupt
        real(path, values, encoder)

    seen = encodings(monkeypatch)
    monkeypatch.setattr(shards_module, "write_features", killed)
    with pytest.raises(KeyboardInterrupt):
        build(tiny_base, sets, tmp_path / "c")
    monkeypatch.setattr(shards_module, "write_features", real)
    del seen[:]
    corpus = build(tiny_base, sets, tmp_path / "c")
    assert seen == [2, 2]
    assert [shard.count for shard in corpus.shards] == [2, 2, 2]
    left = [path.name for folder in ("shards", "corpora", ".") for path in (tmp_path / "c" / folder).iterdir()]
    assert not [name for name in left if name.startswith(".")]


def test_the_report_has_held_out_pictures_of_every_set(tiny_base: Bundle, tmp_path: Path) -> None:
    path = table_set(tmp_path)
    corpus = build(tiny_base, mixture(table(path), {"name": "p", "reader": "phantoms", "count": 2}), tmp_path / "c")
    held_out = {pair.image for pair in pairs_of(corpus) if pair.split == "val"}
    assert {png.stem for png in (corpus.path / "images").iterdir()} == held_out
    assert len(held_out) == 2


@pytest.mark.long
def test_workers_beside_the_encoder_change_nothing(sandboxed: None, tiny_base: Bundle, tmp_path: Path) -> None:
    sets = mixture(table(table_set(tmp_path, range(20))), {"name": "p", "reader": "phantoms", "count": 12})
    assert build(tiny_base, sets, tmp_path / "2", 2).path.name == build(tiny_base, sets, tmp_path / "1").path.name


def test_progress_counts_every_picture(tiny_base: Bundle, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    path = table_set(tmp_path, range(3))
    local_corpus(tiny_base, mixture(table(path)), tmp_path / "c", 1, lambda done, total: told.append((done, total)))
    assert told[-1] == (3, 3)
    assert told == sorted(told)
    assert os.listdir(tmp_path / "c/corpora")
    assert text(0) == pairs_of(build(tiny_base, mixture(table(path)), tmp_path / "c"))[0].text
