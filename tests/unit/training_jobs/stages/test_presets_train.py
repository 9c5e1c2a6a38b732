"""The paper's and the repository's stages on MedCLIP's shape with a linear projector and a LLaMA, seeded and small."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tests.unit.training_jobs.stages.conftest import Ask, curve
from training_jobs.learning.outcomes import Stopped
from training_jobs.stages import stage1, stage2
from training_jobs.stages.image_stage import Given
from training_jobs.stages.xraygpt_file import FILE
from xraygpt_core.errors import TrainingError
from xraygpt_core.model.bundle import Bundle
from xraygpt_core.model.compose import compose_bundle
from xraygpt_core.model.projector import LinearProjector, load_projector
from xraygpt_core.model.smoke_test import phantom_png, summarise_once

# A narrow model in a few steps needs a higher rate than a wide one in many; the rest is the preset's.
FEW = {"steps": 12, "batch": 8, "checkpoint_every": 6, "warmup": 2, "lr": 0.05, "min_lr": 0.02}


def few(preset: str, **more: Any) -> dict[str, Any]:
    return {"preset": preset} | FEW | more


def run(given: Given) -> Path:
    preset = given.config.preset or ""
    (stage2 if preset.endswith("stage2") else stage1).run(given)
    return given.out


@pytest.mark.parametrize("preset", ["paper-stage1", "paper-stage2", "repository-stage1", "repository-stage2"])
def test_the_loss_falls_and_the_film_tells_more_than_another_one(preset: str, ask: Ask) -> None:
    out = run(ask(few(preset, steps=40, lr=0.01, min_lr=0.005, text={"max_tokens": 12})))
    losses, held_out = curve(out), curve(out, "held_out")
    assert sum(losses[-5:]) < sum(losses[:5])
    assert held_out[-1] < held_out[0]
    assert held_out[-1] < curve(out, "swapped")[-1]


def test_a_result_has_the_projector_in_both_formats_and_says_what_was_inherited(ask: Ask, narrow: Bundle) -> None:
    out = run(ask(few("paper-stage1")))
    assert sorted(path.name for path in (out / "result").iterdir()) == [FILE, "projector.safetensors", "result.json"]
    result = json.loads((out / "result/result.json").read_text())
    rows = {row["key"]: row for row in result["preset"]}
    assert (rows["steps"]["value"], rows["steps"]["original"]) == (12, "320k")
    assert "changed by this run" in rows["steps"]["why"]
    assert rows["schedule"]["why"] == "the paper does not say; inherited from the repository"
    assert result["remarks"] == ["the preset's original prompts as xraygpt-paper; this base as xraygpt-code"]
    assert (result["projector"], result["started"], result["sets"]) == ("LinearProjector", "from nothing", {"told": 16})
    assert result["image_tokens"] == {"positions": 1, "channels": 20}
    assert result["held_out"]["pairs"] == 8


def test_the_pth_is_read_as_the_released_code_reads_it_and_a_stage_starts_from_it(ask: Ask, tmp_path: Path) -> None:
    first = run(ask(few("paper-stage1"), out=tmp_path / "1"))
    content = torch.load(first / "result" / FILE, weights_only=True)
    assert content.keys() == {"model", "optimizer", "config", "scaler", "epoch"}
    original = torch.nn.Module()
    original.llama_proj = torch.nn.Linear(20, 32)
    original.visual_encoder = torch.nn.Linear(2, 2)
    outcome = original.load_state_dict(content["model"], strict=False)
    assert outcome.unexpected_keys == []
    assert not any("llama_proj" in key for key in outcome.missing_keys)
    settings = few("repository-stage2", start="file", steps=0, projector={"file": str(first / "result" / FILE)})
    second = run(ask(settings, out=tmp_path / "2"))
    again = torch.load(second / "result" / FILE, weights_only=True)["model"]
    assert all(torch.equal(again[name], content["model"][name]) for name in content["model"])
    started = json.loads((second / "result/result.json").read_text())["started"]
    assert started == "from a file; ignored: entry config, entry epoch, entry optimizer, entry scaler"


def test_the_composed_bundle_summarises_a_film(ask: Ask, narrow: Bundle, tmp_path: Path) -> None:
    out = run(ask(few("paper-stage1", steps=2)))
    made = compose_bundle(
        narrow, tmp_path / "models", "trained", projector=out / "result/projector.safetensors", adapter=None
    )
    assert made.projector == "LinearProjector"
    assert made.projector_weights is not None
    assert isinstance(load_projector(made.projector, made.projector_weights), LinearProjector)
    assert summarise_once(made, phantom_png())


def test_the_same_run_gives_the_same_weights_and_so_does_one_that_was_stopped(ask: Ask, tmp_path: Path) -> None:
    settings = few("paper-stage1", text={"paraphrases": 0.5})
    whole = run(ask(settings, out=tmp_path / "whole"))
    checkpoint = whole / "checkpoints" / "step-000006"
    resumed = run(ask(settings, out=tmp_path / "resumed", resume=checkpoint))
    one = load_file(whole / "result/projector.safetensors")
    two = load_file(resumed / "result/projector.safetensors")
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert curve(resumed) == curve(whole)[6:]


def test_a_checkpoint_of_other_pairs_is_refused(ask: Ask, tmp_path: Path, narrow: Bundle) -> None:
    from tests.support.told_films import told_corpus

    out = run(ask(few("paper-stage1"), out=tmp_path / "1"))
    other = told_corpus(tmp_path / "other", narrow, pairs=None, seed=1)
    (other.path / "pairs-00000.jsonl").write_text(
        (other.path / "pairs-00000.jsonl").read_text().replace("enlarged", "small")
    )
    again = ask(few("paper-stage1"), out=tmp_path / "2", corpus=other, resume=out / "checkpoints" / "step-000006")
    with pytest.raises(TrainingError, match="other data"):
        run(again)


def test_a_preset_of_the_other_stage_is_refused(ask: Ask) -> None:
    with pytest.raises(TrainingError, match="for stage1, not for stage2"):
        stage2.run(ask({"preset": "paper-stage1"}))


def test_what_is_measured_takes_no_random_number_from_training(ask: Ask, tmp_path: Path) -> None:
    often = run(ask(few("paper-stage1", checkpoint_every=1), out=tmp_path / "often"))
    seldom = run(ask(few("paper-stage1", checkpoint_every=12), out=tmp_path / "seldom"))
    assert curve(often) == curve(seldom)
    assert len(curve(often, "held_out")) == 13
    assert len(curve(seldom, "held_out")) == 2


def test_sigterm_keeps_a_checkpoint_and_no_result(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    import os
    import signal

    class Stopper:
        def note(self, step: int, values: object) -> None:
            if step == 4:
                os.kill(os.getpid(), signal.SIGTERM)

    given = ask(few("paper-stage1", checkpoint_every=4), observer=Stopper())
    with pytest.raises(Stopped):
        run(given)
    assert (given.out / "checkpoints").is_dir()
    assert not (given.out / "result").exists()
