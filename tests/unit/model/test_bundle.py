"""bundle.toml: what is read, what is refused, and that no torch is needed for it."""

import subprocess
import sys
from pathlib import Path

import pytest

from xraygpt_core.errors import BundleError
from xraygpt_core.model.bundle import Bundle, bundles, load_bundle, read_bundle, verify, write_toml
from xraygpt_core.model.compose import write_bundle
from xraygpt_core.scope import UNDECLARED, scope_table


def make(path: Path, **changes: object) -> Path:
    """A bundle directory of empty parts."""
    (path / "llm").mkdir(parents=True)
    for name in ("encoder.safetensors", "projector.safetensors", "llm/config.json"):
        (path / name).write_text(name)
    tables = {
        "encoder": {"class": "E", "weights": "encoder.safetensors", "size": 224},
        "projector": {"class": "P", "weights": "projector.safetensors"},
        "llm": {"folder": "llm"},
        "prompt": {"template": "xraygpt-code", "question": 'Say "what" you see.', "stop": ["###", "</s>"]},
        "decoding": {"max_new_tokens": 7, "do_sample": False},
    }
    write_bundle(path, path.name, tables | changes)
    return path


def test_everything_written_is_read_back(tmp_path: Path) -> None:
    bundle = read_bundle(make(tmp_path / "b"))
    assert (bundle.name, bundle.encoder, bundle.projector) == ("b", "E", "P")
    assert bundle.encoder_options == {"size": 224}
    assert bundle.question == 'Say "what" you see.'
    assert bundle.stop == ("###", "</s>")
    assert bundle.decoding.max_new_tokens == 7
    assert bundle.adapter is None
    assert set(bundle.files) == {"encoder.safetensors", "projector.safetensors", "llm/config.json"}


def test_a_bundle_that_declares_no_scope_is_made_for_nothing_it_says(tmp_path: Path) -> None:
    assert read_bundle(make(tmp_path / "b")).scope == UNDECLARED


def test_a_declared_scope_is_read_back_with_its_figures(tmp_path: Path) -> None:
    figure = {"name": 'our "own" films', "n": 9, "metric": "F1", "value": 0.5, "interval": [0.25, 0.75]}
    declared = {"made_for": "validated", "says": "Measured on nine films – für uns.", "validated_on": [figure]}
    assert scope_table(read_bundle(make(tmp_path / "b", scope=declared)).scope) == declared


def test_an_unknown_scope_refuses_the_bundle(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="made_for 'clinical' is none of synthetic, trial, research, validated"):
        read_bundle(make(tmp_path / "b", scope={"made_for": "clinical", "says": "Trust me."}))


def test_a_bundle_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="no bundle 'nope'"):
        load_bundle(tmp_path, "nope")


@pytest.mark.parametrize("name", ["", ".hidden", "../b", "a/b", "/etc"])
def test_a_name_that_leaves_the_models_directory_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(BundleError, match="no bundle name"):
        load_bundle(tmp_path, name)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    path = make(tmp_path / "b")
    (path / "projector.safetensors").unlink()
    with pytest.raises(BundleError, match=r"incomplete: projector\.safetensors"):
        read_bundle(path)


def test_a_changed_file_is_found_by_verify(tmp_path: Path) -> None:
    path = make(tmp_path / "b")
    (path / "encoder.safetensors").write_text("something else")
    with pytest.raises(BundleError, match=r"encoder\.safetensors changed on disk"):
        verify(read_bundle(path))


def test_an_intact_bundle_verifies(tmp_path: Path) -> None:
    verify(read_bundle(make(tmp_path / "b")))


@pytest.mark.parametrize("text", ["", "format = 1", "format = 2\nname = 'b'", "not toml at all ["])
def test_a_broken_description_is_a_bundle_error(tmp_path: Path, text: str) -> None:
    path = make(tmp_path / "b")
    (path / "bundle.toml").write_text(text)
    with pytest.raises(BundleError, match=r"bundle\.toml"):
        read_bundle(path)


def test_an_unknown_decoding_setting_is_a_bundle_error(tmp_path: Path) -> None:
    path = make(tmp_path / "b", decoding={"beams": 4})
    with pytest.raises(BundleError, match="beams"):
        read_bundle(path)


def test_the_hash_changes_with_any_file(tmp_path: Path) -> None:
    one, two = make(tmp_path / "1" / "b"), make(tmp_path / "2" / "b")
    assert read_bundle(one).sha256 == read_bundle(two).sha256
    (two / "llm/config.json").write_text("{}")
    tables = {"prompt": {"template": "xraygpt-code", "question": 'Say "what" you see.', "stop": ["###", "</s>"]}}
    write_bundle(two, "b", _tables(read_bundle(two)) | tables)
    assert read_bundle(one).sha256 != read_bundle(two).sha256


@pytest.mark.parametrize(
    ("decoding", "trouble"),
    [
        ({"max_new_tokens": 0}, "at least one token"),
        ({"do_sample": True}, "needs a seed"),
        ({"do_sample": True, "seed": 1, "temperature": 0.0}, "temperature above 0"),
        ({"do_sample": True, "seed": 1, "top_p": 0.0}, "top_p above 0"),
    ],
)
def test_decoding_that_writes_nothing_or_nothing_twice_is_refused(
    tmp_path: Path, decoding: dict[str, object], trouble: str
) -> None:
    with pytest.raises(BundleError, match=trouble):
        read_bundle(make(tmp_path / "b", decoding=decoding))


def _tables(bundle: Bundle) -> dict[str, object]:
    return {
        "encoder": {"class": bundle.encoder, "weights": "encoder.safetensors", "size": 224},
        "projector": {"class": bundle.projector, "weights": "projector.safetensors"},
        "llm": {"folder": "llm"},
        "decoding": {"max_new_tokens": 7, "do_sample": False},
    }


def test_bundles_are_listed_without_unfinished_ones(tmp_path: Path) -> None:
    make(tmp_path / "b")
    make(tmp_path / "a")
    make(tmp_path / ".a-unfinished")
    (tmp_path / "stray").mkdir()
    assert bundles(tmp_path) == ["a", "b"]


def test_quotes_and_newlines_survive_the_description(tmp_path: Path) -> None:
    write_toml(tmp_path, {"name": 'a "b"\n\\c', "t": {"odd key": ["x", "y"], "gone": None}})
    import tomllib

    read = tomllib.loads((tmp_path / "bundle.toml").read_text())
    assert read == {"name": 'a "b"\n\\c', "t": {"odd key": ["x", "y"]}}


def test_reading_a_bundle_needs_no_torch() -> None:
    modules = ", ".join(f"xraygpt_core.model.{name}" for name in ("bundle", "compose", "fetch", "prompt"))
    code = f"import sys; sys.modules['torch'] = None; import {modules}"
    subprocess.run([sys.executable, "-c", code], check=True)
