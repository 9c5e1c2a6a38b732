"""A narrow copy of the published model as a base, and a corpus for it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.published_parts import write_parts
from tests.support.told_films import published_bundle, told_corpus
from training_jobs.stages.image_stage import Given
from xraygpt_core.model.bundle import Bundle
from xraygpt_core.training.config import parse_config
from xraygpt_core.training.corpus import Corpus

Ask = Callable[..., Given]


@pytest.fixture(scope="session")
def narrow(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """MedCLIP's shape, LinearProjector and a LLaMA."""
    return published_bundle(tmp_path_factory.mktemp("models"), write_parts(tmp_path_factory.mktemp("downloads")))


@pytest.fixture(scope="session")
def told(narrow: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return told_corpus(tmp_path_factory.mktemp("told") / "corpus", narrow)


@pytest.fixture
def ask(narrow: Bundle, told: Corpus, tmp_path: Path) -> Ask:
    """What a stage is called with: settings over a preset, on the narrow base and its corpus."""

    def given(
        settings: dict[str, Any], *, base: Bundle = narrow, corpus: Corpus = told, out: Path | None = None, **more: Any
    ) -> Given:
        config, resume = parse_config(settings), more.pop("resume", None)
        return Given(base, out or tmp_path / "out", config, resume, tmp_path / "cache", (corpus.path,), **more)

    return given


def curve(out: Path, name: str = "loss") -> list[float]:
    """The values of one kind in a run's progress, in order."""
    lines = [json.loads(line) for line in (out / "progress.jsonl").read_text().splitlines()]
    return [line[name] for line in lines if name in line]
