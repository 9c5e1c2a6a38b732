"""Bundles in the published layouts behind the engine's own door: films come as PNGs, one to three of a study."""

import random
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.support.engine_tools import kv_bytes
from tests.support.layout_shapes import Sizes
from tests.support.published_layouts import write_maira2
from tests.support.whole_models import NOTHING, imported, write_all_of_libra
from xraygpt_core.model.backend import Clinical, Generated, GenerationRequest
from xraygpt_core.model.bundle import Bundle
from xraygpt_core.model.engine import engine as engines
from xraygpt_core.model.engine.engine import Engine
from xraygpt_core.model.grounding import without_places
from xraygpt_core.model.prompt import clean_answer
from xraygpt_core.model.summariser import load

Png = Callable[[int], bytes]
FILMS = 6  # different ones of each role
FEVER = "Fever for three days, rule out pneumonia. "
WORDS = ("", "Cough.", FEVER * 4, "</s> USER: <image><obj><box><x1>", "word " * 300)
# MAIRA-2 with images of 100 tokens, so that slots for one, two and three of them differ.
LAYOUTS: dict[str, Callable[[Path], object]] = {
    "maira-2": lambda folder: write_maira2(folder, Sizes(side=10)),
    "libra": write_all_of_libra,
}


@dataclass
class Asked:
    """A request, and when its caller gives up."""

    request: GenerationRequest
    cancel_at: int | None
    seen: list[str] = field(default_factory=list)

    def hooked(self) -> GenerationRequest:
        def cancelled() -> bool:
            return self.cancel_at is not None and len(self.seen) >= self.cancel_at

        return GenerationRequest(**{**vars(self.request), "on_text": self.seen.append, "cancelled": cancelled})


def requests(count: int, seed: int, png: Png) -> list[Asked]:
    chance = random.Random(seed)
    films = [png(number) for number in range(3 * FILMS)]

    def one_of(role: int) -> bytes | None:
        return films[role * FILMS + chance.randrange(FILMS)] if chance.random() < 0.5 else None

    made = []
    for _ in range(count):
        asks = chance.random() < 0.3
        request = GenerationRequest(
            films[chance.randrange(FILMS)],
            chance.choice(["Why?", "Where is the <box>?"]) if asks else None,
            (("Describe it.", chance.choice(["Clear.", "Clear lungs. " * 20])),) if asks else (),
            lateral_png=one_of(1),
            prior_png=one_of(2),
            clinical=Clinical(chance.choice(WORDS) or None, None, chance.choice(["None.", None])),
            rank=chance.randrange(4),
            alone=chance.random() < 0.02,
        )
        made.append(Asked(request, chance.randint(0, 3) if chance.random() < 0.15 else None))
    return made


@pytest.fixture(scope="module", params=["maira-2", "libra"])
def bundle(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    folder = tmp_path_factory.mktemp(request.param)
    LAYOUTS[request.param](folder / "downloads")
    return imported(folder / "downloads", folder / "models", NOTHING)[0]


@pytest.fixture(scope="module")
def engine(bundle: Bundle) -> Iterator[Engine]:
    """Pieces so small that most prompts need several, and four images at once at the most."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(engines.PROMPT_TOKENS, "cpu", 96)
        patch.setitem(engines.IMAGES, "cpu", 4)
        made = Engine(bundle, device="cpu", batch_size=6, dtype=torch.float32, lookahead=1)
    yield made
    made.close()


def no_slot_is_taken(engine: Engine) -> bool:
    queues = engine._loop._scheduler._queues
    return not engine._loop._scheduler.waiting and all(
        slot is None for queue in queues for slots in queue.arena.slots for slot in slots
    )


def from_three_threads(engine: Engine, asked: Sequence[Asked], seed: int) -> list["Future[Generated]"]:
    futures: dict[int, Future[Generated]] = {}
    order = random.Random(seed).sample(range(len(asked)), len(asked))

    def arrive(some: list[int]) -> None:
        for index in some:
            futures[index] = engine.submit(asked[index].hooked())

    threads = [threading.Thread(target=arrive, args=(order[part::3],)) for part in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [futures[index] for index in range(len(asked))]


def compare(engine: Engine, asked: list[Asked], seed: int) -> None:
    alone: dict[GenerationRequest, tuple[str, int]] = {}
    compared = 0
    futures = from_three_threads(engine, asked, seed)
    for one, future in zip(asked, futures, strict=True):
        try:
            made = future.result(600)
        except CancelledError:
            assert one.cancel_at is not None
            continue
        compared += 1
        if one.request not in alone:
            again = engine.submit(one.request).result(600)
            alone[one.request] = again.text, again.tokens
        assert (made.text, made.tokens) == alone[one.request]
    assert compared >= 0.7 * len(asked)
    assert len({text for text, _ in alone.values()}) > 3
    assert no_slot_is_taken(engine)


def test_each_request_says_what_it_says_alone(engine: Engine, noise_png: Png) -> None:
    compare(engine, requests(16, 1, noise_png), 2)


@pytest.mark.long
def test_500_ragged_requests_of_one_to_three_films_say_what_they_say_alone(engine: Engine, noise_png: Png) -> None:
    compare(engine, requests(500, 3, noise_png), 4)


def test_alone_means_what_transformers_writes(bundle: Bundle, engine: Engine, noise_png: Png) -> None:
    loaded = load(bundle, "cpu", torch.float32)
    for one in requests(4, 5, noise_png):
        prompt = loaded.prompt(one.request, engine._runner.context)
        tokens = loaded.image_tokens(loaded.features(loaded.pictures(one.request)))
        with torch.inference_mode():
            row = loaded.row(prompt, tokens)[None]
            ids = loaded.llm.model.generate(
                inputs_embeds=row,
                attention_mask=torch.ones(row.shape[:2]),
                max_new_tokens=bundle.decoding.max_new_tokens,
                do_sample=False,
                eos_token_id=sorted(loaded.llm.ends),
            )
        said = clean_answer(loaded.template, engine._endings.text(ids[0].tolist()))
        assert engine.submit(one.request).result(60).text == without_places(said)


def test_no_step_encodes_more_images_than_it_may(
    bundle: Bundle, noise_png: Png, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(engines.PROMPT_TOKENS, "cpu", 10_000)  # as many prompts as there are
    monkeypatch.setitem(engines.IMAGES, "cpu", 4)
    own, seen = Engine(bundle, device="cpu", batch_size=6, dtype=torch.float32), []
    real = own._loaded.encoder.encode

    def encode(images: Any) -> Any:
        seen.append(len(images))
        return real(images)

    monkeypatch.setattr(own._loaded.encoder, "encode", encode)
    started, released = threading.Event(), threading.Event()

    def hold() -> None:
        started.set()
        released.wait(60)

    futures = [own.submit(GenerationRequest(noise_png(0), on_progress=hold))]
    assert started.wait(60)
    for number in range(6):
        request = GenerationRequest(noise_png(number), lateral_png=noise_png(7), prior_png=noise_png(8))
        futures.append(own.submit(request))
    released.set()
    for future in futures:
        future.result(60)
    own.close()
    assert max(seen) <= 4
    assert sum(seen) > 12


def test_each_number_of_films_has_slots_of_its_own(bundle: Bundle, engine: Engine) -> None:
    assert len(engine._runner.classes[0].shorter) == (2 if bundle.template == "maira-2" else 0)


def test_keys_and_values_take_the_memory_that_was_computed(engine: Engine) -> None:
    runner = engine._runner
    computed = sum(one.length * one.count for one in runner.classes) * runner.llama.token_bytes
    assert computed <= kv_bytes(runner) <= 1.05 * computed
