"""The vLLM backend: the same texts as our engine, and nothing more is sent than the server has room for."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from tests.support.vllm_server import SmallVllm
from xraygpt_core.errors import BundleError, ConfigurationError
from xraygpt_core.model.backend import GenerationRequest
from xraygpt_core.model.bundle import Bundle
from xraygpt_core.model.compose import quantise_bundle
from xraygpt_core.model.engine.engine import Engine
from xraygpt_core.model.vllm.backend import VllmEngine, VllmServer

Png = Callable[[int], bytes]


@pytest.fixture
def engine(make: Callable[..., VllmEngine]) -> VllmEngine:
    return make(batch_size=3)


def test_it_writes_what_our_own_engine_writes(engine: VllmEngine, tiny: Bundle, noise_png: Png) -> None:
    requests = [GenerationRequest(noise_png(1)), GenerationRequest(noise_png(2), "why?", (("a", "b"),))]
    own = Engine(tiny, device="cpu", batch_size=4, dtype=torch.float32)
    expected = [own.submit(request).result(60) for request in requests]
    own.close()
    made = [future.result(60) for future in [engine.submit(request) for request in requests]]
    assert [(one.text, one.tokens, one.prompt, one.cut_off) for one in made] == [
        (one.text, one.tokens, one.prompt, one.cut_off) for one in expected
    ]
    assert made[0].software["backend"] == "vllm"


def test_who_waits_inside_the_server_is_counted_once(server: SmallVllm, engine: VllmEngine, noise_png: Png) -> None:
    server.waiting = 2
    assert engine.submit(GenerationRequest(noise_png(1))).result(60).tokens


def test_weights_that_only_our_engine_makes_are_refused(tiny: Bundle, server: SmallVllm, tmp_path: Path) -> None:
    small = quantise_bundle(tiny, tmp_path, "small", "int8")
    with pytest.raises(BundleError, match="only our own engine"):
        VllmEngine(small, VllmServer(server.url), device="cpu", batch_size=1, dtype=torch.float32)


@pytest.mark.parametrize("url", ["http://gpu-7:8000", "https://gpu-7:8000", "http://10.0.0.3"])
def test_a_server_that_anybody_can_reach_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match="loopback"):
        VllmServer(url)


@pytest.mark.parametrize(
    ("url", "key"), [("http://127.0.0.1:8000", None), ("http://[::1]:8000", None), ("https://gpu-7", "sesame")]
)
def test_loopback_and_a_key_behind_tls_are_taken(url: str, key: str | None) -> None:
    assert VllmServer(url, key).url == url
