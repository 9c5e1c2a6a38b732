"""A recipe from its file to a bundle that writes: each step once, and only what is missing the second time."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from training_jobs.drawers.drawings import Drawing, draw
from training_jobs.evaluation.generating import summaries
from training_jobs.recipe import measure as measure_module
from training_jobs.recipe.measure import measure
from training_jobs.recipe.run import Workshop, make, without
from training_jobs.recipe.settings import NAMES, Recipe, read_recipe
from xraygpt_core.errors import TrainingError
from xraygpt_core.model.bundle import Bundle, verify
from xraygpt_core.training.config import Config, EncoderTuning
from xraygpt_core.training.mixture import DRAWERS, Mixture, SetSpec

COUNTS = dict.fromkeys(DRAWERS, 8)
RECIPE = Recipe(
    encoder=Config(steps=3, batch=8, checkpoint_every=2, encoder=EncoderTuning(1, ("head",), 0.2)),
    medical_llm=Config(steps=2, batch=2),
    stage1=Config(steps=0, align_steps=2, batch=2),
    counts=COUNTS,
)


@pytest.fixture(scope="module")
def workshop(tiny_base: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    folder = tmp_path_factory.mktemp("recipe")
    return Workshop(tiny_base, None, folder / "out", folder / "cache", lambda _line: None)


@pytest.fixture(scope="module")
def made(workshop: Workshop) -> Bundle:
    return make(RECIPE, workshop)


def test_its_bundle_has_every_part_and_writes_about_a_film(made: Bundle, tiny_base: Bundle) -> None:
    verify(made)
    assert made.encoder_options["layers"] == ["head"]
    assert made.encoder_delta is not None
    assert None not in (made.projector, made.adapter)
    assert made.files["encoder.safetensors"] != tiny_base.files["encoder.safetensors"]
    assert len(summaries(made, [draw(Drawing("fields", 5000)).png], 1, lambda *_: None)) == 1


def test_each_step_is_logged_with_what_it_took(made: Bundle, workshop: Workshop) -> None:
    lines = [json.loads(line) for line in (workshop.out / "recipe.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines][:3] == ["tuned", "medical-llm", "demo-stage1"]
    assert lines[0]["sets"] == COUNTS
    assert all(line["seconds"] >= 0 for line in lines)


def test_what_is_there_is_not_done_again(made: Bundle, workshop: Workshop) -> None:
    before = {file: file.stat().st_mtime_ns for file in workshop.out.rglob("*") if file.is_file()}
    assert make(RECIPE, workshop) == made
    assert {file: file.stat().st_mtime_ns for file in workshop.out.rglob("*") if file.is_file()} == before


def test_a_drawer_is_left_out_of_encoder_and_projector(made: Bundle, workshop: Workshop) -> None:
    other = without("solids", replace(RECIPE, left_out_steps=2), workshop)
    assert other.name == "without-solids"
    for step in ("tuned-without-solids", "without-solids-stage1"):
        result = json.loads((workshop.out / step / "result/result.json").read_text())
        assert set(result["sets"]) == set(DRAWERS) - {"solids"}
    assert other.files["adapter/adapter_model.safetensors"] == made.files["adapter/adapter_model.safetensors"]


@pytest.mark.parametrize("name", NAMES)
def test_the_recipes_of_this_version_can_be_read(name: str) -> None:
    recipe = read_recipe(name)
    assert recipe.encoder.steps > 0
    assert set(recipe.left_out) <= set(DRAWERS)


def test_a_recipe_changes_the_counts_of_a_mixture() -> None:
    whole = Mixture((SetSpec("a", "fields", count=5), SetSpec("b", "solids", count=5), SetSpec("c", "solids", count=5)))
    chosen = replace(RECIPE, counts={"a": 7, "b": 0}).mixture(whole)
    assert [(one.name, one.count) for one in chosen.sets] == [("a", 7), ("c", 5)]


@pytest.mark.parametrize(
    "text",
    ["steps = 1", "[encoder]\nsteps = 1", "[encoder]\n[stage1]\nsteps = -1", "[encoder]\n[stage1]\n[baking]", "="],
)
def test_what_is_no_recipe_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "mine.toml").write_text(text)
    with pytest.raises(TrainingError):
        read_recipe(str(tmp_path / "mine.toml"))


def test_it_is_measured_once_on_every_drawer(made: Bundle, workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[int] = []

    def nothing_found(_bundle: Bundle, pictures: Sequence[bytes], **_: object) -> list[str]:
        written.append(len(pictures))
        return ["Findings: PA view. No nodule. Impression: No acute abnormality."] * len(pictures)

    monkeypatch.setattr(measure_module, "summaries", nothing_found)
    for _ in range(2):
        measure(made, replace(RECIPE, measured=3), workshop)
    found = {file.stem: json.loads(file.read_text()) for file in (workshop.out / "evaluation").glob("*.json")}
    assert set(found) == {f"demo-{drawer}" for drawer in DRAWERS}
    assert written == [4] * len(DRAWERS), "three films and a grey plate, and nothing the second time"
    assert all(one["n"] == 3 for one in found.values())
