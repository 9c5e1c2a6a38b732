"""Engines before a small chat server on loopback."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.vision_server import SmallVision, vision_engines
from xraygpt_core.model.remote import engine as remote_engine
from xraygpt_core.model.server.backend import ServerEngine


@pytest.fixture
def server(running_vision: SmallVision, monkeypatch: pytest.MonkeyPatch) -> SmallVision:
    monkeypatch.setattr(remote_engine, "_PAUSE_SECONDS", 0.02)
    running_vision.reset()
    return running_vision


@pytest.fixture
def make(server: SmallVision, tmp_path: Path) -> Iterator[Callable[..., ServerEngine]]:
    with vision_engines(tmp_path, server) as made:
        yield made
