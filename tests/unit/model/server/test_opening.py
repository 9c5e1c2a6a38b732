"""A bundle opened for a command: by its weights, or where its server is."""

from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.tiny_bundle import make_tiny_bundle
from tests.support.vision_server import SmallVision, vision_bundle
from xraygpt_core.errors import ConfigurationError
from xraygpt_core.model.backend import GenerationRequest
from xraygpt_core.model.bundle import ServedBy
from xraygpt_core.model.engine.engine import Engine
from xraygpt_core.model.opening import open_backend
from xraygpt_core.model.server.backend import ServerEngine

Png = Callable[[int], bytes]


def test_a_bundle_of_a_server_is_asked_there(server: SmallVision, tmp_path: Path, noise_png: Png) -> None:
    with closing(open_backend(vision_bundle(tmp_path, server.url), batch_size=2)) as backend:
        assert isinstance(backend, ServerEngine)
        assert "is clear" in backend.submit(GenerationRequest(noise_png(1))).result(60).text


def test_a_bundle_with_weights_runs_in_the_engine(tmp_path: Path, noise_png: Png) -> None:
    with closing(open_backend(make_tiny_bundle(tmp_path), device="cpu")) as backend:
        assert isinstance(backend, Engine)
        assert backend.submit(GenerationRequest(noise_png(1))).result(60).tokens > 0


def test_vllm_without_an_address_is_refused_with_the_setting(tmp_path: Path) -> None:
    bundle = replace(make_tiny_bundle(tmp_path), served_by=ServedBy.VLLM)
    with pytest.raises(ConfigurationError, match="set XRAYGPT_VLLM_URL"):
        open_backend(bundle, device="cpu")


def test_vllm_on_another_machine_needs_a_key(tmp_path: Path) -> None:
    bundle = replace(make_tiny_bundle(tmp_path), served_by=ServedBy.VLLM)
    with pytest.raises(ConfigurationError, match="use loopback, or https"):
        open_backend(bundle, device="cpu", vllm_url="http://10.0.0.1:8000")
