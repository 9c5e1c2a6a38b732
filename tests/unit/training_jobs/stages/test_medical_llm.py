"""Tuning on dialogues: what it leaves, exact resume, the same with any number of micro-batches, and what it refuses."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from training_jobs.learning.loop import plan_of
from training_jobs.stages import medical_llm
from xraygpt_core.errors import TrainingError
from xraygpt_core.model.bundle import Bundle
from xraygpt_core.model.compose import compose_bundle
from xraygpt_core.model.llm import load_llm
from xraygpt_core.training.config import Config, Conversations, LlmTuning, parse_config

CPU = torch.device("cpu")


def dialogues(path: Path, count: int = 40, **changes: Any) -> Path:
    rows = [
        {"instruction": f"I had an X-ray, number {number}.", "output": "It is fine. " * (number % 4 + 1)}
        for number in range(count)
    ]
    path.write_text(json.dumps([row | changes for row in rows]))
    return path


@pytest.fixture
def config(tmp_path: Path) -> Config:
    file = dialogues(tmp_path / "dialogues.json")
    return Config(
        steps=4,
        batch=4,
        lr=1e-2,
        warmup=1,
        checkpoint_every=2,
        llm=LlmTuning("full"),
        conversations=Conversations((str(file),), "radiology", 400),
    )


def weights(out: Path) -> dict[str, torch.Tensor]:
    (file,) = (out / "result").rglob("*.safetensors")
    return load_file(file)


def result(out: Path) -> dict[str, Any]:
    data: dict[str, Any] = json.loads((out / "result" / "result.json").read_text())
    return data


def losses(out: Path) -> list[float]:
    lines = [json.loads(line) for line in (out / "progress.jsonl").read_text().splitlines()]
    return [line["loss"] for line in lines if "loss" in line]


@pytest.mark.parametrize("tune", ["full", "lora", "none"])
def test_dialogues_are_learned(tiny_base: Bundle, config: Config, tmp_path: Path, tune: str) -> None:
    medical_llm.run(tiny_base, tmp_path / "out", replace(config, steps=12, llm=LlmTuning(tune)), None)
    curve, told = losses(tmp_path / "out"), result(tmp_path / "out")
    assert curve[-1] < curve[0]
    assert told["held_out"]["after"] < told["held_out"]["before"]
    names = sorted(path.name for path in (tmp_path / "out" / "result").iterdir())
    assert names == (["llm", "result.json"] if tune == "full" else ["adapter", "result.json"])


def test_a_result_says_what_it_learned_from_and_names_no_path(
    tiny_base: Bundle, config: Config, tmp_path: Path
) -> None:
    medical_llm.run(tiny_base, tmp_path / "out", config, None)
    told = result(tmp_path / "out")
    assert (told["dialogues"]["read"], told["dialogues"]["used"], told["held_out"]["dialogues"]) == (40, 40, 2)
    assert told["dialogues"]["keywords"]["name"] == "radiology"
    assert (told["template"], told["max_tokens"]) == ("xraygpt-code", 400)
    assert str(tmp_path) not in json.dumps(told)


def test_the_tuned_model_is_a_part_of_a_bundle_that_loads(tiny_base: Bundle, config: Config, tmp_path: Path) -> None:
    medical_llm.run(tiny_base, tmp_path / "out", config, None)
    llm = tmp_path / "out" / "result" / "llm"
    made = compose_bundle(tiny_base, tmp_path / "models", "tuned", projector=None, adapter=None, llm=llm)
    tuned, before = (load_llm(bundle.llm, bundle.adapter, CPU, torch.float32) for bundle in (made, tiny_base))
    assert tuned.tokenizer.get_vocab() == before.tokenizer.get_vocab()
    assert not torch.equal(tuned.model.get_input_embeddings().weight, before.model.get_input_embeddings().weight)


@pytest.mark.parametrize("tune", ["full", "lora"])
def test_a_run_that_goes_on_from_a_checkpoint_ends_with_equal_weights(
    tiny_base: Bundle, config: Config, tmp_path: Path, tune: str
) -> None:
    config = replace(config, llm=LlmTuning(tune))
    medical_llm.run(tiny_base, tmp_path / "whole", config, None)
    medical_llm.run(tiny_base, tmp_path / "rest", config, tmp_path / "whole" / "checkpoints" / "step-000002")
    one, two = weights(tmp_path / "whole"), weights(tmp_path / "rest")
    assert one.keys() == two.keys()
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert result(tmp_path / "whole") == result(tmp_path / "rest")


def test_smaller_micro_batches_and_checkpointed_activations_learn_the_same(
    tiny_base: Bundle, config: Config, tmp_path: Path
) -> None:
    other = replace(config, micro_batch=1, llm=LlmTuning("full", gradient_checkpointing=True))
    medical_llm.run(tiny_base, tmp_path / "one", config, None)
    medical_llm.run(tiny_base, tmp_path / "two", other, None)
    assert losses(tmp_path / "two") == pytest.approx(losses(tmp_path / "one"), rel=1e-4)


def test_a_checkpoint_of_other_dialogues_is_refused(tiny_base: Bundle, config: Config, tmp_path: Path) -> None:
    medical_llm.run(tiny_base, tmp_path / "out", config, None)
    dialogues(Path(config.conversations.files[0]), output="Something else.")
    with pytest.raises(TrainingError, match="other data"):
        medical_llm.run(tiny_base, tmp_path / "rest", config, tmp_path / "out" / "checkpoints" / "step-000002")


def test_dialogues_that_cannot_be_used_are_told_before_anything_is_written(
    tiny_base: Bundle, config: Config, tmp_path: Path
) -> None:
    dialogues(Path(config.conversations.files[0]), output="")
    with pytest.raises(TrainingError, match="the dialogues have 40 problems"):
        medical_llm.run(tiny_base, tmp_path / "out", config, None)
    assert not (tmp_path / "out").exists()


def test_dialogues_whose_question_fills_the_room_are_left_out(
    tiny_base: Bundle, config: Config, tmp_path: Path
) -> None:
    rows = [{"instruction": "X-ray " * (200 if number % 2 else 1) + str(number), "output": "a"} for number in range(8)]
    Path(config.conversations.files[0]).write_text(json.dumps(rows))
    medical_llm.run(tiny_base, tmp_path / "out", replace(config, steps=1), None)
    assert result(tmp_path / "out")["dialogues"]["left_out"] == {"too_long": 4}
    narrow = replace(config, conversations=replace(config.conversations, max_tokens=16))
    with pytest.raises(TrainingError, match=r"fills conversations.max_tokens \(16\)"):
        medical_llm.run(tiny_base, tmp_path / "none", narrow, None)


def test_the_limit_is_never_more_than_the_positions_of_the_model(
    tiny_base: Bundle, config: Config, tmp_path: Path
) -> None:
    wide = replace(config, steps=1, conversations=replace(config.conversations, max_tokens=4096))
    medical_llm.run(tiny_base, tmp_path / "out", wide, None)
    assert result(tmp_path / "out")["max_tokens"] == 1024


def test_a_bundle_that_stops_elsewhere_is_refused(tiny_base: Bundle, config: Config, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"end with '###', but the bundle stops at \['END'\]"):
        medical_llm.run(replace(tiny_base, stop=("END",)), tmp_path, config, None)


def test_an_unknown_keyword_list_is_refused(tiny_base: Bundle, config: Config, tmp_path: Path) -> None:
    wrong = replace(config, conversations=replace(config.conversations, keywords="cardiology"))
    with pytest.raises(TrainingError, match="there are chest-imaging, radiology"):
        medical_llm.run(tiny_base, tmp_path, wrong, None)


def test_a_preset_of_another_stage_is_refused(tiny_base: Bundle, config: Config, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="is for stage1"):
        medical_llm.run(tiny_base, tmp_path, replace(config, preset="paper-stage1"), None)


@pytest.mark.parametrize("preset", ["chatdoctor-lora", "fastchat-vicuna-7b", "chatdoctor-full"])
def test_a_preset_trains_and_is_told(tiny_base: Bundle, config: Config, tmp_path: Path, preset: str) -> None:
    own = {"preset": preset, "steps": 2, "batch": 4, "precision": "float32"}
    small = parse_config(own | {"conversations": {"files": list(config.conversations.files), "max_tokens": 300}})
    medical_llm.run(tiny_base, tmp_path / "out", small, None)
    rows = {row["key"]: row for row in result(tmp_path / "out")["preset"]}
    assert rows["lr"]["value"] == rows["lr"]["original"]
    assert "changed by this run" in rows["batch"]["why"]


def test_epochs_and_a_share_of_warm_up_count_the_dialogues(
    tiny_base: Bundle, config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plans = []
    monkeypatch.setattr(
        "training_jobs.language.lesson.plan_of",
        lambda *given, **more: plans.append(plan_of(*given, **more)) or plans[0],
    )
    medical_llm.run(tiny_base, tmp_path / "out", replace(config, epochs=1.0, warmup_share=0.3), None)
    assert (plans[0].steps, plans[0].warmup, plans[0].epoch_steps) == (9, 3, 9)


@pytest.mark.parametrize(
    ("wants", "told"),
    [
        ({"preset": "fastchat-vicuna-7b"}, "the preset fastchat-vicuna-7b needs dialogues"),
        ({"conversations": {"keywords": "radiology"}}, "conversations.keywords needs dialogues"),
        ({"llm": {"tune": "full"}}, "for dialogues"),
        ({"llm": {"strategy": "shard"}}, "for dialogues"),
    ],
)
def test_who_wants_dialogues_and_names_none_does_not_get_the_demos_task(
    tiny_base: Bundle, tmp_path: Path, wants: dict[str, Any], told: str
) -> None:
    with pytest.raises(TrainingError, match=told):
        medical_llm.run(tiny_base, tmp_path, parse_config(wants), None)


def test_sets_of_films_are_refused_and_not_passed_over(tiny_base: Bundle, config: Config, tmp_path: Path) -> None:
    sets = {"sets": [{"name": "ours", "reader": "table", "path": "pairs.csv"}]}
    wanted = replace(config, mixture=parse_config({"mixture": sets}).mixture)
    with pytest.raises(TrainingError, match="text alone"):
        medical_llm.run(tiny_base, tmp_path / "out", wanted, None)
