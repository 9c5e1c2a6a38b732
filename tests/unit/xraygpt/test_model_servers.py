"""``models add-server`` and what follows it, before a small chat server."""

import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from tests.support.vision_server import MODEL, SmallVision, small_vision, whole
from workers.gpu import provenance
from xraygpt_core.model.bundle import FILE
from xraygpt_core.model.server.bundle import ServerBundle, load_any_bundle
from xraygpt_core.model.smoke_test import phantom_png, summarise_once
from xraygpt_core.states import ImageRole

Run = Callable[..., Result]
SUMMARY = "0190f2c4-0000-7000-8000-000000000001"


@pytest.fixture(scope="module")
def running() -> Iterator[SmallVision]:
    with small_vision() as made:
        yield made


@pytest.fixture
def server(running: SmallVision) -> SmallVision:
    running.reset()
    return running


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XRAYGPT_MODELS", str(tmp_path))
    return tmp_path


@pytest.fixture
def add(server: SmallVision, models: Path, xraygpt: Run) -> Callable[..., Result]:
    def add(*more: str, url: str = "") -> Result:
        return xraygpt("models", "add-server", "medgemma", "--url", url or server.url, "--model", MODEL, *more)

    return add


def added(models: Path) -> ServerBundle:
    bundle = load_any_bundle(models, "medgemma")
    assert isinstance(bundle, ServerBundle)
    return bundle


def test_a_server_becomes_a_bundle_after_it_read_a_synthetic_film(
    add: Callable[..., Result], server: SmallVision, models: Path
) -> None:
    found = json.loads(add("--image-size", "256", "--max-new-tokens", "40", "--json").stdout)
    bundle = added(models)
    assert "is clear" in found["summary"]
    assert (found["sha256"], found["server"]) == (bundle.sha256, server.url)
    assert (bundle.server.image_size, bundle.decoding.max_new_tokens) == (256, 40)
    assert bundle.scope.made_for == "research"


def test_it_says_that_the_model_thought_and_how_to_name_its_marks(
    add: Callable[..., Result], server: SmallVision
) -> None:
    server.scripts = [whole("<THINK>A nodule?</THINK>Clear lungs.")]
    result = add()
    said = " ".join((result.stdout + result.stderr).split())
    assert "Clear lungs." in said
    assert "it thought first (9 letters, between <think> and </think> in its text)" in said
    assert "--think '<think> </think>'" in said
    assert "A nodule" not in said


def test_what_the_server_says_of_its_model_is_kept(add: Callable[..., Result], models: Path) -> None:
    add()
    assert added(models).server.expects == {
        "root": "/models/medgemma",
        "owned_by": "vllm",
        "answers_as": MODEL,
        "fingerprint": "fp-1",
    }


def test_a_fingerprint_that_may_change_is_left_out(add: Callable[..., Result], models: Path) -> None:
    add("--no-pin")
    assert "fingerprint" not in added(models).server.expects


def test_an_address_without_a_path_gets_the_usual_one(
    add: Callable[..., Result], server: SmallVision, models: Path
) -> None:
    add(url=server.url.removesuffix("/v1"))
    assert added(models).server.url == server.url


def test_all_that_a_model_needs_can_be_said(add: Callable[..., Result], models: Path) -> None:
    said = ["--system", "You read films.", "--think", "<think> </think>", "--image", "frontal", "--image", "lateral"]
    said += ["--clinical", "indication", "--seed", "7", "--no-seeds", "--image-format", "jpeg", "--timeout", "20"]
    assert add(*said, "--question", "Why?").exit_code == 0
    bundle = added(models)
    assert (bundle.server.system, bundle.server.think) == ("You read films.", ("<think>", "</think>"))
    assert (bundle.images, bundle.clinical, bundle.question) == (("frontal", "lateral"), ("indication",), "Why?")
    assert (bundle.server.image_format, bundle.server.seeds, bundle.server.timeout) == ("jpeg", False, 20)
    assert (bundle.decoding.do_sample, bundle.decoding.seed) == (True, 7)


def test_the_key_is_read_and_never_written(
    add: Callable[..., Result], server: SmallVision, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.key = "sesame"
    monkeypatch.setenv("XRAYGPT_SERVER_KEY", "sesame")
    assert add("--api-key-env", "XRAYGPT_SERVER_KEY").exit_code == 0
    assert "sesame" not in (models / "medgemma" / FILE).read_text()


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["--api-key-env", "XRAYGPT_SERVER_KEY"], "XRAYGPT_SERVER_KEY is not set"),
        (["--api-key-env", "PATH"], "api_key_env"),
        (["--think", "<think>"], "two marks"),
        (["--image-format", "gif"], "image_format"),
        (["--image", "oblique"], "oblique"),
    ],
)
def test_what_is_wrong_is_one_sentence_and_leaves_no_bundle(
    add: Callable[..., Result], models: Path, monkeypatch: pytest.MonkeyPatch, more: list[str], says: str
) -> None:
    monkeypatch.delenv("XRAYGPT_SERVER_KEY", raising=False)
    assert says in str(add(*more).exception)
    assert list(models.iterdir()) == []


def test_a_server_that_is_away_makes_no_bundle(add: Callable[..., Result], models: Path) -> None:
    done = add("--timeout", "1", url="http://127.0.0.1:9/v1")
    assert "does not answer" in str(done.exception)
    assert list(models.iterdir()) == []


def test_a_server_elsewhere_without_a_key_is_refused(add: Callable[..., Result]) -> None:
    assert "films leave this machine" in str(add(url="https://gpu-7/v1").exception)


def test_verify_lets_the_server_read_a_film(add: Callable[..., Result], server: SmallVision, xraygpt: Run) -> None:
    add()
    found = json.loads(xraygpt("models", "verify", "medgemma", "--json").stdout)
    assert "is clear" in found["summary"]
    assert found["where"] == server.url


def test_the_list_shows_where_a_bundle_is_served_from(
    add: Callable[..., Result], server: SmallVision, xraygpt: Run
) -> None:
    add()
    (row,) = json.loads(xraygpt("models", "list", "--json").stdout)["bundles"]
    assert (row["name"], row["served_by"], row["problem"]) == ("medgemma", server.url, None)


def test_a_declaration_of_ones_own_keeps_the_server(
    add: Callable[..., Result], models: Path, xraygpt: Run, tmp_path_factory: pytest.TempPathFactory
) -> None:
    add()
    file = tmp_path_factory.mktemp("scope") / "scope.toml"
    file.write_text('made_for = "research"\nsays = "Tried by us."\n')
    assert xraygpt("models", "declare", "medgemma", str(file), "--as", "declared").exit_code == 0
    declared = load_any_bundle(models, "declared")
    assert isinstance(declared, ServerBundle)
    assert (declared.scope.says, declared.server) == ("Tried by us.", added(models).server)


@pytest.mark.parametrize("command", [("quantise", "medgemma", "int8"), ("export-llm", "medgemma", "out")])
def test_what_needs_weights_says_that_there_are_none(
    add: Callable[..., Result], xraygpt: Run, command: tuple[str, ...]
) -> None:
    add()
    assert "a server has its model" in str(xraygpt("models", *command).exception)


def origin_of(bundle: ServerBundle, png: bytes) -> dict[str, Any]:
    made = summarise_once(bundle, png)
    return {
        "summary_id": SUMMARY,
        "text": made.text,
        "bundle": bundle.name,
        "bundle_sha256": bundle.sha256,
        "lease_epoch": 1,
        "flags": [],
        "scope": bundle.scope.document(),
        "consistency": [],
        "provenance": provenance(made, {ImageRole.FRONTAL: hashlib.sha256(png).hexdigest()}),
    }


def replayed(bundle: ServerBundle, fake_gateway: Any, xraygpt: Run) -> Result:
    png = phantom_png()
    origin = origin_of(bundle, png)
    fake_gateway.answers |= {
        f"GET /v1/summaries/{SUMMARY}/origin": lambda _: origin,
        f"GET /v1/summaries/{SUMMARY}/image.png": lambda _: png,
    }
    return xraygpt("replay", SUMMARY, "--json")


def test_a_greedy_text_of_a_server_is_replayed(
    add: Callable[..., Result], models: Path, fake_gateway: Any, xraygpt: Run
) -> None:
    add("--no-seeds")
    found = json.loads(replayed(added(models), fake_gateway, xraygpt).stdout)
    assert (found["identical"], found["changed"]) == (True, {})


def test_a_text_that_was_drawn_without_a_seed_cannot_be_replayed(
    add: Callable[..., Result], models: Path, fake_gateway: Any, xraygpt: Run
) -> None:
    add("--no-seeds", "--seed", "7")
    done = replayed(added(models), fake_gateway, xraygpt)
    assert "takes no seed" in str(done.exception)
    assert done.exit_code == 1
