"""Stage 0 from a corpus of tokens below the cut to a bundle with the tuned encoder."""

import json
from pathlib import Path

import pytest

from tests.support.told_films import raddino_bundle, told_corpus, told_pairs
from training_jobs.encoder import stage
from training_jobs.learning.checkpoint import latest_checkpoint
from training_jobs.stages.image_stage import Given
from xraygpt_core.errors import TrainingError
from xraygpt_core.model.bundle import Bundle
from xraygpt_core.model.compose import compose_bundle
from xraygpt_core.model.encoders.delta import read_encoder
from xraygpt_core.model.encoders.digest import encoder_digest
from xraygpt_core.model.encoders.tuning import lower_half
from xraygpt_core.training.config import parse_config
from xraygpt_core.training.corpus import Corpus

SETTINGS = {"steps": 8, "batch": 16, "lr": 0.01, "warmup": 1, "checkpoint_every": 4, "encoder": {"last": 1}}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return raddino_bundle(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def corpus(base: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """Reports alone: their labels are read off them."""
    return told_corpus(tmp_path_factory.mktemp("told") / "corpus", lower_half(base, 1), pairs=told_pairs(56, 24))


def given(base: Bundle, corpus: Corpus, out: Path, resume: Path | None = None) -> Given:
    return Given(base, out, parse_config(SETTINGS), resume, out / "cache", (corpus.path,))


def test_a_run_learns_the_reports_findings_and_its_result_makes_a_bundle(
    base: Bundle, corpus: Corpus, tmp_path: Path
) -> None:
    stage.run(given(base, corpus, tmp_path))
    result = json.loads((tmp_path / "result" / "result.json").read_text())
    assert {"cardiomegaly", "effusion", "pneumothorax", "abnormal"} == set(result["labels"])
    first = json.loads((tmp_path / "progress.jsonl").read_text().splitlines()[0])
    assert result["held_out"]["auc"] > first["auc"]
    delta = tmp_path / "result" / stage.FILE
    tuned = compose_bundle(base, tmp_path, "tuned", projector=None, adapter=None, encoder=delta)
    assert tuned.encoder_options == base.encoder_options
    assert encoder_digest(tuned) != encoder_digest(base)


def test_a_run_that_goes_on_from_a_checkpoint_ends_with_the_same_difference(
    base: Bundle, corpus: Corpus, tmp_path: Path
) -> None:
    stage.run(given(base, corpus, tmp_path / "whole"))
    checkpoint = latest_checkpoint(tmp_path / "whole")
    stage.run(given(base, corpus, tmp_path / "resumed", checkpoint))
    whole, resumed = (read_encoder(tmp_path / name / "result" / stage.FILE).state for name in ("whole", "resumed"))
    assert whole.keys() == resumed.keys()
    assert all((whole[name] == resumed[name]).all() for name in whole)


def test_features_of_another_cut_are_refused(base: Bundle, tmp_path: Path) -> None:
    whole = told_corpus(tmp_path / "corpus", base)
    with pytest.raises(TrainingError, match="another encoder"):
        stage.run(given(base, whole, tmp_path / "out"))
