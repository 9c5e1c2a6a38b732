"""Projector and LLM trained together (MAIRA-1, LLaVA-Rad), and encoders of other shapes."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.support.told_films import qformer_bundle, raddino_bundle, told_corpus, told_pairs
from tests.unit.training_jobs.stages.conftest import Ask, curve
from training_jobs.stages import stage1, stage2
from xraygpt_core.errors import TrainingError
from xraygpt_core.model.bundle import Bundle
from xraygpt_core.model.compose import compose_bundle
from xraygpt_core.model.llm import load_base
from xraygpt_core.model.smoke_test import phantom_png, summarise_once
from xraygpt_core.training.corpus import Corpus

FEW = {"steps": 6, "batch": 4, "warmup": 1, "lr": 0.01, "checkpoint_every": 3}


@pytest.fixture(scope="module")
def maira(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return raddino_bundle(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def films(maira: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    pairs = told_pairs(16, 4, indication="Cough.")
    return told_corpus(tmp_path_factory.mktemp("films") / "corpus", maira, pairs=pairs)


def test_mairas_one_stage_trains_projector_and_llm_and_serves(
    ask: Ask, maira: Bundle, films: Corpus, tmp_path: Path
) -> None:
    settings = {"preset": "maira-1"} | FEW | {"projector": {"width": 24}}
    given = ask(settings, base=maira, corpus=films)
    stage1.run(given)
    result = given.out / "result"
    assert sorted(path.name for path in result.iterdir()) == ["llm", "projector.safetensors", "result.json"]
    losses = curve(given.out)
    assert losses[-1] < losses[0]
    assert curve(given.out, "held_out")[-1] < curve(given.out, "held_out")[0]
    before, after = load_base(maira.llm)[0].state_dict(), load_base(result / "llm")[0].state_dict()
    assert sum(not torch.equal(before[name], after[name]) for name in before) > 10
    projector = load_file(result / "projector.safetensors")
    assert [tuple(value.shape) for name, value in sorted(projector.items()) if name.endswith("weight")] == [
        (24, 16),
        (24, 24),
        (24, 24),
        (32, 24),
    ]
    told = json.loads((result / "result.json").read_text())
    assert told["remarks"] == []
    made = compose_bundle(
        maira, tmp_path / "m", "trained", projector=result / "projector.safetensors", adapter=None, llm=result / "llm"
    )
    assert summarise_once(made, phantom_png())


def test_a_run_with_the_llm_is_gone_on_with_bit_by_bit(ask: Ask, maira: Bundle, films: Corpus, tmp_path: Path) -> None:
    settings = {"preset": "maira-1"} | FEW | {"projector": {"width": 8}}
    whole = ask(settings, base=maira, corpus=films, out=tmp_path / "whole")
    stage1.run(whole)
    checkpoint = whole.out / "checkpoints" / "step-000003"
    resumed = ask(settings, base=maira, corpus=films, out=tmp_path / "resumed", resume=checkpoint)
    stage1.run(resumed)
    assert curve(resumed.out) == curve(whole.out)[3:]
    for file in ("projector.safetensors", "llm/model.safetensors"):
        one, two = load_file(whole.out / "result" / file), load_file(resumed.out / "result" / file)
        assert all(torch.equal(one[name], two[name]) for name in one)


def test_llava_rads_two_stages_align_then_tune_an_adapter(
    ask: Ask, maira: Bundle, films: Corpus, tmp_path: Path
) -> None:
    align = {"preset": "llava-rad-align"} | FEW | {"projector": {"width": 8}}
    first = ask(align, base=maira, corpus=films, out=tmp_path / "1")
    stage1.run(first)
    aligned = compose_bundle(
        maira, tmp_path / "m", "aligned", projector=first.out / "result/projector.safetensors", adapter=None
    )
    tune = {"preset": "llava-rad-tune"} | FEW | {"llm": {"rank": 2, "alpha": 4}}
    second = ask(tune, base=aligned, corpus=films, out=tmp_path / "2")
    stage2.run(second)
    result = second.out / "result"
    assert (result / "adapter" / "adapter_model.safetensors").is_file()
    learned = load_file(result / "adapter" / "adapter_model.safetensors")
    assert any(value.abs().sum() > 0 for name, value in learned.items() if "lora_B" in name)
    made = compose_bundle(
        aligned, tmp_path / "m", "tuned", projector=result / "projector.safetensors", adapter=result / "adapter"
    )
    assert summarise_once(made, phantom_png())


@pytest.mark.parametrize("kind", ["LinearProjector", "MlpProjector", "MapProjector"])
def test_the_tokens_of_a_q_former_go_through_each_projector(ask: Ask, kind: str, tmp_path: Path) -> None:
    base = qformer_bundle(tmp_path / "models")
    corpus = told_corpus(tmp_path / "films", base, pairs=told_pairs(6, 2))
    settings = {"steps": 2, "batch": 2, "checkpoint_every": 9, "projector": {"kind": kind, "width": 8}}
    given = ask(settings, base=base, corpus=corpus)
    stage1.run(given)
    told = json.loads((given.out / "result/result.json").read_text())
    assert (told["projector"], told["align_steps"]) == (kind, 0)
    assert told["image_tokens"] == {"positions": 3, "channels": 24}
    assert len(curve(given.out)) == 2


def test_micro_batches_change_no_weight_worth_naming(ask: Ask, tmp_path: Path) -> None:
    settings = {"preset": "paper-stage1", "steps": 3, "batch": 8, "checkpoint_every": 9, "lr": 0.01, "warmup": 1}
    one, many = ask(settings, out=tmp_path / "one"), ask(settings | {"micro_batch": 3}, out=tmp_path / "many")
    stage1.run(one)
    stage1.run(many)
    assert curve(many.out) == pytest.approx(curve(one.out), rel=1e-5)


def test_epochs_are_counted_in_pairs_that_have_a_text(ask: Ask) -> None:
    given = ask({"preset": "paper-stage1", "epochs": 2.0, "batch": 8, "warmup_share": 0.25, "lr": 0.01})
    stage1.run(given)
    assert len(curve(given.out)) == 4  # two passes over 16 pairs
    assert curve(given.out, "lr")[0] == pytest.approx(1e-6)


def test_weights_in_parts_are_for_the_text_stage(ask: Ask) -> None:
    with pytest.raises(TrainingError, match="strategy=shard"):
        stage1.run(ask({"llm": {"tune": "full", "strategy": "shard"}}))


def test_a_corpus_of_another_encoder_is_refused(ask: Ask, maira: Bundle) -> None:
    with pytest.raises(TrainingError, match="features of another encoder"):
        stage1.run(ask({"preset": "paper-stage1"}, base=maira))
