"""A device that fails in its own way and time, and what a row that breaks off leaves behind in its slot."""

import threading
from concurrent.futures import CancelledError, Future
from typing import Any

import pytest
import torch

import xraygpt_core.model.engine.engine as engine_module
from tests.support.engine_tools import HIDDEN, LONGEST, PREFIX, held, in_one_batch, picture, serving, small_model
from xraygpt_core.errors import BundleError, ConfigurationError, Unavailable
from xraygpt_core.model.backend import DeviceLost, Generated, RequestFailed
from xraygpt_core.model.bundle import Bundle, Decoding
from xraygpt_core.model.engine.arena import SlotClass
from xraygpt_core.model.engine.engine import Engine
from xraygpt_core.model.engine.rows import Launch
from xraygpt_core.model.engine.runner import Runner, Setting

SLOTS = (SlotClass(48, 8), SlotClass(80, 1))
ONE_SLOT = (SlotClass(48, 1), SlotClass(80, 1))
NOT_FINITE = torch.full((12, HIDDEN), float("nan"))
DEAD = torch.AcceleratorError("CUDA error: an illegal memory access was encountered")


def dead(*_: Any, **__: Any) -> Any:
    raise DEAD


@pytest.mark.parametrize("lookahead", [0, 1])
def test_a_fault_that_shows_only_where_the_result_is_read_fails_who_was_on_the_device(
    monkeypatch: pytest.MonkeyPatch, lookahead: int
) -> None:
    with serving(ONE_SLOT, lookahead=lookahead) as served:
        released = held(served)
        waiting = served.ask(picture(1), [4, 5, 6])
        (running,) = served.loop._scheduler.running
        monkeypatch.setattr(Launch, "read", dead)
        released.set()
        assert isinstance(running.payload.future.exception(60), DeviceLost)
        assert isinstance(waiting.exception(60), Unavailable)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_an_error_nobody_foresaw_is_charged_to_who_was_on_the_device_and_to_nobody_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def features(_images: Any) -> Any:
        raise TypeError

    before = set(threading.enumerate())
    with serving(ONE_SLOT) as served:
        monkeypatch.setattr(served.runner.vision, "features", features)
        guilty, waiting = served.ask(picture(0), [4]), served.ask(picture(1), [4])
        assert isinstance(guilty.exception(60), DeviceLost)
        assert str(guilty.exception()) == "TypeError in the model step"
        assert isinstance(waiting.exception(60), Unavailable)
    for thread in set(threading.enumerate()) - before:
        thread.join()  # what it says on its way out belongs to this test, not to the next


@pytest.mark.parametrize("step", ["enter", "step", "scrub"])
def test_nothing_more_is_asked_of_a_dead_device(monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    with serving(SLOTS) as served:
        for name in ("rewind", "probe", "free", step):
            monkeypatch.setattr(served.runner, name, dead)
        released = held(served)
        (running,) = served.loop._scheduler.running
        others = [served.ask(picture(1), [4, 5, 6]), served.ask(NOT_FINITE[:3], [4, 5, 6])]
        released.set()
        errors = [future.exception(60) for future in [running.payload.future, *others]]
        assert any(isinstance(error, DeviceLost) for error in errors)
        assert isinstance(served.ask(picture(0), [4]).exception(60), Unavailable)


def test_an_answer_that_cannot_be_made_fails_alone() -> None:
    def answering(item: Any, _mates: int) -> Any:
        raise ValueError(f"{len(item.run.ids)} ids")

    with serving(SLOTS, answering=answering) as served:
        assert isinstance(served.ask(picture(1), [4]).exception(60), RequestFailed)
        assert isinstance(served.ask(picture(2), [4]).exception(60), RequestFailed)
        assert served.loop._scheduler.running == []


@pytest.mark.parametrize("invariant", [True, False], ids=["in-one-shape", "as-many-as-there-are"])
def test_a_row_that_is_cancelled_before_anybody_looked_leaves_nothing_in_its_slot(invariant: bool) -> None:
    with serving(ONE_SLOT, lookahead=1, invariant=invariant) as served:
        good = served.ask(picture(1), [4, 5, 6]).result(60).text
        asked: list[int] = []

        def cancelled() -> bool:
            asked.append(1)
            return len(asked) > 1  # not when it enters, but a turn later

        with pytest.raises(CancelledError):
            served.ask(NOT_FINITE, [4] * 8, cancelled=cancelled).result(60)
        assert not served.runner.caches[0].kv.isnan().any()
        assert served.ask(picture(1), [4, 5, 6]).result(60).text == good


def test_a_step_beyond_the_end_of_an_answer_leaves_nothing_in_its_slot(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(ONE_SLOT, lookahead=1, invariant=True) as served:
        good, real = served.ask(picture(1), [4, 5, 6]).result(60).text, served.runner.llama.decode
        whole = len(PREFIX) + 3 + 20 + 2  # what is cached when an answer of three tokens is complete

        def decode(cache: Any, first: int, last: int, longest: int) -> torch.Tensor:
            logits = real(cache, first, last, longest)
            if (length := int(cache.lengths[0])) > whole:
                cache.kv[:, 0, length - 1] = float("inf")
            return logits

        monkeypatch.setattr(served.runner.llama, "decode", decode)
        served.ask(picture(2), [4] * 20, longest=3).result(60)
        monkeypatch.setattr(served.runner.llama, "decode", real)
        assert served.ask(picture(1), [4, 5, 6]).result(60).text == good


def test_a_row_that_is_moved_before_anybody_looked_leaves_nothing_in_its_old_slot() -> None:
    with serving(SLOTS, lookahead=1) as served:
        texts = [[4] * 20, [4]]  # the short one comes into the slot the bad one leaves
        good = [served.ask(picture(1), text).result(60).text for text in texts]
        bad: list[Future[Generated]] = []

        def second_token(text: str) -> None:
            if text.count(" ") == 1:  # this row ends when the bad one has entered beside it, which then takes its slot
                bad.append(served.ask(NOT_FINITE, [4] * 8))

        assert served.ask(picture(0), [4, 5, 6], longest=3, on_text=second_token).result(60).tokens == 3
        assert isinstance(bad[0].exception(60), RequestFailed)
        released = held(served)
        futures = [served.ask(picture(1), text) for text in texts]
        released.set()
        assert [future.result(60).text for future in futures] == good


def test_who_goes_back_to_the_queue_leaves_nothing_in_its_slot(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(SLOTS) as served:
        expected = [served.ask(picture(number), [4, 5, 6]).result(60).text for number in range(3)]
        real, failed = served.runner.step, []

        def step(kind: int, first: int, places: Any, *, part: bool) -> Any:
            if len(places) == 3 and not failed:
                failed.append(served.runner.caches[0].kv[:, places[-1].slot])
                failed[0][:, 40:] = float("inf")
                served.runner.caches[0].read[places[-1].slot] = 48
                raise torch.OutOfMemoryError("CUDA out of memory")
            return real(kind, first, places, part=part)

        monkeypatch.setattr(served.runner, "step", step)
        assert [one.result(60).text for one in in_one_batch(served, [picture(n) for n in range(3)])] == expected
        assert failed[0].isfinite().all()


@pytest.mark.parametrize(
    "decoding",
    [None, Decoding(max_new_tokens=LONGEST, do_sample=True, temperature=1.3, top_p=0.9, seed=4)],
    ids=["likeliest", "drawn"],
)
def test_a_step_that_fails_after_its_ids_were_chosen_is_tried_again_as_if_they_had_not_been(
    monkeypatch: pytest.MonkeyPatch, decoding: Decoding | None
) -> None:
    with serving(SLOTS, decoding=decoding) as served:
        expected = [served.ask(picture(number), [4, 5, 6]).result(60).text for number in range(3)]
        real, calls = torch.Tensor.copy_, []

        def copy(target: torch.Tensor, source: torch.Tensor, non_blocking: bool = False) -> torch.Tensor:
            calls.append(1)
            if len(calls) == 8:
                raise RuntimeError("the host has no pinned memory")
            return real(target, source, non_blocking)

        monkeypatch.setattr(torch.Tensor, "copy_", copy)
        found = [one.result(60).text for one in in_one_batch(served, [picture(number) for number in range(3)])]
        monkeypatch.undo()
        assert found == expected


@pytest.mark.parametrize("longest", [1, 2])
def test_the_shortest_answers_fit_into_their_slots_one_step_ahead(longest: int) -> None:
    room = SLOTS[0].length - len(PREFIX) - 3 - longest
    with serving(SLOTS, lookahead=1) as served:
        made = [one.result(60) for one in [served.ask(picture(n), [4] * room, longest=longest) for n in range(4)]]
        assert {one.tokens for one in made} <= set(range(1, longest + 1))


def test_graphs_without_a_gpu_are_refused() -> None:
    setting = Setting(PREFIX, 48, 256, Decoding(max_new_tokens=LONGEST))
    with pytest.raises(ConfigurationError, match="XRAYGPT_CUDA_GRAPHS"):
        Runner(small_model(), None, setting, 1, graphs=True)  # type: ignore[arg-type]


def test_the_engines_thread_is_on_the_device_of_its_choice(tiny: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen: list[torch.device] = []

    def load(*_: Any) -> Any:
        raise BundleError(f"would load, on {chosen}")

    monkeypatch.setattr(torch.cuda, "set_device", chosen.append)
    monkeypatch.setattr(engine_module, "load", load)
    with pytest.raises(BundleError, match=r"device\(type='cuda', index=1\)"):
        Engine(tiny, device="cuda:1")
