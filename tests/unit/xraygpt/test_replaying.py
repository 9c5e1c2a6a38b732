"""``replay``: the same words from the same bundle and image, or what differs; and never a guess."""

import hashlib
import importlib.util
import io
import json
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageOps
from typer.testing import Result

from tests.support.tiny_bundle import make_tiny_bundle
from workers.gpu import provenance
from xraygpt.commands.replaying import compared, word_difference
from xraygpt_core.model.backend import Generated
from xraygpt_core.model.bundle import Bundle
from xraygpt_core.model.smoke_test import phantom_png, summarise_once
from xraygpt_core.states import ImageRole

Run = Callable[..., Result]
PNG = phantom_png()


def inverted(png: bytes) -> bytes:
    """Another film."""
    buffer = io.BytesIO()
    ImageOps.invert(Image.open(io.BytesIO(png))).save(buffer, "PNG")
    return buffer.getvalue()


SUMMARY = "0190f2c4-0000-7000-8000-000000000001"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return make_tiny_bundle(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def made(bundle: Bundle) -> Generated:
    return summarise_once(bundle, PNG, device="cpu")


@pytest.fixture
def origin(bundle: Bundle, made: Generated, fake_gateway: Any, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the gateway says about a summary that the worker's own code made; tests change it."""
    monkeypatch.setenv("XRAYGPT_MODELS", str(bundle.path.parent))
    told = {
        "summary_id": SUMMARY,
        "text": made.text,
        "bundle": bundle.name,
        "bundle_sha256": bundle.sha256,
        "lease_epoch": 1,
        "flags": [],
        "scope": bundle.scope.document(),
        "consistency": [],
        "provenance": deepcopy(provenance(made, {ImageRole.FRONTAL: hashlib.sha256(PNG).hexdigest()})),
    }
    fake_gateway.answers |= {
        f"GET /v1/summaries/{SUMMARY}/origin": lambda _: told,
        f"GET /v1/summaries/{SUMMARY}/image.png": lambda _: PNG,
    }
    return told


def test_the_same_bundle_and_image_say_the_same(origin: dict[str, Any], xraygpt: Run) -> None:
    done = xraygpt("replay", SUMMARY, "--device", "cpu", "--json")
    found = json.loads(done.stdout)
    assert (done.exit_code, found["identical"], found["difference"], found["changed"]) == (0, True, [], {})
    assert found["text"] == found["stored"] == origin["text"]


def test_a_person_reads_that_it_is_identical(origin: dict[str, Any], xraygpt: Run) -> None:
    assert "identical: bundle tiny" in xraygpt("replay", SUMMARY, "--device", "cpu").stdout


def test_what_differs_is_shown_and_exits_with_one(origin: dict[str, Any], xraygpt: Run) -> None:
    origin["text"] = "Something else entirely."
    origin["provenance"]["software"]["torch"] = "1.0"
    done = xraygpt("replay", SUMMARY, "--device", "cpu", "--json")
    found = json.loads(done.stdout)
    assert (done.exit_code, found["identical"]) == (1, False)
    assert "- Something" in found["difference"]
    assert found["changed"]["torch"][0] == "1.0"
    said = xraygpt("replay", SUMMARY, "--device", "cpu").stdout
    assert "different:" in said
    assert "torch was 1.0" in said


def test_the_stored_precision_is_used_again(origin: dict[str, Any], xraygpt: Run) -> None:
    origin["provenance"]["software"]["dtype"] = "bfloat16"
    found = json.loads(xraygpt("replay", SUMMARY, "--device", "cpu", "--json").stdout)
    assert "dtype" not in found["changed"]


def test_another_image_is_not_taken_for_it(origin: dict[str, Any], xraygpt: Run) -> None:
    origin["provenance"]["images"] = {"frontal": "0" * 64}
    assert "not the one that this summary was made from" in str(xraygpt("replay", SUMMARY).exception)


def test_a_summary_older_than_roles_has_one_film(origin: dict[str, Any], xraygpt: Run) -> None:
    del origin["provenance"]["images"]
    assert json.loads(xraygpt("replay", SUMMARY, "--device", "cpu", "--json").stdout)["identical"]
    origin["provenance"]["image_sha256"] = "0" * 64
    assert "not the one that this summary was made from" in str(xraygpt("replay", SUMMARY).exception)


def test_a_summary_of_several_films_is_computed_from_all_of_them(
    tmp_path_factory: pytest.TempPathFactory, origin: dict[str, Any], fake_gateway: Any, xraygpt: Run, monkeypatch: Any
) -> None:
    prompt = {"template": "maira-2", "question": "Q", "stop": ["</s>"], "images": ["frontal", "prior"]}
    bundle = make_tiny_bundle(tmp_path_factory.mktemp("models"), image_tokens=3, prompt=prompt)
    monkeypatch.setenv("XRAYGPT_MODELS", str(bundle.path.parent))
    pngs = {ImageRole.FRONTAL: PNG, ImageRole.PRIOR: inverted(PNG)}
    made = summarise_once(bundle, pngs, device="cpu")
    origin |= {"text": made.text, "bundle_sha256": bundle.sha256}
    hashes = {role: hashlib.sha256(png).hexdigest() for role, png in pngs.items()}
    origin["provenance"] = provenance(made, hashes)
    asked = f"GET /v1/summaries/{SUMMARY}/image.png"
    fake_gateway.answers[asked] = lambda one: pngs[ImageRole.PRIOR if "role=prior" in one.path else ImageRole.FRONTAL]
    assert made.text != summarise_once(bundle, PNG, device="cpu").text
    assert json.loads(xraygpt("replay", SUMMARY, "--device", "cpu", "--json").stdout)["identical"]


def test_what_was_made_with_clinical_text_is_not_computed_again(origin: dict[str, Any], xraygpt: Run) -> None:
    origin["provenance"]["clinical_sha256"] = "0" * 64
    assert "which only a GPU worker opens" in str(xraygpt("replay", SUMMARY).exception)


def test_another_bundle_of_the_same_name_is_not_taken_for_it(origin: dict[str, Any], xraygpt: Run) -> None:
    origin["bundle_sha256"] = "0" * 64
    assert "is not the one this summary was made with (000000000000)" in str(xraygpt("replay", SUMMARY).exception)


def test_a_bundle_that_is_elsewhere_is_named(origin: dict[str, Any], xraygpt: Run) -> None:
    origin["bundle"] = "vicuna-7b"
    assert "there is no bundle 'vicuna-7b'" in str(xraygpt("replay", SUMMARY).exception)


def test_a_summary_nobody_knows_is_said_so(fake_gateway: Any, xraygpt: Run) -> None:
    assert "404" in str(xraygpt("replay", SUMMARY).exception)
    assert "no summary has an id that ends in abcde" in str(xraygpt("replay", "abcde").exception)


def test_without_torch_it_says_what_to_install(
    origin: dict[str, Any], xraygpt: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr("xraygpt.commands.new_bundle.find_spec", lambda name: None if name == "torch" else find(name))
    assert "pip install 'xraygpt[model]'" in str(xraygpt("replay", SUMMARY).exception)


def test_a_changed_prompt_and_seed_are_told(made: Generated) -> None:
    told = {"summary_id": SUMMARY, "text": "a b", "bundle": "b", "bundle_sha256": "c"}
    told |= {"flags": [], "scope": None, "consistency": []}
    before = {"prompt": "old", "seed": 1, "software": made.software}
    now = {"text": "a b", "prompt": "new", "seed": 2, "software": made.software}
    found = compared({**told, "provenance": before}, now)
    assert found["changed"] == {"prompt": ["old", "new"], "seed": [1, 2]}
    assert found["identical"]


def test_only_the_words_that_differ_are_listed() -> None:
    assert word_difference("No left effusion seen.", "No right effusion seen.") == ["- left", "+ right"]
    assert word_difference("same", "same") == []


def test_the_trial_film_is_a_grey_png() -> None:
    assert PNG.startswith(b"\x89PNG")
    assert phantom_png() == PNG


def test_two_trials_say_the_same(bundle: Bundle, made: Generated, tmp_path: Path) -> None:
    assert summarise_once(bundle, PNG, device="cpu").text == made.text
    assert summarise_once(bundle, PNG, device="cpu", question="Why?").prompt != made.prompt
