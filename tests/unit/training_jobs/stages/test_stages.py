"""The three stages on a tiny model: what they write, what they leave alone, and exact resume of whole jobs."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from training_jobs.drawers.drawings import draw, phantoms
from training_jobs.evaluation.generating import summaries
from training_jobs.learning.checkpoint import latest_checkpoint
from training_jobs.stages import medical_llm, report_writing, stage1, stage2
from training_jobs.stages.image_stage import Given
from xraygpt_core.errors import BundleError, TrainingError
from xraygpt_core.model.bundle import Bundle
from xraygpt_core.model.compose import compose_bundle
from xraygpt_core.report.concise import KINDS_OF_PLACES, TRUTHS
from xraygpt_core.training.config import Config, Phantoms

CONFIG = Config(
    steps=3, batch=2, lr=1e-2, warmup=1, checkpoint_every=2, align_steps=2, phantoms=Phantoms(count=4), augment=0.5
)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("features")


@pytest.fixture(scope="module")
def tuned(tiny_base: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("medical-llm")
    medical_llm.run(tiny_base, out, CONFIG, None)
    return out


@pytest.fixture(scope="module")
def aligned(tiny_base: Bundle, cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("stage1")
    stage1.run(Given(tiny_base, out, CONFIG, None, cache))
    return out


def test_the_whole_chain_makes_a_bundle_that_speaks(
    tiny_base: Bundle, tuned: Path, cache: Path, tmp_path: Path
) -> None:
    models = tiny_base.path.parent
    base = compose_bundle(tiny_base, models, "tuned", projector=None, adapter=tuned / "result" / "adapter")
    stage1.run(Given(base, tmp_path / "1", CONFIG, None, cache))
    first = compose_bundle(base, models, "first", projector=tmp_path / "1/result/projector.safetensors", adapter=None)
    stage2.run(Given(first, tmp_path / "2", CONFIG, None, cache))
    second = compose_bundle(
        first, models, "second", projector=tmp_path / "2/result/projector.safetensors", adapter=None
    )
    picture = draw(next(phantoms(Phantoms(count=1)))).png
    assert len(summaries(second, [picture], 1, lambda *_: None, "cpu")) == 1
    assert first.files["projector.safetensors"] != second.files["projector.safetensors"]
    assert first.files["adapter/adapter_model.safetensors"] == second.files["adapter/adapter_model.safetensors"]


def test_the_text_stage_writes_an_adapter_and_no_projector(tuned: Path) -> None:
    names = sorted(str(path.relative_to(tuned / "result")) for path in (tuned / "result").rglob("*") if path.is_file())
    assert names == ["adapter/adapter_config.json", "adapter/adapter_model.safetensors", "result.json"]
    state = load_file(tuned / "result/adapter/adapter_model.safetensors")
    assert all("lora_" in name for name in state)
    assert any(tensor.abs().sum() > 0 for name, tensor in state.items() if "lora_B" in name)


def test_the_projector_stage_writes_a_projector_and_no_adapter(aligned: Path) -> None:
    assert sorted(path.name for path in (aligned / "result").iterdir()) == ["projector.safetensors", "result.json"]


def test_a_result_says_what_made_it_and_names_no_path(aligned: Path, tiny_base: Bundle) -> None:
    result = json.loads((aligned / "result/result.json").read_text())
    assert (result["job"], result["base"], result["base_sha256"]) == ("stage1", "base", tiny_base.sha256)
    assert result["config"]["phantoms"] == {"count": 4, "seed": 0, "population": "train"}
    assert "/" not in json.dumps(result["config"])


def test_stage_two_without_a_projector_is_refused(tiny_base: Bundle, tmp_path: Path, cache: Path) -> None:
    with pytest.raises(BundleError, match="no projector to refine"):
        stage2.run(Given(tiny_base, tmp_path, CONFIG, None, cache))


@pytest.mark.parametrize("job", ["medical-llm", "stage1"])
def test_a_job_resumed_from_its_checkpoint_ends_with_equal_weights(
    job: str, tiny_base: Bundle, tuned: Path, aligned: Path, cache: Path, tmp_path: Path
) -> None:
    whole = tuned if job == "medical-llm" else aligned
    file = "adapter/adapter_model.safetensors" if job == "medical-llm" else "projector.safetensors"
    checkpoint = sorted((whole / "checkpoints").iterdir())[0]
    assert checkpoint.name == "step-000002"
    if job == "medical-llm":
        medical_llm.run(tiny_base, tmp_path, CONFIG, checkpoint)
    else:
        stage1.run(Given(tiny_base, tmp_path, CONFIG, checkpoint, cache))
    one, two = load_file(whole / "result" / file), load_file(tmp_path / "result" / file)
    assert one.keys() == two.keys()
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_stage_one_can_go_on_from_the_bases_projector(
    tiny_base: Bundle, aligned: Path, cache: Path, tmp_path: Path
) -> None:
    file = aligned / "result" / "projector.safetensors"
    base = compose_bundle(tiny_base, tiny_base.path.parent, "aligned", projector=file, adapter=None)
    stage1.run(Given(base, tmp_path, replace(CONFIG, start="base", steps=0, align_steps=0), None, cache))
    one, two = load_file(file), load_file(tmp_path / "result" / "projector.safetensors")
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_a_checkpoint_of_another_stage_is_refused(tiny_base: Bundle, tuned: Path, tmp_path: Path, cache: Path) -> None:
    with pytest.raises(TrainingError, match="another run"):
        stage1.run(Given(tiny_base, tmp_path, CONFIG, latest_checkpoint(tuned), cache))


def test_films_join_the_phantoms(tiny_base: Bundle, tmp_path: Path, cache: Path) -> None:
    rows = []
    for seed, split in enumerate(("train", "train", "val")):
        name = f"images/nih/{seed}.png"
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(draw(next(phantoms(Phantoms(count=1, seed=50 + seed)))).png)
        row = {"id": f"n{seed}", "image": name, "split": split, "view": "PA", "labels": ["No Finding"]}
        rows.append(json.dumps(row | {"template_text": "No abnormal finding is labelled."}))
    (tmp_path / "manifest.jsonl").write_text("\n".join(rows))
    config = Config(steps=1, batch=4, align_steps=1, phantoms=Phantoms(count=2), films=str(tmp_path))
    stage1.run(Given(tiny_base, tmp_path / "out", config, None, cache))
    result = json.loads((tmp_path / "out/result/result.json").read_text())
    assert result["config"]["films"] is True
    assert result["sets"] == {"phantoms": 2, "NIH ChestX-ray14": 10}  # each film and four augmented copies
    assert result["align_steps"] == 1


def test_the_text_task_asks_for_reports_findings_and_single_answers() -> None:
    drawn = [pair for step in range(2, 36, 3) for pair in report_writing.batch_of(step, Config(batch=16), "Describe.")]
    questions = {exchange.question for _, exchange in drawn}
    assert "Describe." in questions
    assert len(questions) > 5
    assert any(exchange.turns for _, exchange in drawn)
    assert len({len(labels) for (labels, _), _ in drawn}) > 6


def test_batches_drawn_together_are_of_similar_length() -> None:
    for step in range(2, 26, 3):
        lengths = [
            len(e.answer) + sum(map(len, sum(e.turns, ())))
            for _, e in report_writing.batch_of(step, Config(batch=8), "D")
        ]
        assert max(lengths) - min(lengths) < 330


def test_twins_differ_in_one_sentence_and_their_texts_go_on_behind_it() -> None:
    last: set[str] = set()
    for step in (step for step in range(30) if step % 3 < 2):
        drawn = report_writing.batch_of(step, Config(batch=12), "Describe.")
        assert len(drawn) == 12
        for (there, one), (absent, other) in zip(drawn[::2], drawn[1::2], strict=True):
            assert len(there[0] ^ absent[0]) == 1
            assert there[1] == absent[1]
            assert one.question == other.question
            assert one.answer != other.answer
            assert {one.ends, other.ends} == {False}
            last.add(sorted(there[0] ^ absent[0])[0])
    assert set(TRUTHS[1:]) == last


def test_twins_of_a_kind_have_no_place_of_it() -> None:
    rng = np.random.default_rng(3)
    for _ in range(300):
        (there, one), (absent, _) = report_writing.draw_twins("Describe.", rng)
        (label,) = there[0] ^ absent[0]
        if label in KINDS_OF_PLACES.values():
            assert not any(KINDS_OF_PLACES.get(other) == label for other in there[0])
            assert one.answer.endswith(("Pleural effusion.", "Pneumothorax.", "Lung opacity."))
