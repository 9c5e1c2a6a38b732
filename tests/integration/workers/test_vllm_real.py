"""The worker's second backend against a real vLLM server. `make test-vllm` sets one up; elsewhere this is skipped."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch

from benchmarks.engine_vllm import PYTHON, server
from training_jobs.drawers.drawings import draw, phantoms
from xraygpt_core.model.backend import GenerationRequest
from xraygpt_core.model.bundle import Bundle
from xraygpt_core.model.engine.engine import Engine
from xraygpt_core.model.fetch import fetch_demo_bundle
from xraygpt_core.model.vllm.backend import VllmEngine, VllmServer
from xraygpt_core.model.vllm.export import export_llm
from xraygpt_core.paths import models_dir
from xraygpt_core.training.config import Phantoms

pytestmark = [
    pytest.mark.long,
    pytest.mark.timeout(1200),
    pytest.mark.skipif(not PYTHON.is_file(), reason="vLLM is not set up: make test-vllm"),
]


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return fetch_demo_bundle(models_dir(), lambda _line: None)


@pytest.fixture(scope="module")
def backend(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Iterator[VllmEngine]:
    folder = tmp_path_factory.mktemp("llm")
    export_llm(bundle, folder, "float32")
    with server(folder, 8) as url:
        made = VllmEngine(bundle, VllmServer(url), device="cpu", batch_size=8, dtype=torch.float32, patience=120)
        yield made
        made.close()


def test_a_real_vllm_server_writes_what_our_engine_writes(backend: VllmEngine, bundle: Bundle) -> None:
    pictures = [draw(drawing).png for drawing in phantoms(Phantoms(6, 10_000, "held_out"))]
    requests: list[GenerationRequest] = [GenerationRequest(picture) for picture in pictures]
    requests.append(GenerationRequest(pictures[0], "Is there a pneumothorax?", ()))
    texts: list[str] = []
    futures = [backend.submit(replace(request, on_text=texts.append)) for request in requests]
    theirs = [future.result(600) for future in futures]
    own = Engine(bundle, device="cpu", batch_size=8, dtype=torch.float32)
    ours = [future.result(600) for future in [own.submit(request) for request in requests]]
    own.close()
    assert all(made.tokens for made in theirs)
    assert len(texts) > len(requests), "the text streams"
    same = sum(a.text == b.text for a, b in zip(ours, theirs, strict=True))
    assert same >= len(requests) - 1  # another order of additions may turn a near tie


def test_a_real_vllm_server_answers_the_word_that_shows_it_is_well(backend: VllmEngine) -> None:
    (picture,) = [draw(drawing).png for drawing in phantoms(Phantoms(1, 10_000, "held_out"))]
    together = backend.submit(GenerationRequest(picture)).result(600)
    assert backend.submit(GenerationRequest(picture, alone=True)).result(600).text == together.text
