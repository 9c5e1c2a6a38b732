"""Prompts of one to three images in one memory, read piece by piece: each text is what transformers writes for it."""

import random
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Future
from typing import Any

import pytest
import torch

from tests.support.engine_tools import (
    HIDDEN,
    LONGEST,
    PREFIX,
    VOCABULARY,
    Served,
    held,
    kv_bytes,
    picture,
    serving,
    small_model,
)
from tests.unit.model.test_engine_equal import Asked, ask_transformers, put
from xraygpt_core.model.backend import Generated, RequestFailed
from xraygpt_core.model.engine.arena import SlotClass

IMAGE = 40  # tokens
LENGTHS = tuple(len(PREFIX) + images * IMAGE + 20 + LONGEST for images in (1, 2, 3))
SHARED = SlotClass(LENGTHS[2], 4, shorter=LENGTHS[:2], most=7)
CLASSES = (SHARED, SlotClass(230, 1))
PIECE = 32  # tokens of prompts read between two steps


def long_requests(count: int, seed: int) -> list[Asked]:
    chance = random.Random(seed)
    torch.manual_seed(seed)
    made = []
    for _ in range(count):
        images = chance.choice([1, 1, 2, 3])
        rows = torch.randn(images * IMAGE - chance.randrange(IMAGE // 2), HIDDEN) * 0.5
        after = [chance.randrange(3, VOCABULARY) for _ in range(chance.choice([1, 5, 20, 45]))]
        cancel_at = chance.randint(0, 10) if chance.random() < 0.15 else None
        made.append(Asked(rows, after, chance.randrange(4), cancel_at))
    return made


def all_together(served: Served, asked: list[Asked], seed: int) -> list["Future[Generated]"]:
    """From three threads, in a random order."""
    chance, futures = random.Random(seed), {}
    order = chance.sample(range(len(asked)), len(asked))

    def arrive(some: list[int]) -> None:
        for index in some:
            futures[index] = put(served, asked[index])

    arrivals = [threading.Thread(target=arrive, args=(order[part::3],)) for part in range(3)]
    for thread in arrivals:
        thread.start()
    for thread in arrivals:
        thread.join()
    return [futures[index] for index in range(len(asked))]


def compare(served: Served, count: int, seed: int) -> None:
    asked = long_requests(count, seed)
    ask_transformers(small_model(), asked, 20)
    compared = 0
    for one, future in zip(asked, all_together(served, asked, seed), strict=True):
        try:
            made = future.result(600)
        except CancelledError:
            assert one.cancel_at is not None
            continue
        compared += 1
        assert made.text == " ".join(map(str, one.expected))
    assert compared >= 0.7 * count
    assert served.loop._scheduler.running == served.loop._scheduler.waiting == []
    slots = (slot for one in served.loop._scheduler._queues for slots in one.arena.slots for slot in slots)
    assert all(slot is None for slot in slots), "a slot is leaked"


@pytest.fixture(params=[0, 1], ids=["in-step", "one-ahead"])
def served(request: pytest.FixtureRequest) -> Iterator[Served]:
    with serving(CLASSES, lookahead=request.param, prompt_tokens=PIECE, images=3) as made:
        yield made


def test_ragged_requests_of_one_to_three_images_say_what_transformers_says(served: Served) -> None:
    compare(served, 60, seed=3)


@pytest.mark.parametrize("invariant", [False, True], ids=["rounded", "in-one-shape"])
def test_shapes_wider_than_their_rows_change_no_text_of_another_length(invariant: bool) -> None:
    """As on a GPU, where free slots are computed too: those of one length lie where rows of another one are."""
    with serving(CLASSES, lookahead=1, prompt_tokens=PIECE, invariant=invariant) as served:
        served.runner._rounds = True
        compare(served, 24, seed=8)


@pytest.mark.long
def test_500_ragged_requests_of_one_to_three_images_say_what_transformers_says(served: Served) -> None:
    compare(served, 500, seed=4)


def test_keys_and_values_take_the_memory_that_was_computed(served: Served) -> None:
    runner = served.runner
    computed = sum(one.length * one.count for one in CLASSES) * runner.llama.token_bytes
    assert computed <= kv_bytes(runner) <= 1.05 * computed


def test_no_request_takes_more_than_the_slot_that_was_computed_for_it(served: Served) -> None:
    seen: list[tuple[int, int]] = []

    def look(_text: str) -> None:
        seen.extend(
            (one.payload.length, served.loop._scheduler.lengths[one.kind]) for one in served.loop._scheduler.running
        )

    asked = long_requests(12, seed=6)
    for future in [served.ask(one.image, one.after, on_text=look) for one in asked]:
        future.result(60)
    assert {room for _, room in seen} == set(LENGTHS)
    assert all(used <= room + served.runner.setting.ahead for used, room in seen)


def test_all_slots_serve_short_requests_where_no_long_ones_come(served: Served) -> None:
    at_once: list[int] = []
    futures = [
        served.ask(picture(number), [4], on_text=lambda _text: at_once.append(len(served.loop._scheduler.running)))
        for number in range(30)
    ]
    assert max(future.result(60).batch_size for future in futures) == max(at_once) == SHARED.most


@pytest.mark.parametrize("invariant", [False, True], ids=["as-many-as-there-are", "in-one-shape"])
def test_pieces_change_no_text(invariant: bool) -> None:
    asked, said = long_requests(8, seed=9), []
    for limit in (7, 33, 1000):
        with serving(CLASSES, prompt_tokens=limit, invariant=invariant) as served:
            futures = [served.ask(one.image, one.after) for one in asked]
            said.append([future.result(60).text for future in futures])
    assert said[0] == said[1] == said[2]


class Watched:
    """Tokens of prompts and images between one step and the next."""

    def __init__(self, served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
        self.tokens, self.images = [0], [0]
        llama, vision = served.runner.llama, served.runner.vision
        self._note(monkeypatch, llama, "prefill", lambda given: self._add(self.tokens, sum(map(len, given[2]))))
        self._note(monkeypatch, vision, "features", lambda given: self._add(self.images, len(given[0])))
        self._note(monkeypatch, llama, "decode_all", lambda _given: self._step())

    @staticmethod
    def _note(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, note: Callable[[Any], None]) -> None:
        real = getattr(owner, name)

        def noted(*given: Any) -> Any:
            note(given)
            return real(*given)

        monkeypatch.setattr(owner, name, noted)

    @staticmethod
    def _add(counts: list[int], count: int) -> None:
        counts[-1] += count

    def _step(self) -> None:
        self.tokens.append(0)
        self.images.append(0)


def test_a_running_request_never_waits_for_more_than_a_piece_and_a_few_images(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = next(n for n in range(60) if served.ask(picture(n), [4, 5, 6]).result(60).tokens == LONGEST)
    others: list[Future[Generated]] = []
    watched = Watched(served, monkeypatch)

    def while_others_come(text: str) -> None:
        if text.count(" ") == 0:
            others.extend(served.ask(one.image, one.after, rank=0) for one in long_requests(6, seed=2))

    served.ask(picture(number), [4, 5, 6], on_text=while_others_come).result(60)
    assert len(watched.tokens) >= LONGEST
    assert PIECE // 2 < max(watched.tokens) <= PIECE
    assert max(watched.images) <= 3
    assert sum(watched.tokens) > 5 * PIECE, "others were read meanwhile"
    for future in others:
        future.result(60)


def test_a_request_cancelled_while_its_prompt_is_read_leaves_its_slot_to_others(served: Served) -> None:
    before, seen = served.ask(picture(2), [4] * 20).result(60).text, []

    def cancelled() -> bool:
        seen.append(1)
        return len(seen) > 2

    with pytest.raises(CancelledError):
        served.ask(torch.full((3 * IMAGE, HIDDEN), float("nan")), [4], cancelled=cancelled).result(60)
    assert all(cache.memory[:, : cache.spare].isfinite().all() for cache in served.runner.caches)
    assert served.ask(picture(2), [4] * 20).result(60).text == before


def test_a_long_prompt_that_raises_halfway_fails_alone(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    good = [served.ask(picture(number), [4] * 20).result(60).text for number in range(3)]
    real = served.runner.llama.prefill

    def prefill(cache: Any, slots: Any, prompts: Any, start: int | None = None) -> torch.Tensor:
        if start is not None and bool((prompts[0] == 7.5).any()):
            raise RuntimeError("bad piece")
        return real(cache, slots, prompts, start)

    monkeypatch.setattr(served.runner.llama, "prefill", prefill)
    released = held(served)
    bad = served.ask(torch.full((2 * IMAGE, HIDDEN), 7.5), [4])
    futures = [served.ask(picture(number), [4] * 20) for number in range(3)]
    released.set()
    with pytest.raises(RequestFailed, match="RuntimeError"):
        bad.result(60)
    assert [future.result(60).text for future in futures] == good


def test_a_prompt_that_finds_no_memory_halfway_is_read_again_later(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = long_requests(4, seed=9)[3]
    good, real, failed = served.ask(one.image, one.after).result(60).text, served.runner.llama.prefill, []

    def prefill(cache: Any, slots: Any, prompts: Any, start: int | None = None) -> torch.Tensor:
        if start is not None and not failed:
            failed.append(1)
            raise torch.OutOfMemoryError("CUDA out of memory")
        return real(cache, slots, prompts, start)

    released = held(served)
    monkeypatch.setattr(served.runner.llama, "prefill", prefill)
    future = served.ask(one.image, one.after)
    released.set()
    assert future.result(60).text == good
    assert failed


def test_a_prompt_of_another_length_than_its_slot_was_chosen_for_is_refused(served: Served) -> None:
    good = served.ask(picture(1), [4, 5, 6]).result(60).text
    released = held(served)
    wrong = served.ask(picture(1), [4, 5, 6])
    ticket = next(one for one in served.loop._scheduler.waiting if one.payload.future is wrong)
    ticket.payload.image = torch.cat([picture(1), picture(2)])
    other = served.ask(picture(1), [4, 5, 6])
    released.set()
    with pytest.raises(RequestFailed, match="ValueError"):
        wrong.result(60)
    assert other.result(60).text == good


def test_rows_of_two_lengths_take_one_step_and_one_that_breaks_it_is_found(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = long_requests(4, seed=21)
    good = [served.ask(one.image, one.after).result(60).text for one in asked]
    real, broken = served.runner.llama.decode_all, []

    def decode_all(spans: Any) -> torch.Tensor:
        logits = real(spans)
        if len(spans) > 1:
            broken.append(len(spans))
            raise RuntimeError("too many")
        return logits

    monkeypatch.setattr(served.runner.llama, "decode_all", decode_all)
    released = held(served)
    futures = [served.ask(one.image, one.after) for one in asked]
    released.set()
    assert [future.result(60).text for future in futures] == good
    assert broken
