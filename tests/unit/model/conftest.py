"""A tiny bundle shared by the model's tests, films made of noise, and engines before small servers."""

import io
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch
from PIL import Image

from tests.support.published_parts import Parts, write_parts
from tests.support.tiny_bundle import make_tiny_bundle
from tests.support.vision_server import SmallVision, small_vision
from tests.support.vllm_server import SmallVllm, small_vllm, vllm_engines
from xraygpt_core.model.bundle import Bundle
from xraygpt_core.model.remote import engine as remote_engine
from xraygpt_core.model.vllm.backend import VllmEngine


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


@pytest.fixture(scope="module")
def running_vision() -> Iterator[SmallVision]:
    with small_vision() as made:
        yield made


@pytest.fixture
def server(running_vllm: SmallVllm, monkeypatch: pytest.MonkeyPatch) -> SmallVllm:
    monkeypatch.setattr(remote_engine, "_PAUSE_SECONDS", 0.02)
    running_vllm.reset()
    return running_vllm


@pytest.fixture
def make(tiny: Bundle, server: SmallVllm) -> Iterator[Callable[..., VllmEngine]]:
    with vllm_engines(tiny, server) as made:
        yield made
