"""What goes wrong inside a batch: the guilty request fails alone, memory is respected, a dead device is left."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from tests.support.engine_tools import HIDDEN, LONGEST, Served, held, in_one_batch, picture, serving
from xraygpt_core.errors import Unavailable
from xraygpt_core.model.backend import DeviceLost, RequestFailed
from xraygpt_core.model.bundle import Decoding
from xraygpt_core.model.engine.arena import SlotClass
from xraygpt_core.model.faults import device_is_gone, out_of_memory

SLOTS = (SlotClass(48, 8), SlotClass(80, 1))
POISON = 1234.5


@pytest.fixture(scope="module")
def expected() -> list[str]:
    with serving(SLOTS) as served:
        return [served.ask(picture(number), [4, 5, 6]).result(60).text for number in range(8)]


def raising_prefill(
    served: Served, monkeypatch: pytest.MonkeyPatch, bad: Callable[[list[Any]], Exception | None]
) -> None:
    real = served.runner.llama.prefill

    def prefill(cache: Any, slots: Any, prompts: list[Any]) -> torch.Tensor:
        if (error := bad(prompts)) is not None:
            raise error
        return real(cache, slots, prompts)

    monkeypatch.setattr(served.runner.llama, "prefill", prefill)


@pytest.mark.parametrize("lookahead", [0, 1])
def test_a_prompt_that_raises_is_found_among_others(
    monkeypatch: pytest.MonkeyPatch, expected: list[str], lookahead: int
) -> None:
    with serving(SLOTS, lookahead=lookahead) as served:
        raising_prefill(
            served,
            monkeypatch,
            lambda prompts: RuntimeError("bad shape") if any((one == POISON).any() for one in prompts) else None,
        )
        pictures = [picture(number) for number in range(7)]
        pictures[4] = torch.full((3, HIDDEN), POISON)
        futures = in_one_batch(served, pictures)
        with pytest.raises(RequestFailed, match="RuntimeError in the model step"):
            futures.pop(4).result(60)
        assert [future.result(60).text for future in futures] == expected[:4] + expected[5:7]


@pytest.mark.parametrize("lookahead", [0, 1])
def test_an_image_of_infinities_fails_alone_and_spoils_no_slot(expected: list[str], lookahead: int) -> None:
    with serving((SlotClass(48, 4), SlotClass(80, 1)), lookahead=lookahead) as served:
        for _ in range(3):
            bad = [torch.full((3, HIDDEN), value) for value in (float("nan"), float("inf"))]
            futures = in_one_batch(served, [bad[0], picture(1), bad[1], picture(3)])
            for index in (0, 2):
                with pytest.raises(RequestFailed, match="not finite"):
                    futures[index].result(60)
            assert [futures[1].result(60).text, futures[3].result(60).text] == [expected[1], expected[3]]
        assert [served.ask(picture(n), [4, 5, 6]).result(60).text for n in range(8)] == expected


@pytest.mark.parametrize("invariant", [False, True], ids=["as-many-as-there-are", "in-one-shape"])
def test_a_row_that_breaks_a_step_is_found_among_others(
    monkeypatch: pytest.MonkeyPatch, expected: list[str], invariant: bool
) -> None:
    with serving(SLOTS, invariant=invariant) as served:
        pictures, real = [picture(number) for number in range(7)], served.runner.llama.decode

        def decode(cache: Any, first: int, last: int, longest: int) -> torch.Tensor:
            logits = real(cache, first, last, longest)  # it has written by then: the next try writes the same again
            for place in served.loop._scheduler.running:
                guilty = place.payload.image is pictures[2] or place.payload.image is pictures[5]
                if guilty and first <= place.slot < last and place.payload.run.launched > 3:
                    raise RuntimeError("illegal value")
            return logits

        monkeypatch.setattr(served.runner.llama, "decode", decode)
        futures = in_one_batch(served, pictures)
        for number, future in enumerate(futures):
            if number in (2, 5):
                with pytest.raises(RequestFailed, match="RuntimeError"):
                    future.result(60)
            else:
                assert future.result(60).text == expected[number]


def test_out_of_memory_at_entering_halves_what_runs_at_once(
    monkeypatch: pytest.MonkeyPatch, expected: list[str]
) -> None:
    with serving(SLOTS) as served:
        raising_prefill(
            served,
            monkeypatch,
            lambda prompts: torch.OutOfMemoryError("CUDA out of memory") if len(prompts) > 2 else None,
        )
        futures = in_one_batch(served, [picture(number) for number in range(7)])
        assert [future.result(60).text for future in futures] == expected[:7]
        assert served.loop._scheduler.limit <= 4


def test_out_of_memory_in_a_step_puts_half_of_the_rows_back(
    monkeypatch: pytest.MonkeyPatch, expected: list[str]
) -> None:
    with serving(SLOTS) as served:
        real = served.runner.step

        def step(kind: int, first: int, places: Any, *, part: bool) -> Any:
            if len(places) > 3:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return real(kind, first, places, part=part)

        monkeypatch.setattr(served.runner, "step", step)
        futures = in_one_batch(served, [picture(number) for number in range(7)])
        assert [future.result(60).text for future in futures] == expected[:7]


def test_a_request_too_large_for_an_empty_device_fails_alone(
    monkeypatch: pytest.MonkeyPatch, expected: list[str]
) -> None:
    with serving(SLOTS) as served:
        raising_prefill(
            served,
            monkeypatch,
            lambda prompts: torch.OutOfMemoryError("x") if any((one == POISON).any() for one in prompts) else None,
        )
        futures = in_one_batch(served, [picture(0), torch.full((3, HIDDEN), POISON), picture(2)])
        with pytest.raises(RequestFailed, match="OutOfMemoryError"):
            futures[1].result(60)
        assert [futures[0].result(60).text, futures[2].result(60).text] == [expected[0], expected[2]]


def test_a_dead_device_fails_who_was_on_it_and_hands_back_who_waited(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving((SlotClass(48, 2), SlotClass(80, 1))) as served:

        def step(*_: Any, **__: Any) -> Any:
            raise RuntimeError("CUDA error: device-side assert triggered")

        released = held(served)
        waiting = [served.ask(picture(number), [4]) for number in range(4)]
        (running,) = served.loop._scheduler.running
        monkeypatch.setattr(served.runner, "step", step)
        released.set()
        assert isinstance(running.payload.future.exception(60), DeviceLost)
        assert {type(future.exception(60)) for future in waiting} == {Unavailable}
        assert isinstance(served.ask(picture(0), [4]).exception(60), Unavailable)


def test_a_device_that_fails_even_what_is_known_to_be_good_is_dead(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(SLOTS) as served:
        raising_prefill(served, monkeypatch, lambda _prompts: RuntimeError("anything"))
        future, other = served.ask(picture(1), [4]), served.ask(picture(2), [4])
        assert isinstance(future.exception(60), RequestFailed | DeviceLost)
        assert isinstance(other.exception(60), RequestFailed | DeviceLost | Unavailable)
        assert isinstance(served.ask(picture(0), [4]).exception(60), Unavailable)


def test_a_suspect_has_the_device_to_itself(expected: list[str]) -> None:
    with serving(SLOTS) as served:
        released = held(served)
        futures = [served.ask(picture(n), [4, 5, 6], alone=n == 2) for n in range(4)]
        released.set()
        made = [future.result(60) for future in futures]
        assert made[2].batch_size == 1
        assert [one.text for one in made] == expected[:4]


def test_a_row_draws_by_its_own_chance_whoever_its_mates_are() -> None:
    decoding = Decoding(max_new_tokens=LONGEST, do_sample=True, temperature=1.3, top_p=0.9, seed=4)
    with serving(SLOTS, decoding=decoding) as served:
        alone = [served.ask(picture(number), [4, 5, 6]).result(60).text for number in range(4)]
        assert [future.result(60).text for future in in_one_batch(served, [picture(n) for n in range(4)])] == alone
    with serving(SLOTS) as greedy:
        assert [greedy.ask(picture(number), [4, 5, 6]).result(60).text for number in range(4)] != alone


@pytest.mark.parametrize(
    ("error", "memory", "gone"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), True, False),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"), True, False),
        (RuntimeError("CUDA error: an illegal memory access was encountered"), False, True),
        (torch.AcceleratorError("unspecified launch failure"), False, True),
        (torch.AcceleratorError("CUDA error: out of memory"), True, False),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"), True, False),
        (MemoryError(), True, False),
        (RuntimeError("shapes cannot be multiplied"), False, False),
    ],
)
def test_errors_of_a_device_are_told_apart(error: Exception, memory: bool, gone: bool) -> None:
    assert (out_of_memory(error), device_is_gone(error)) == (memory, gone)
