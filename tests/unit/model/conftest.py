"""A tiny bundle shared by the model's tests, films made of noise, and engines before a small vLLM server."""

import io
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch
from PIL import Image

from tests.support.published_parts import Parts, write_parts
from tests.support.tiny_bundle import make_tiny_bundle
from tests.support.vllm_server import SmallVllm, small_vllm
from xraygpt_core.model.bundle import Bundle
from xraygpt_core.model.vllm import backend
from xraygpt_core.model.vllm.backend import VllmEngine, VllmServer


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return make_tiny_bundle(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="session")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Parts:
    """A narrow copy of the published files, to be read only."""
    return write_parts(tmp_path_factory.mktemp("downloads"))


@pytest.fixture(scope="session")
def noise_png() -> Callable[[int], bytes]:
    def make(seed: int) -> bytes:
        rng = np.random.default_rng(seed)
        coarse = rng.integers(0, 255, (4, 4), dtype=np.uint8)
        buffer = io.BytesIO()
        Image.fromarray(coarse).resize((96, 80)).save(buffer, "PNG")
        return buffer.getvalue()

    return make


@pytest.fixture(scope="module")
def running_vllm(tiny: Bundle) -> Iterator[SmallVllm]:
    with small_vllm(tiny) as made:
        yield made


@pytest.fixture
def server(running_vllm: SmallVllm, monkeypatch: pytest.MonkeyPatch) -> SmallVllm:
    monkeypatch.setattr(backend, "_PAUSE_SECONDS", 0.02)
    running_vllm.reset()
    return running_vllm


@pytest.fixture
def make(tiny: Bundle, server: SmallVllm) -> Iterator[Callable[..., VllmEngine]]:
    """Makes engines that are closed afterwards.

    Patience is also how long an engine waits for a single answer: a test that wants little of it wants that not.
    """
    made: list[VllmEngine] = []

    def one(
        url: str = server.url, key: str | None = None, *, batch_size: int = 1, patience: float = 60.0
    ) -> VllmEngine:
        engine = VllmEngine(
            tiny, VllmServer(url, key), device="cpu", dtype=torch.float32, batch_size=batch_size, patience=60.0
        )
        made.append(engine)
        engine._patience = patience
        return engine

    yield one
    if server.pause is not None:
        server.pause.set()
    for engine in made:
        engine.close()
