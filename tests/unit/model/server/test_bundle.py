"""A bundle whose model a server has: what it may say, and that it is refused where weights are needed."""

from pathlib import Path
from typing import Any

import pytest

from tests.support.vision_server import vision_bundle
from xraygpt_core.errors import BundleError, ConfigurationError
from xraygpt_core.model.backend import ImageRole
from xraygpt_core.model.bundle import Bundle, ServedBy, check, load_bundle, verify
from xraygpt_core.model.server.backend import FilmServer, key_of
from xraygpt_core.model.server.bundle import ServerBundle, declared_anew, load_any_bundle, write_server_bundle
from xraygpt_core.scope import MadeFor, Scope

HERE = "http://127.0.0.1:8000/v1"


def test_a_bundle_is_read_as_it_was_written(tmp_path: Path) -> None:
    made = vision_bundle(
        tmp_path,
        HERE,
        api_key_env="XRAYGPT_SERVER_KEY_RADIOLOGY",
        image_format="jpeg",
        image_size=896,
        system="You read films.",
        think=["<think>", "</think>"],
        answer="boxed",
        expects={"root": "/models/m"},
        prompt={"images": ["frontal", "prior"], "clinical": ["indication"]},
    )
    assert load_any_bundle(tmp_path, "vision") == made
    assert made.images == (ImageRole.FRONTAL, ImageRole.PRIOR)
    assert made.server.think == ("<think>", "</think>")
    assert made.server.expects == {"root": "/models/m"}
    assert made.served_by is ServedBy.SERVER


def test_a_bundle_with_weights_is_read_by_the_same_door(tiny: Bundle) -> None:
    assert load_any_bundle(tiny.path.parent, tiny.name) == tiny
    assert tiny.served_by is ServedBy.ENGINE


def test_it_has_no_files_to_be_changed(tmp_path: Path) -> None:
    made = vision_bundle(tmp_path, HERE)
    verify(made)
    check(made)


def test_where_weights_are_needed_it_is_refused_in_a_sentence(tmp_path: Path) -> None:
    vision_bundle(tmp_path, HERE)
    with pytest.raises(BundleError, match="a server has its model"):
        load_bundle(tmp_path, "vision")


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"url": "ftp://server"}, "http"),
        ({"url": "https://user:secret@server/v1"}, "without a password"),
        ({"model": ""}, "model is empty"),
        ({"api_key_env": "XRAYGPT_DATABASE_URL"}, "XRAYGPT_SERVER_KEY"),
        ({"api_key_env": "HOME"}, "XRAYGPT_SERVER_KEY"),
        ({"api_key": "sk-1"}, "api_key"),
        ({"image_format": "tiff"}, "png"),
        ({"image_size": 16}, "image_size"),
        ({"answer": "xml"}, "boxed"),
        ({"think": ["<think>", ""]}, "two marks"),
        ({"think": ["<think>"]}, "two marks"),
        ({"timeout": 0.0}, "timeout"),
        ({"prompt": {"images": ["lateral"]}}, "frontal"),
        ({"prompt": {"images": ["frontal", "oblique"]}}, "oblique"),
        ({"prompt": {"clinical": ["religion"]}}, "religion"),
        ({"prompt": {"template": "vicuna-v0"}}, "template"),
    ],
)
def test_what_is_impossible_is_refused_and_leaves_nothing(tmp_path: Path, wrong: dict[str, Any], says: str) -> None:
    with pytest.raises(BundleError, match=says):
        vision_bundle(tmp_path, **({"url": HERE} | wrong))
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_table_is_refused(tmp_path: Path) -> None:
    tables = {
        "server": {"url": HERE, "model": "m"},
        "prompt": {"question": "?"},
        "decoding": {},
        "llm": {"folder": "x"},
    }
    with pytest.raises(BundleError, match="llm"):
        write_server_bundle(tmp_path, "vision", tables)


def test_another_declaration_makes_another_bundle_of_the_same_server(tmp_path: Path) -> None:
    base = vision_bundle(tmp_path, HERE, expects={"root": "/models/m"})
    declared = declared_anew(base, tmp_path, "declared", Scope(MadeFor.RESEARCH, "For trying."))
    assert declared.scope.says == "For trying."
    assert (declared.server, declared.question, declared.decoding) == (base.server, base.question, base.decoding)
    assert declared.sha256 != base.sha256


def drawn(tmp_path: Path, *, seeds: bool) -> ServerBundle:
    return vision_bundle(tmp_path, HERE, seeds=seeds, decoding={"do_sample": True, "seed": 7})


def test_texts_that_are_drawn_without_a_seed_can_never_be_made_again(tmp_path: Path) -> None:
    assert drawn(tmp_path / "a", seeds=True).why_never_the_same is None
    assert "takes no seed" in (drawn(tmp_path / "b", seeds=False).why_never_the_same or "")


def test_a_greedy_text_can_be_made_again_without_a_seed(tmp_path: Path) -> None:
    assert vision_bundle(tmp_path, HERE, seeds=False).why_never_the_same is None


@pytest.mark.parametrize("url", ["http://gpu-7:8000/v1", "https://gpu-7/v1", "http://10.0.0.3/v1"])
def test_films_never_leave_the_machine_in_the_open(url: str) -> None:
    with pytest.raises(ConfigurationError, match="films leave this machine"):
        FilmServer(url)


@pytest.mark.parametrize(("url", "key"), [(HERE, None), ("http://[::1]:8000/v1", None), ("https://gpu-7/v1", "sesame")])
def test_loopback_and_a_key_behind_tls_are_taken(url: str, key: str | None) -> None:
    assert FilmServer(url, key).url == url


def test_a_servers_address_never_shows_its_key() -> None:
    assert "sesame" not in repr(FilmServer("https://gpu-7/v1", "sesame"))


def test_the_key_is_the_one_of_the_variable_that_the_bundle_names(tmp_path: Path) -> None:
    named = vision_bundle(tmp_path, HERE, api_key_env="XRAYGPT_SERVER_KEY").server
    assert key_of(named, {"XRAYGPT_SERVER_KEY": "sesame"}) == "sesame"
    with pytest.raises(ConfigurationError, match="XRAYGPT_SERVER_KEY is not set"):
        key_of(named, {})


def test_a_server_without_a_key_gets_none(tmp_path: Path) -> None:
    assert key_of(vision_bundle(tmp_path, HERE).server, {"XRAYGPT_SERVER_KEY": "sesame"}) is None


def test_the_third_backend_needs_no_torch() -> None:
    import subprocess
    import sys

    code = "import sys; sys.modules['torch'] = sys.modules['transformers'] = None; "
    code += "import xraygpt_core.model.server.backend, xraygpt_core.model.smoke_test, workers.gpu, workers.serving, "
    subprocess.run([sys.executable, "-c", f"{code}workers.encode"], check=True)
