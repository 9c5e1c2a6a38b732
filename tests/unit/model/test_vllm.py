"""The vLLM backend: the same texts as our engine, and nothing more is sent than the server has room for."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from pathlib import Path

import pytest
import torch

from tests.support.vllm_server import SmallVllm, small_vllm
from xraygpt_core.errors import BundleError, ConfigurationError, InvalidRequest, Unavailable
from xraygpt_core.model.backend import GenerationRequest
from xraygpt_core.model.bundle import Bundle
from xraygpt_core.model.compose import quantise_bundle
from xraygpt_core.model.engine.engine import Engine
from xraygpt_core.model.vllm import backend
from xraygpt_core.model.vllm.backend import VllmEngine, VllmServer

Png = Callable[[int], bytes]


@pytest.fixture(scope="module")
def server(tiny: Bundle) -> Iterator[SmallVllm]:
    with small_vllm(tiny) as made:
        yield made


@pytest.fixture
def engine(tiny: Bundle, server: SmallVllm, monkeypatch: pytest.MonkeyPatch) -> Iterator[VllmEngine]:
    monkeypatch.setattr(backend, "_PAUSE_SECONDS", 0.02)
    server.reset()
    made = VllmEngine(tiny, VllmServer(server.url), device="cpu", batch_size=3, dtype=torch.float32, patience=60)
    yield made
    made.close()


def test_it_writes_what_our_own_engine_writes(engine: VllmEngine, tiny: Bundle, noise_png: Png) -> None:
    requests = [GenerationRequest(noise_png(1)), GenerationRequest(noise_png(2), "why?", (("a", "b"),))]
    own = Engine(tiny, device="cpu", batch_size=4, dtype=torch.float32)
    expected = [own.submit(request).result(60) for request in requests]
    own.close()
    made = [future.result(60) for future in [engine.submit(request) for request in requests]]
    assert [(one.text, one.tokens, one.prompt) for one in made] == [
        (one.text, one.tokens, one.prompt) for one in expected
    ]
    assert made[0].software["backend"] == "vllm"


def test_text_streams_as_it_grows(engine: VllmEngine, noise_png: Png) -> None:
    texts: list[str] = []
    moved: list[None] = []
    request = GenerationRequest(noise_png(1), on_text=texts.append, on_progress=lambda: moved.append(None))
    made = engine.submit(request).result(60)
    assert texts[-1] == made.text
    assert len(set(texts)) > 2
    assert len(moved) >= made.tokens


def test_the_most_urgent_are_sent_first(tiny: Bundle, server: SmallVllm, engine: VllmEngine, noise_png: Png) -> None:
    server.pause = threading.Event()
    busy = [engine.submit(GenerationRequest(noise_png(0))) for _ in range(3)]
    while len(server.asked) < 3:
        threading.Event().wait(0.01)
    order: list[int] = []
    futures = []
    for rank in (3, 2, 0):
        futures.append(engine.submit(GenerationRequest(noise_png(rank), str(rank), rank=rank)))
    waiting = sorted(engine._queue.queue)
    order = [rank for rank, _, _ in waiting]
    server.pause.set()
    for future in busy + futures:
        assert future.result(60).tokens
    assert order == [0, 2, 3]


def test_a_full_server_gets_nothing_more_until_it_has_room(
    server: SmallVllm, engine: VllmEngine, noise_png: Png
) -> None:
    server.waiting = 3
    future = engine.submit(GenerationRequest(noise_png(1)))
    with pytest.raises(TimeoutError):
        future.result(0.3)
    assert server.asked == []
    server.waiting = 0
    assert future.result(60).tokens


def test_who_waits_inside_the_server_is_counted_once(server: SmallVllm, engine: VllmEngine, noise_png: Png) -> None:
    server.waiting = 2
    assert engine.submit(GenerationRequest(noise_png(1))).result(60).tokens


def test_a_cancelled_request_is_dropped_by_the_server(server: SmallVllm, engine: VllmEngine, noise_png: Png) -> None:
    server.pause = threading.Event()
    texts: list[str] = []
    future = engine.submit(GenerationRequest(noise_png(1), on_text=texts.append, cancelled=lambda: bool(texts)))
    with pytest.raises(CancelledError):
        future.result(60)
    assert server.dropped.wait(60)


def test_an_unreadable_picture_fails_alone(engine: VllmEngine) -> None:
    with pytest.raises(InvalidRequest):
        engine.submit(GenerationRequest(b"broken")).result(60)


def test_a_closed_engine_takes_nothing(tiny: Bundle, server: SmallVllm, noise_png: Png) -> None:
    made = VllmEngine(tiny, VllmServer(server.url), device="cpu", batch_size=1, dtype=torch.float32)
    made.close()
    with pytest.raises(Unavailable):
        made.submit(GenerationRequest(noise_png(1))).result(60)


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
