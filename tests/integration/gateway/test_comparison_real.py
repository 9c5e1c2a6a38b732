"""The command itself, with real bundles, on phantoms that the gateway has."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from tests.support.comparison_tools import film, sign
from tests.support.through_gateway import through
from tests.support.tiny_bundle import make_tiny_bundle
from tests.support.vision_server import small_vision, vision_bundle
from xraygpt.cli import app
from xraygpt.commands import comparing
from xraygpt_core.model.compose import quantise_bundle
from xraygpt_core.model.fetch import fetch_demo_bundle
from xraygpt_core.paths import models_dir
from xraygpt_core.phantoms.draw import draw_phantom
from xraygpt_core.phantoms.findings import Phantom

World = Any

FILMS = 8


def png(phantom: Phantom) -> bytes:
    """A phantom as ingest would store it."""
    pixels = phantom.pixels.astype(np.float32)
    buffer = io.BytesIO()
    Image.fromarray(((pixels - pixels.min()) / np.ptp(pixels) * 255).astype(np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.mark.long
@pytest.mark.usefixtures("int8_products")
def test_the_demo_bundle_and_its_eight_bit_twin_are_compared(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    demo = fetch_demo_bundle(models_dir(), lambda _line: None)
    (tmp_path / "demo").symlink_to(demo.path)
    quantise_bundle(demo, tmp_path, "demo-int8", "int8")
    for seed in range(FILMS):
        phantom = draw_phantom(20_261_130 + seed, side=448)
        study_id = film(world, picture=png(phantom), patient=f"P{seed}", view=phantom.view)
        sign(world, study_id, phantom.report.text)
    monkeypatch.setenv("XRAYGPT_MODELS", str(tmp_path))
    monkeypatch.setattr(comparing, "gateway", lambda: through(world.client))
    done = CliRunner().invoke(app, ["compare", "demo", "demo-int8", "--device", "cpu", "--batch-size", "4", "--json"])
    assert done.exit_code == 0, done.exception
    found = json.loads(done.stdout)
    assert (found["comparison"]["open"], found["comparison"]["failed"]) == (0, 0)
    assert [found["bundles"][side]["written"] for side in ("first", "second")] == [FILMS, FILMS]
    assert found["figures"]["agreement"]["value"] > 0.8  # eight bits hardly change a text
    signed = found["figures"]["signed"]
    assert signed["n"] == FILMS
    assert signed["first"]["f1"]["value"] > signed["first"]["swapped"]["f1"]["value"]
    shown = CliRunner().invoke(app, ["compare", "show", found["comparison"]["comparison_id"]])
    assert f"{FILMS} signed" in shown.stdout


@pytest.mark.long
def test_a_bundle_with_weights_is_compared_with_one_that_a_chat_server_has(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_tiny_bundle(tmp_path)
    for seed in range(2):
        film(world, picture=png(draw_phantom(seed, side=448)))
    monkeypatch.setenv("XRAYGPT_MODELS", str(tmp_path))
    monkeypatch.setattr(comparing, "gateway", lambda: through(world.client))
    with small_vision() as server:
        vision_bundle(tmp_path, server.url)
        done = CliRunner().invoke(app, ["compare", "tiny", "vision", "--device", "cpu", "--batch-size", "1", "--json"])
    assert done.exit_code == 0, done.exception
    found = json.loads(done.stdout)
    assert (found["comparison"]["open"], found["bundles"]["second"]["written"]) == (0, 2)
    # A model of random weights may write nothing, which is a failure of its own.
    assert sum(found["bundles"]["first"][state] for state in ("written", "failed")) == 2
