"""A bundle's own prompts decide its slots: one length for each number of images, with room for the hospital's words."""

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from tests.support.tiny_bundle import make_tiny_bundle
from xraygpt_core.model.backend import Clinical, GenerationRequest
from xraygpt_core.model.engine.engine import PROMPT_TOKENS, Engine

Png = Callable[[int], bytes]
IMAGE = 100
PROMPT = {
    "template": "maira-2",
    "question": "Describe it.",
    "stop": ["</s>"],
    "images": ["frontal", "lateral", "prior"],
}


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    monkeypatch = pytest.MonkeyPatch()
    monkeypatch.setitem(PROMPT_TOKENS, "cpu", 64)
    bundle = make_tiny_bundle(tmp_path_factory.mktemp("models"), "slots", image_tokens=IMAGE, prompt=PROMPT)
    made = Engine(bundle, device="cpu", batch_size=6, dtype=torch.float32)
    monkeypatch.undo()
    yield made
    made.close()


def requests(png: Png, words: str | None = None) -> list[GenerationRequest]:
    clinical = Clinical(indication=words)
    return [
        GenerationRequest(png(1), clinical=clinical),
        GenerationRequest(png(1), lateral_png=png(2), clinical=clinical),
        GenerationRequest(png(1), lateral_png=png(2), prior_png=png(3), clinical=clinical),
    ]


def kinds_of(engine: Engine, asked: list[GenerationRequest], monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Which length each of them gets."""
    seen, real = [], engine._loop._scheduler.add

    def add(ticket: object) -> None:
        real(ticket)  # type: ignore[arg-type]
        seen.append(ticket.kind)  # type: ignore[attr-defined]

    monkeypatch.setattr(engine._loop._scheduler, "add", add)
    for request in asked:
        engine.submit(request).result(60)
    monkeypatch.undo()
    return seen


def test_each_number_of_images_has_slots_of_its_own_length(
    engine: Engine, noise_png: Png, monkeypatch: pytest.MonkeyPatch
) -> None:
    lengths = engine._runner.classes[0].lengths
    assert len(lengths) == 3
    assert all(IMAGE - 32 < longer - shorter < IMAGE + 96 for shorter, longer in itertools.pairwise(lengths))
    for number, kind in enumerate(kinds_of(engine, requests(noise_png), monkeypatch)):
        assert kind <= number, "without the hospital's words it may fit into a shorter one"


def test_the_hospital_s_words_have_room_in_the_slot_of_a_summary(
    engine: Engine, noise_png: Png, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = "x " * (engine._loaded.clinical_room // 4)
    for number, kind in enumerate(kinds_of(engine, requests(noise_png, words), monkeypatch)):
        assert kind <= number


def test_all_together_say_what_each_says_alone(engine: Engine, noise_png: Png) -> None:
    asked = [*requests(noise_png), *requests(noise_png, "cough"), *requests(noise_png, "fever and cough")]
    alone = [engine.submit(request).result(60).text for request in asked]
    futures = [engine.submit(request) for request in asked]
    assert [future.result(60).text for future in futures] == alone
    assert len(set(alone)) > 3


def test_an_engine_of_several_images_reads_them_in_pieces(
    engine: Engine, noise_png: Png, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []
    real = engine._runner.llama.prefill

    def prefill(cache: object, slots: object, prompts: list[torch.Tensor], start: int | None = None) -> torch.Tensor:
        read.extend(map(len, prompts))
        return real(cache, slots, prompts, start)  # type: ignore[arg-type]

    monkeypatch.setattr(engine._runner.llama, "prefill", prefill)
    engine.submit(requests(noise_png)[2]).result(60)
    assert len(read) > 3
    assert max(read) <= 64
    assert sum(read) > 3 * IMAGE


def test_a_bundle_of_one_image_has_one_length(tmp_path: Path) -> None:
    bundle = make_tiny_bundle(tmp_path, "one")
    engine = Engine(bundle, device="cpu", batch_size=2, dtype=torch.float32)
    try:
        assert len(engine._runner.classes[0].lengths) == 1
    finally:
        engine.close()
