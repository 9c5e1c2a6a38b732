"""Each test of this folder runs before a small vLLM server, and before a small chat server that takes images."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.model_server_standin import ModelServerStandIn
from tests.support.vision_server import SmallVision, vision_engines
from tests.support.vllm_server import SmallVllm, vllm_engines
from xraygpt_core.model.bundle import Bundle
from xraygpt_core.model.remote import engine as remote_engine
from xraygpt_core.model.remote.engine import RemoteEngine


@pytest.fixture(params=[SmallVllm, SmallVision])
def server(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> ModelServerStandIn:
    monkeypatch.setattr(remote_engine, "_PAUSE_SECONDS", 0.02)
    name = "running_vllm" if request.param is SmallVllm else "running_vision"
    running: ModelServerStandIn = request.getfixturevalue(name)
    running.reset()
    return running


@pytest.fixture
def make(server: ModelServerStandIn, tiny: Bundle, tmp_path: Path) -> Iterator[Callable[..., RemoteEngine[Any]]]:
    if isinstance(server, SmallVllm):
        with vllm_engines(tiny, server) as made:
            yield made
    elif isinstance(server, SmallVision):
        with vision_engines(tmp_path, server) as made:
            yield made
