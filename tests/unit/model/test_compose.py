"""Composing a bundle from a base and new parts: all or nothing, and the unchanged is shared."""

import json
from pathlib import Path

import pytest

from xraygpt_core.errors import BundleError
from xraygpt_core.model.bundle import Bundle, read_bundle, verify
from xraygpt_core.model.compose import compose_bundle, new_bundle, quantise_bundle, write_bundle
from xraygpt_core.model.projector import LinearProjector, save_projector
from xraygpt_core.scope import Figure, MadeFor, Scope


@pytest.fixture
def base(tmp_path: Path) -> Bundle:
    path = tmp_path / "models" / "base"
    (path / "llm").mkdir(parents=True)
    (path / "encoder.safetensors").write_text("encoder")
    (path / "llm/model.safetensors").write_text("llm")
    write_bundle(
        path,
        "base",
        {
            "encoder": {"class": "E", "weights": "encoder.safetensors"},
            "llm": {"folder": "llm"},
            "prompt": {"template": "xraygpt-code", "question": "?", "stop": ["###"]},
            "decoding": {"max_new_tokens": 5},
        },
    )
    return read_bundle(path)


@pytest.fixture
def projector(tmp_path: Path) -> Path:
    file = tmp_path / "result" / "projector.safetensors"
    file.parent.mkdir()
    file.write_text("trained")
    return file


@pytest.fixture
def adapter(tmp_path: Path) -> Path:
    folder = tmp_path / "trained-adapter"
    folder.mkdir()
    (folder / "adapter_config.json").write_text("{}")
    (folder / "adapter_model.safetensors").write_text("lora")
    return folder


def test_new_parts_join_the_base(base: Bundle, projector: Path, adapter: Path) -> None:
    made = compose_bundle(base, base.path.parent, "run-1", projector=projector, adapter=adapter)
    assert (made.name, made.projector) == ("run-1", "MapProjector")
    assert made.projector_weights is not None
    assert made.projector_weights.read_text() == "trained"
    assert made.adapter is not None
    assert (made.adapter / "adapter_model.safetensors").read_text() == "lora"
    verify(made)


def test_a_trained_bundle_is_made_for_what_its_base_was_and_has_no_figures_of_its_own(
    base: Bundle, projector: Path
) -> None:
    figure = Figure("drawn films", 200, "F1", 0.9, (0.8, 1.0))
    declared = Scope(MadeFor.SYNTHETIC, "Drawn films only.", validated_on=(figure,))
    first = compose_bundle(base, base.path.parent, "first", projector=projector, adapter=None, scope=declared)
    assert first.scope == declared
    second = compose_bundle(first, base.path.parent, "second", projector=projector, adapter=None)
    assert (second.scope.made_for, second.scope.validated_on) == (MadeFor.SYNTHETIC, ())
    assert quantise_bundle(first, base.path.parent, "small", "int8").scope == second.scope


def test_unchanged_files_are_hard_links(base: Bundle, projector: Path) -> None:
    made = compose_bundle(base, base.path.parent, "run-1", projector=projector, adapter=None)
    assert (made.path / "llm/model.safetensors").samefile(base.path / "llm/model.safetensors")


def test_a_replaced_part_leaves_nothing_of_the_old_one(base: Bundle, projector: Path, adapter: Path) -> None:
    models = base.path.parent
    first = compose_bundle(base, models, "first", projector=projector, adapter=adapter)
    projector.write_text("trained more")
    (adapter / "adapter_model.safetensors").write_text("other lora")
    second = compose_bundle(first, models, "second", projector=projector, adapter=adapter)
    assert first.files.keys() == second.files.keys()
    assert first.files["projector.safetensors"] != second.files["projector.safetensors"]
    assert first.files["adapter/adapter_model.safetensors"] != second.files["adapter/adapter_model.safetensors"]
    verify(first)
    verify(second)


def test_only_an_adapter_keeps_the_projector(base: Bundle, projector: Path, adapter: Path) -> None:
    models = base.path.parent
    first = compose_bundle(base, models, "first", projector=projector, adapter=None)
    second = compose_bundle(first, models, "second", projector=None, adapter=adapter)
    assert second.files["projector.safetensors"] == first.files["projector.safetensors"]


def test_composing_the_same_again_changes_nothing(base: Bundle, projector: Path) -> None:
    one = compose_bundle(base, base.path.parent, "run-1", projector=projector, adapter=None)
    before = (one.path / "bundle.toml").stat().st_mtime_ns
    two = compose_bundle(base, base.path.parent, "run-1", projector=projector, adapter=None)
    assert one.sha256 == two.sha256
    assert (two.path / "bundle.toml").stat().st_mtime_ns == before


def test_a_name_in_use_is_not_overwritten(base: Bundle, projector: Path) -> None:
    made = compose_bundle(base, base.path.parent, "run-1", projector=projector, adapter=None)
    projector.write_text("other")
    with pytest.raises(BundleError, match="another bundle 'run-1'"):
        compose_bundle(base, base.path.parent, "run-1", projector=projector, adapter=None)
    verify(made)


def test_a_missing_part_makes_no_bundle(base: Bundle, tmp_path: Path) -> None:
    models = base.path.parent
    with pytest.raises(BundleError, match="nowhere"):
        compose_bundle(base, models, "run-1", projector=tmp_path / "nowhere", adapter=None)
    assert sorted(path.name for path in models.iterdir()) == ["base"]


def test_an_error_half_way_leaves_nothing(tmp_path: Path) -> None:
    def fail_half_way() -> None:
        with new_bundle(tmp_path, "b") as (work, _commit):
            (work / "big").write_text("half")
            raise RuntimeError("no disk")

    with pytest.raises(RuntimeError, match="no disk"):
        fail_half_way()
    assert list(tmp_path.iterdir()) == []


def test_a_quantised_bundle_has_the_same_files_and_another_hash(base: Bundle) -> None:
    made = quantise_bundle(base, base.path.parent, "base-int8", "int8")
    assert (made.name, made.weights, made.files) == ("base-int8", "int8", base.files)
    assert made.sha256 != base.sha256
    assert (made.path / "llm/model.safetensors").samefile(base.path / "llm/model.safetensors")
    verify(made)


def test_quantised_weights_are_not_quantised_again(base: Bundle) -> None:
    made = quantise_bundle(base, base.path.parent, "base-int8", "int8")
    with pytest.raises(BundleError, match="int8 weights already"):
        quantise_bundle(made, base.path.parent, "base-fp8", "fp8")


def test_what_is_composed_of_a_quantised_bundle_is_quantised(base: Bundle, projector: Path) -> None:
    made = quantise_bundle(base, base.path.parent, "base-int8", "int8")
    assert compose_bundle(made, base.path.parent, "run-2", projector=projector, adapter=None).weights == "int8"


def an_llm(folder: Path, *, words: int = 3, width: int = 32, shards: int = 1) -> Path:
    """A folder with the shape of a language model's."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps({"hidden_size": width}))
    vocabulary = {f"w{number}": number for number in range(words)}
    added = [{"content": "</s>", "id": words}]
    (folder / "tokenizer.json").write_text(json.dumps({"model": {"vocab": vocabulary}, "added_tokens": added}))
    if shards == 1:
        (folder / "model.safetensors").write_text(f"weights of {folder.name}")
        return folder
    names = [f"model-{number}.safetensors" for number in range(shards)]
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": dict(enumerate(names))}))
    for name in names:
        (folder / name).write_text(name)
    return folder


@pytest.fixture
def speaking(base: Bundle, projector: Path, adapter: Path) -> Bundle:
    """A bundle with a projector, an adapter and an LLM whose tokenizer can be compared."""
    an_llm(base.path / "llm")
    tables = {
        "encoder": {"class": "E", "weights": "encoder.safetensors"},
        "llm": {"folder": "llm", "dtype": "float16", "weights": "int8"},
        "prompt": {"template": "xraygpt-code", "question": "?", "stop": ["###"]},
        "decoding": {"max_new_tokens": 5},
    }
    write_bundle(base.path, "base", tables)
    return compose_bundle(read_bundle(base.path), base.path.parent, "speaking", projector=projector, adapter=adapter)


def test_a_whole_language_model_takes_the_place_of_the_old_one_and_its_adapter(
    speaking: Bundle, tmp_path: Path
) -> None:
    tuned = an_llm(tmp_path / "tuned", shards=2)
    (tuned / "pytorch_model.bin").write_text("a pickle")
    made = compose_bundle(speaking, speaking.path.parent, "tuned", projector=None, adapter=None, llm=tuned)
    assert made.adapter is None
    assert sorted(path.name for path in made.llm.iterdir()) == [
        "config.json",
        "model-0.safetensors",
        "model-1.safetensors",
        "model.safetensors.index.json",
        "tokenizer.json",
    ]
    assert not [name for name in made.files if name.startswith("adapter")]
    assert (made.dtype, made.weights) == ("float16", "int8")
    assert made.projector_weights is not None
    assert made.projector_weights.read_text() == "trained"
    verify(made)
    verify(speaking)


def test_an_adapter_beside_a_language_model_is_one_for_it(speaking: Bundle, adapter: Path, tmp_path: Path) -> None:
    tuned = an_llm(tmp_path / "tuned")
    made = compose_bundle(speaking, speaking.path.parent, "both", projector=None, adapter=adapter, llm=tuned)
    assert made.adapter is not None
    assert (made.llm / "model.safetensors").read_text() == "weights of tuned"


def test_another_vocabulary_is_refused_with_both_sizes(speaking: Bundle, tmp_path: Path) -> None:
    other = an_llm(tmp_path / "other", words=7)
    with pytest.raises(BundleError, match=r"another vocabulary than the bundle's \(8 and 4 tokens"):
        compose_bundle(speaking, speaking.path.parent, "other", projector=None, adapter=None, llm=other)
    assert not (speaking.path.parent / "other").exists()


def test_another_width_is_refused_unless_a_projector_comes_with_it(
    speaking: Bundle, projector: Path, tmp_path: Path
) -> None:
    wide = an_llm(tmp_path / "wide", width=64)
    with pytest.raises(BundleError, match="64 wide, those that the bundle's projector was trained for 32"):
        compose_bundle(speaking, speaking.path.parent, "wide", projector=None, adapter=None, llm=wide)
    compose_bundle(speaking, speaking.path.parent, "wide", projector=projector, adapter=None, llm=wide)


@pytest.mark.parametrize("gone", ["config.json", "tokenizer.json", "model-1.safetensors"])
def test_an_incomplete_language_model_is_refused(speaking: Bundle, tmp_path: Path, gone: str) -> None:
    tuned = an_llm(tmp_path / "tuned", shards=2)
    (tuned / gone).unlink()
    with pytest.raises(BundleError, match=f"{gone} missing"):
        compose_bundle(speaking, speaking.path.parent, "tuned", projector=None, adapter=None, llm=tuned)


@pytest.mark.parametrize("file", ["config.json", "tokenizer.json", "model.safetensors.index.json"])
@pytest.mark.parametrize("content", ["", "[]", "{}", "[" * 100_000])
def test_a_hostile_language_model_is_a_bundle_error(speaking: Bundle, tmp_path: Path, file: str, content: str) -> None:
    tuned = an_llm(tmp_path / "tuned", shards=2)
    (tuned / file).write_text(content)
    with pytest.raises(BundleError):
        compose_bundle(speaking, speaking.path.parent, "tuned", projector=None, adapter=None, llm=tuned)


def test_a_projector_has_the_class_that_its_header_names(base: Bundle, tmp_path: Path) -> None:
    save_projector(LinearProjector(4, 8), tmp_path / "linear.safetensors")
    made = compose_bundle(base, base.path.parent, "linear", projector=tmp_path / "linear.safetensors", adapter=None)
    assert made.projector == "LinearProjector"
