"""Corpora of small sets, and what is in them."""

import json
from pathlib import Path
from typing import Any

import pytest

import training_jobs.corpora.shards as shards_module
from training_jobs.corpora.build import local_corpus
from xraygpt_core.model.bundle import Bundle
from xraygpt_core.training.corpus import Corpus
from xraygpt_core.training.mixture import Mixture, parse_mixture
from xraygpt_core.training.pairs import Pair, read_pairs


def mixture(*sets: dict[str, Any]) -> Mixture:
    return parse_mixture({"sets": list(sets)})


def table(path: Path, **more: Any) -> dict[str, Any]:
    return {"name": "ours", "reader": "table", "path": str(path)} | more


def build(base: Bundle, sets: Mixture, cache: Path, workers: int = 1) -> Corpus:
    return local_corpus(base, sets, cache, workers, lambda _done, _total: None)


def pairs_of(corpus: Corpus) -> list[Pair]:
    return [pair for shard in corpus.shards for pair in read_pairs(corpus.path / shard.pairs)]


def problems_of(corpus: Corpus) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (corpus.path / "problems.jsonl").read_text().splitlines()]


def encodings(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many pictures are encoded from now on, shard by shard."""
    seen: list[int] = []
    real = shards_module.encode_pngs

    def counted(*arguments: Any) -> Any:
        values = real(*arguments)
        seen.append(len(values))
        return values

    monkeypatch.setattr(shards_module, "encode_pngs", counted)
    return seen
