"""``models fetch`` and ``models catalogue`` as people type them, against a hub of our own."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from typer.testing import Result

from tests.support.hub_server import HubServer, hub_server
from tests.support.small_catalogue import point_at, publish, write_catalogue
from xraygpt_core.model.bundle import load_bundle, verify
from xraygpt_core.model.catalogue.memory import DeviceMemory

Run = Callable[..., Result]


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XRAYGPT_MODELS", str(tmp_path / "models"))
    return tmp_path / "models"


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    monkeypatch.setattr("xraygpt.commands.fetching.device_memory", lambda: DeviceMemory(10**11, is_gpu=True))
    with hub_server() as server:
        publish(server)
        point_at(server, monkeypatch, tmp_path)
        yield server


@pytest.fixture
def fetch(tmp_path: Path, xraygpt: Run) -> Run:
    """``models fetch`` from the small catalogue, its licences accepted."""
    file = write_catalogue(tmp_path)

    def run(name: str, *more: str) -> Result:
        return xraygpt("models", "fetch", name, "--catalogue", str(file), "--accept-licence", *more)

    return run


def test_without_consent_the_licence_and_the_flag_are_named_and_nothing_is_asked(
    models: Path, hub: HubServer, tmp_path: Path, xraygpt: Run
) -> None:
    done = xraygpt("models", "fetch", "base", "--catalogue", str(write_catalogue(tmp_path)))
    assert str(done.exception) == (
        "Base is under Some Licence (https://licence.example/some): read that, and accept it with --accept-licence"
    )
    assert hub.asked == []
    assert not models.exists()


def test_an_encoder_and_an_llm_become_a_bundle_to_train_from(models: Path, hub: HubServer, fetch: Run) -> None:
    done = fetch("base", "--json")
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    bundle = load_bundle(models, "base")
    verify(bundle)
    assert (found["name"], found["kind"], found["sha256"]) == ("base", "base", bundle.sha256)
    assert (bundle.encoder, bundle.projector, bundle.template) == ("RadDino", None, "maira-1")
    assert bundle.question == "What is there?"
    assert bundle.scope.made_for == "research"
    assert "Base is under Some Licence (https://licence.example/some), which you accept" in done.stderr
    assert "them/vicuna at dddddddddddd" in done.stderr
    assert not (models / ".downloads" / "base").exists()


def test_what_is_here_is_not_fetched_again(models: Path, hub: HubServer, fetch: Run) -> None:
    fetch("base", "--as", "mine")
    hub.asked.clear()
    done = fetch("base", "--as", "mine", "--json")
    assert json.loads(done.stdout)["path"] == str(models / "mine")
    assert hub.asked == []


def test_the_downloads_stay_where_they_are_wanted(models: Path, hub: HubServer, fetch: Run) -> None:
    assert fetch("base", "--keep").exit_code == 0
    assert (models / ".downloads/base/vicuna/pytorch_model-00001-of-00002.bin").is_file()


def test_a_judge_becomes_a_folder_that_judging_reads(models: Path, hub: HubServer, fetch: Run) -> None:
    from training_jobs.evaluation.judges.models import bundle_of_llm

    done = fetch("judge")
    assert done.exit_code == 0, done.output
    folder = models / "judges" / "judge"
    assert f"python -m training_jobs judge judge --llm {folder}" in done.stderr
    assert bundle_of_llm(folder).llm == folder
    assert (folder / "tokenizer.json").is_file()
    assert {path.suffix for path in folder.glob("model*")} == {".safetensors", ".json"}
    assert "is here already" in fetch("judge").stderr


def test_a_machine_with_too_little_memory_is_refused_unless_it_is_forced(
    models: Path, hub: HubServer, fetch: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("xraygpt.commands.fetching.device_memory", lambda: DeviceMemory(10**9, is_gpu=False))
    assert "fetch it all the same with --force" in str(fetch("base").exception)
    assert hub.asked == []
    assert fetch("base", "--force").exit_code == 0


def test_damaged_weights_leave_no_bundle_and_keep_the_downloads(models: Path, hub: HubServer, fetch: Run) -> None:
    repo = hub.repos["them/rad-dino"]
    repo.files["model.safetensors"] = repo.files["model.safetensors"][:-100]
    done = fetch("base")
    assert str(done.exception) == "model.safetensors is truncated or damaged; download it again"
    assert not (models / "base").exists()
    assert (models / ".downloads/base/rad-dino/model.safetensors").is_file()


def test_a_name_that_leads_elsewhere_is_none(models: Path, hub: HubServer, fetch: Run) -> None:
    assert "is no bundle name" in str(fetch("base", "--as", "../base").exception)
    assert hub.asked == []


def test_a_stopped_download_exits_with_130_and_goes_on(
    models: Path, hub: HubServer, fetch: Run, tmp_path: Path
) -> None:
    hub.cut, hub.stall = [4000], 0  # the second request is made when the bytes of the first are kept
    command = [sys.executable, "-m", "xraygpt", "models", "fetch", "base", "--accept-licence", "--force"]
    command += ["--catalogue", str(tmp_path / "catalogue.toml")]
    child = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=os.environ | {"HF_HOME": str(tmp_path)})
    assert hub.stalled.wait(60)
    child.send_signal(signal.SIGINT)
    _, said = child.communicate(timeout=30)
    assert child.returncode == 130, said
    assert "stopped; what was downloaded is kept in" in said
    assert "Traceback" not in said
    (half,) = (models / ".downloads/base/rad-dino/.cache/huggingface/download").glob("*.incomplete")
    assert half.stat().st_size == 4000
    hub.stall = None
    hub.go.set()
    hub.asked.clear()
    assert fetch("base").exit_code == 0
    assert hub.bodies()[0].headers.get("range") == "bytes=4000-"


def test_the_catalogue_lists_size_memory_and_licence(models: Path, xraygpt: Run) -> None:
    found = json.loads(xraygpt("models", "catalogue", "--json").stdout)["entries"]
    maira = found[0]
    assert (maira["name"], maira["gated"], maira["here"]) == ("maira-2", True, False)
    assert maira["scores"][0]["source"]
    shown = xraygpt("models", "catalogue").stdout
    assert "27.5 GB" in shown
    assert "Microsoft Research License Agreement" in shown
    assert "by its server" in shown


def test_the_catalogue_needs_no_torch() -> None:
    code = "import sys; from xraygpt.cli import app; app(['models', 'catalogue', '--json'], standalone_mode=False)\n"
    code += "sys.exit(any(name in sys.modules for name in ('torch', 'transformers', 'huggingface_hub')))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert done.returncode == 0
