"""A tiny bundle shared by the model's tests, and films made of noise."""

import io
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch
from PIL import Image

from tests.published_parts import Parts, write_parts
from xraygpt_core.model.bundle import Bundle
from xraygpt_core.model.tiny import make_tiny_bundle


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
