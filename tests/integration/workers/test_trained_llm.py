"""A language model that a run tuned, through the queue into a bundle that speaks: real jobs, ledger and bucket."""

import json
from pathlib import Path
from uuid import UUID

import pytest
import torch

from tests.support.tiny_bundle import make_tiny_bundle
from tests.support.worker_bench import Bench, run_one
from training_jobs.language.tuning import save_adapter, save_llm, trainable
from workers.bundles import composed, served
from workers.context import Context
from workers.training import Training
from workers.transfer import push
from xraygpt_core.ledger.training.runs import create_run, promote, run
from xraygpt_core.ledger.training.serving import ServedBundle
from xraygpt_core.model.bundle import Bundle
from xraygpt_core.model.llm import load_llm
from xraygpt_core.model.smoke_test import phantom_png, summarise_once
from xraygpt_core.states import JobKind
from xraygpt_core.training.config import LlmTuning


@pytest.fixture
def base(tmp_path: Path) -> Bundle:
    return make_tiny_bundle(tmp_path / "models", "demo", max_new_tokens=4)


@pytest.fixture
def context(bench: Bench, base: Bundle, tmp_path: Path) -> Context:
    settings = bench.settings.model_copy(update={"models": tmp_path / "models", "training_data": tmp_path})
    return Context(settings, bench.ledger, bench.store, bench.context.heartbeat, "test")


def train(bench: Bench, context: Context, run_id: UUID) -> None:
    for _ in bench.queued(JobKind.TRAIN):
        run_one(context, JobKind.TRAIN, Training(context))
    assert run(bench.ledger, run_id).state == "done"


@pytest.mark.long
def test_a_tuned_language_model_is_served_and_writes(
    bench: Bench, context: Context, base: Bundle, tmp_path: Path
) -> None:
    rows = [{"instruction": f"Number {number}?", "output": "It is fine."} for number in range(8)]
    (tmp_path / "dialogues.json").write_text(json.dumps(rows))
    config = {"steps": 2, "batch": 2, "lr": 0.01, "llm": {"tune": "full"}}
    config |= {"conversations": {"files": [str(tmp_path / "dialogues.json")], "max_tokens": 200}}
    run_id = create_run(bench.ledger, "medical-llm", config, None)
    train(bench, context, run_id)
    wanted = ServedBundle(promote(bench.ledger, run_id), run_id)
    made = served(bench.ledger, bench.store, tmp_path / "models", wanted)
    assert made.adapter is None
    assert made.projector_weights is not None
    before, after = (load_llm(one.llm, None, torch.device("cpu"), torch.float32).model for one in (base, made))
    assert not torch.equal(before.get_input_embeddings().weight, after.get_input_embeddings().weight)
    summarise_once(made, phantom_png(), device="cpu")


def result(bench: Bench, base: Bundle, folder: Path, tune: str, seed: int) -> str:
    """What a run of this kind leaves, in the bucket; its prefix."""
    torch.manual_seed(seed)
    llm = trainable(base, LlmTuning(tune, rank=seed))
    with torch.no_grad():
        for parameter in llm.model.parameters():
            parameter.add_(seed * parameter.requires_grad)
    if tune == "full":
        save_llm(llm.model, llm.tokenizer, folder / "llm", dtype="float32")
    else:
        save_adapter(llm.model, folder / "adapter")
    return push(bench.store, folder, f"runs/{folder.name}", lambda: None)


def test_the_later_result_wins_and_an_adapter_goes_with_the_model_it_was_made_for(
    bench: Bench, base: Bundle, tmp_path: Path
) -> None:
    models = tmp_path / "models"
    first = result(bench, base, tmp_path / "first", "lora", 2)
    whole = result(bench, base, tmp_path / "whole", "full", 3)
    last = result(bench, base, tmp_path / "last", "lora", 4)
    tuned = composed(bench.store, base, [first, whole], models, "tuned")
    assert tuned.adapter is None
    both = composed(bench.store, base, [first, whole, last], models, "both")
    assert both.adapter is not None
    assert json.loads((both.adapter / "adapter_config.json").read_text())["r"] == 4
    assert both.files["llm/model.safetensors"] == tuned.files["llm/model.safetensors"]
    assert tuned.files["llm/model.safetensors"] != base.files["llm/model.safetensors"]
    assert not [path for path in models.iterdir() if path.name.startswith(".")]
