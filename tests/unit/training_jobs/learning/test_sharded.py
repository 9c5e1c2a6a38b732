"""A LLaMA in parts over two processes learns what one process learns, and leaves whole weights."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tests.support.two_processes import in_two
from training_jobs.__main__ import main
from training_jobs.learning.sharded import shard
from xraygpt_core.errors import TrainingError
from xraygpt_core.model.bundle import Bundle
from xraygpt_core.model.llm import load_llm

STEPS = 10

pytestmark = pytest.mark.filterwarnings("ignore:This process.*multi-threaded:DeprecationWarning")


@pytest.fixture(scope="module")
def asked(tiny_base: Bundle, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("asked")
    rows = [{"instruction": f"Number {number}?", "output": "It is fine. " * (number % 4 + 1)} for number in range(40)]
    (folder / "dialogues.json").write_text(json.dumps(rows))
    config: dict[str, Any] = {"steps": STEPS, "batch": 4, "micro_batch": 1, "lr": 3e-3, "warmup": 2}
    config |= {"checkpoint_every": 4, "llm": {"tune": "full", "strategy": "shard"}, "precision": "float32"}
    config |= {"conversations": {"files": [str(folder / "dialogues.json")], "max_tokens": 200}}
    (folder / "config.json").write_text(json.dumps(config))
    return ["medical-llm", "--base", str(tiny_base.path), "--config", str(folder / "config.json"), "--no-report"]


def losses(out: Path) -> list[float]:
    lines = [json.loads(line) for line in (out / "progress.jsonl").read_text().splitlines()]
    return [line["loss"] for line in lines if "loss" in line]


def in_two_processes(arguments: list[str], out: Path, *more: str) -> None:
    assert in_two(lambda: main([*arguments, "--out", str(out), *more])) == [0, 0]


@pytest.fixture(scope="module")
def sharded(asked: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("two")
    in_two_processes(asked, out)
    return out


@pytest.fixture(scope="module")
def alone(asked: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("one")
    assert main([*asked, "--out", str(out)]) == 0
    return out


def test_ten_steps_in_parts_give_the_loss_curve_of_one_process(sharded: Path, alone: Path) -> None:
    curve = losses(sharded)
    assert len(curve) == STEPS
    assert curve[-1] < curve[0]
    assert curve == pytest.approx(losses(alone), abs=1e-4)


def test_the_gathered_weights_load_and_are_those_of_one_process(sharded: Path, alone: Path) -> None:
    llm = load_llm(sharded / "result" / "llm", None, torch.device("cpu"), torch.float32)
    assert llm.model.get_input_embeddings().weight.isfinite().all()
    one, two = (load_file(out / "result" / "llm" / "model.safetensors") for out in (alone, sharded))
    assert one.keys() == two.keys()
    for name, tensor in one.items():
        torch.testing.assert_close(two[name], tensor, rtol=0, atol=2e-3)


def test_one_process_goes_on_where_two_were(sharded: Path, alone: Path, asked: list[str], tmp_path: Path) -> None:
    checkpoint = sharded / "checkpoints" / "step-000004"
    assert main([*asked, "--out", str(tmp_path), "--resume", str(checkpoint)]) == 0
    assert losses(tmp_path) == pytest.approx(losses(sharded)[4:], abs=1e-4)


@pytest.mark.long
def test_two_processes_that_go_on_end_with_equal_weights(sharded: Path, asked: list[str], tmp_path: Path) -> None:
    in_two_processes(asked, tmp_path, "--resume", str(sharded / "checkpoints" / "step-000004"))
    one, two = (load_file(out / "result" / "llm" / "model.safetensors") for out in (sharded, tmp_path))
    assert all(torch.equal(one[name], two[name]) for name in one)


@pytest.mark.long
def test_an_adapter_over_frozen_parts_learns_the_same(asked: list[str], tmp_path: Path) -> None:
    settings = ["--set", "llm.tune=lora", "--set", "llm.gradient_checkpointing=true", "--set", "precision=bfloat16"]
    in_two_processes(asked, tmp_path / "two", *settings)
    assert main([*asked, "--out", str(tmp_path / "one"), *settings]) == 0
    assert losses(tmp_path / "two") == pytest.approx(losses(tmp_path / "one"), rel=2e-2)


def test_float16_is_refused() -> None:
    with pytest.raises(TrainingError, match="bfloat16 or float32"):
        shard(torch.nn.Linear(1, 1), torch.device("cpu"), "float16")
