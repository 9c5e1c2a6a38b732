"""Every entry of the catalogue by its one command, from a hub that has narrow copies of the published files."""

import json
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from tests.support.hub_server import GOOD_TOKEN, HubServer, hub_server
from tests.support.published_hub import publish_entry, write_narrow_catalogue
from tests.support.small_catalogue import point_at
from xraygpt_core.errors import BundleError
from xraygpt_core.model.bundle import FILE, Bundle, load_bundle, verify
from xraygpt_core.model.catalogue.entries import read_catalogue
from xraygpt_core.model.catalogue.memory import DeviceMemory
from xraygpt_core.model.server.bundle import ServerBundle, load_any_bundle
from xraygpt_core.model.templates import template_named

Run = Callable[..., Result]


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    monkeypatch.setattr("xraygpt.commands.fetching.device_memory", lambda: DeviceMemory(10**11, is_gpu=True))
    monkeypatch.setenv("XRAYGPT_MODELS", str(tmp_path / "models"))
    with hub_server() as server:
        point_at(server, monkeypatch, tmp_path)
        monkeypatch.setenv("HF_TOKEN", GOOD_TOKEN)
        yield server


@pytest.fixture
def catalogue(tmp_path: Path) -> Path:
    return write_narrow_catalogue(tmp_path)


@pytest.fixture
def fetched(hub: HubServer, catalogue: Path, xraygpt: Run) -> Callable[..., Result]:
    def run(name: str, *more: str) -> Result:
        publish_entry(hub, read_catalogue(catalogue)[name])
        return xraygpt("models", "fetch", name, "--catalogue", str(catalogue), "--accept-licence", *more)

    return run


def source_of(bundle: Bundle) -> list[dict[str, Any]]:
    """What a bundle says about the downloads that it was made of."""
    return list(tomllib.loads((bundle.path / FILE).read_text())["source"]["repositories"])


@pytest.mark.parametrize("name", ["maira-2", "llava-rad", "libra-7b", "libra-3b"])
def test_a_model_for_the_engine_is_fetched_imported_and_tried(name: str, fetched: Run, tmp_path: Path) -> None:
    pytest.importorskip("xraygpt_core.model.importing.layouts")
    done = fetched(name, "--json")
    assert done.exit_code == 0, f"{done.output} {done.exception}"
    found = json.loads(done.stdout)
    bundle = load_bundle(tmp_path / "models", name)
    verify(bundle)
    entry = read_catalogue()[name]
    assert (found["sha256"], found["kind"]) == (bundle.sha256, "engine")
    assert found["tokens"] > 0
    assert (bundle.template, bundle.question) == (entry.template, entry.question)
    assert [str(role) for role in bundle.images] == list(entry.images)
    assert bundle.scope.made_for == "research"
    assert "have the hash that came with their download" in done.stderr
    commits = [one.revision if one.is_pinned else "a" * 40 for one in entry.repositories]
    assert [one["commit"] for one in found["source"]] == commits
    assert [one["commit"] for one in source_of(bundle)] == commits
    assert not (tmp_path / "models/.downloads" / name).exists()


def test_maira_2_is_asked_where_its_findings_are_if_that_is_wanted(fetched: Run, tmp_path: Path, xraygpt: Run) -> None:
    done = fetched("maira-2", "--places", "--as", "places", "--keep")
    assert done.exit_code == 0, f"{done.output} {done.exception}"
    bundle = load_bundle(tmp_path / "models", "places")
    assert bundle.question == template_named("maira-2").grounded
    assert "with bounding boxes indicating all locations" in bundle.question
    assert bundle.decoding.max_new_tokens == 450
    assert "is here already" in fetched("maira-2", "--places", "--as", "places").stderr
    downloads = str(tmp_path / "models/.downloads/maira-2")
    assert xraygpt("models", "import", "plain", "--from", downloads).exit_code == 0
    plain = load_bundle(tmp_path / "models", "plain")
    assert (plain.question, plain.decoding.max_new_tokens) == (read_catalogue()["maira-2"].question, 300)
    assert source_of(plain) == source_of(bundle)
    assert "is not asked for places: name another one with --as" in str(
        fetched("maira-2", "--places", "--as", "plain").exception
    )


@pytest.mark.parametrize("name", ["libra-7b", "green", "chexone"])
def test_a_model_that_knows_no_places_is_not_asked_for_them(name: str, fetched: Run, hub: HubServer) -> None:
    assert "--places is for a model that says where its findings are" in str(fetched(name, "--places").exception)
    assert hub.asked == []


def test_libra_says_its_commit_and_how_to_fetch_it_again(fetched: Run, hub: HubServer, tmp_path: Path) -> None:
    done = fetched("libra-3b")
    assert done.exit_code == 0, f"{done.output} {done.exception}"
    assert f"X-iZhang/libra-v1.0-3b at {'a' * 40}: " in done.stderr
    assert "the catalogue names no commit of X-iZhang/libra-v1.0-3b: --revision with the one above" in done.stderr
    first = load_bundle(tmp_path / "models", "libra-3b")
    again = fetched("libra-3b", "--as", "again", "--revision", "a" * 40)
    assert "the catalogue names no commit" not in again.stderr
    assert load_bundle(tmp_path / "models", "again").files == first.files
    other = fetched("libra-3b", "--revision", "b" * 40)
    assert f"was not made of commit {'b' * 40}: name another one with --as" in str(other.exception)


def test_a_model_that_cannot_be_tried_here_is_a_bundle_all_the_same(
    fetched: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("xraygpt_core.model.importing.layouts")

    def too_large(_bundle: object) -> dict[str, object]:
        raise BundleError("it does not fit")

    monkeypatch.setattr("xraygpt.commands.fetching.tried", too_large)
    assert str(fetched("libra-3b").exception) == "it does not fit"
    verify(load_bundle(tmp_path / "models", "libra-3b"))
    assert not (tmp_path / "models/.downloads/libra-3b").exists()


def test_the_parts_of_a_model_to_train_are_fetched(fetched: Run, tmp_path: Path) -> None:
    done = fetched("rad-dino-vicuna-7b")
    assert done.exit_code == 0, f"{done.output} {done.exception}"
    assert "train stage1 --local --base rad-dino-vicuna-7b --set projector.kind=MlpProjector" in done.stderr
    assert load_bundle(tmp_path / "models", "rad-dino-vicuna-7b").template == "maira-1"


def test_a_model_without_projector_is_not_promoted(fetched: Run, fake_gateway: Any, xraygpt: Run) -> None:
    assert fetched("rad-dino-vicuna-7b").exit_code == 0
    assert "train stage1 --local --base rad-dino-vicuna-7b" in str(
        xraygpt("models", "promote", "rad-dino-vicuna-7b").exception
    )
    assert fake_gateway.bodies("/v1/bundles/serve") == []


def test_the_judge_is_fetched(fetched: Run, tmp_path: Path) -> None:
    done = fetched("green")
    assert done.exit_code == 0, f"{done.output} {done.exception}"
    assert (tmp_path / "models/judges/green/config.json").is_file()


@pytest.mark.parametrize("name", ["medgemma-1.5-4b", "chexone"])
def test_a_model_for_a_server_becomes_a_bundle_and_the_command_that_serves_it(
    name: str, fetched: Run, hub: HubServer, tmp_path: Path
) -> None:
    done = fetched(name, "--url", "http://127.0.0.1:8123/v1", "--json")
    assert done.exit_code == 0, f"{done.output} {done.exception}"
    found = json.loads(done.stdout)
    (repository,) = read_catalogue()[name].repositories
    assert found["start"].startswith(f"vllm serve {repository.repo} --revision {repository.revision}")
    assert found["start"].endswith("--port 8123")
    bundle = load_any_bundle(tmp_path / "models", name)
    assert isinstance(bundle, ServerBundle)
    assert (bundle.server.url, bundle.server.model) == ("http://127.0.0.1:8123/v1", repository.repo)
    assert bundle.scope.made_for == "research"
    assert hub.asked == []


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--url", "https://gpu.example/v1"], "the server must ask for a key: name the variable that holds it"),
        (
            ["--url", "http://gpu.example:8001/v1"],
            "unencrypted for http://gpu.example:8001/v1: name an https:// address",
        ),
        (["--url", "gpu.example:8001"], "gpu.example:8001: [server] url is an http:// or https:// address"),
        (["--url", "https://gpu.example", "--api-key-env", "PATH"], "api_key_env is the name XRAYGPT_SERVER_KEY"),
    ],
)
def test_a_bundle_that_no_worker_would_send_films_for_is_not_made(
    words: list[str], says: str, fetched: Run, tmp_path: Path
) -> None:
    done = fetched("chexone", *words)
    assert isinstance(done.exception, BundleError)
    assert says in str(done.exception)
    assert not (tmp_path / "models/chexone").exists()


def test_a_server_elsewhere_is_asked_over_https_with_the_key_of_a_variable(fetched: Run, tmp_path: Path) -> None:
    done = fetched("chexone", "--url", "https://gpu.example", "--api-key-env", "XRAYGPT_SERVER_KEY")
    assert done.exit_code == 0, f"{done.output} {done.exception}"
    bundle = load_any_bundle(tmp_path / "models", "chexone")
    assert isinstance(bundle, ServerBundle)
    assert (bundle.server.url, bundle.server.api_key_env) == ("https://gpu.example/v1", "XRAYGPT_SERVER_KEY")
    assert "the worker and `models verify` need its key in XRAYGPT_SERVER_KEY; at gpu.example, https" in done.stderr
    assert "--host 127.0.0.1 --port 8001" in done.stderr
