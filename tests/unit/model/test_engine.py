"""The engine: batches never decide an item's fate, hooks are called, the urgent come first."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from pathlib import Path
from typing import Any

import pytest
import torch

import xraygpt_core.model.engine.engine as engine_module
from tests.support.tiny_bundle import make_tiny_bundle
from xraygpt_core.errors import BundleError, InvalidRequest, Unavailable
from xraygpt_core.model.backend import DeviceLost, GenerationRequest
from xraygpt_core.model.bundle import Bundle, read_bundle
from xraygpt_core.model.engine.engine import Engine, own
from xraygpt_core.model.engine.loop import Loop

Png = Callable[[int], bytes]


@pytest.fixture(scope="module")
def engine(tiny: Bundle) -> Iterator[Engine]:
    made = Engine(tiny, device="cpu", batch_size=4, dtype=torch.float32)
    yield made
    made.close()


def hold(engine: Engine, png: bytes) -> threading.Event:
    """Keep the engine busy until the event is set, so that what comes next waits in the queue."""
    started, released = threading.Event(), threading.Event()

    def wait() -> None:
        started.set()
        assert released.wait(60)

    engine.submit(GenerationRequest(png, on_progress=wait))
    assert started.wait(60)
    return released


def test_a_batch_says_the_same_as_one_by_one(engine: Engine, noise_png: Png) -> None:
    requests = [
        GenerationRequest(noise_png(1)),
        GenerationRequest(noise_png(2), "why?", (("a", "b"),)),
        GenerationRequest(noise_png(3), "What?"),
    ]
    alone = [engine.submit(request).result(60) for request in requests]
    released = hold(engine, noise_png(0))
    futures = [engine.submit(request) for request in requests]
    released.set()
    together = [future.result(60) for future in futures]
    assert [one.text for one in alone] == [one.text for one in together]
    assert {one.batch_size for one in together} == {3}
    assert len({one.text for one in together}) > 1


def test_a_text_comes_with_its_provenance(engine: Engine, noise_png: Png) -> None:
    made = engine.submit(GenerationRequest(noise_png(1))).result(60)
    assert made.prompt == "###Patient: <Img>[image tokens]</Img> Describe the film. ###Doctor:"
    assert made.template == "xraygpt-code"
    assert made.decoding["do_sample"] is False
    assert made.decoding["stop"] == ["###"]
    assert 0 < made.tokens <= 8
    assert made.generate_seconds > 0
    assert made.software["device"] == "cpu"


def test_a_text_is_cut_off_unless_its_last_token_ends_it(
    engine: Engine, noise_png: Png, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut = engine.submit(GenerationRequest(noise_png(1))).result(60)
    assert (cut.tokens, cut.cut_off) == (8, True)
    monkeypatch.setattr(engine._endings, "reached", lambda ids: len(ids) == 8)
    assert not engine.submit(GenerationRequest(noise_png(1))).result(60).cut_off


def test_a_picture_that_cannot_be_read_fails_alone(engine: Engine, noise_png: Png) -> None:
    released = hold(engine, noise_png(0))
    good, bad, other = (engine.submit(GenerationRequest(data)) for data in (noise_png(1), b"broken", noise_png(2)))
    released.set()
    with pytest.raises(InvalidRequest):
        bad.result(60)
    assert good.result(60).tokens
    assert other.result(60).tokens


def test_an_item_that_breaks_the_batch_fails_alone(engine: Engine, noise_png: Png) -> None:
    def fail(_text: str) -> None:
        raise ValueError("this one is bad")

    released = hold(engine, noise_png(0))
    good = [engine.submit(GenerationRequest(noise_png(i))) for i in (1, 2)]
    bad = engine.submit(GenerationRequest(noise_png(3), on_text=fail))
    good.append(engine.submit(GenerationRequest(noise_png(4))))
    released.set()
    with pytest.raises(ValueError, match="this one is bad"):
        bad.result(60)
    assert all(future.result(60).tokens for future in good)


def test_a_question_too_long_fails_alone(engine: Engine, noise_png: Png) -> None:
    released = hold(engine, noise_png(0))
    good = engine.submit(GenerationRequest(noise_png(1)))
    bad = engine.submit(GenerationRequest(noise_png(1), "why " * 2000))
    released.set()
    with pytest.raises(InvalidRequest, match="does not fit"):
        bad.result(60)
    assert good.result(60).tokens


def test_the_most_urgent_are_served_first(engine: Engine, noise_png: Png) -> None:
    order: list[int] = []
    released = hold(engine, noise_png(0))
    futures = []
    for rank in [2] * 5 + [0]:
        futures.append(engine.submit(GenerationRequest(noise_png(rank), rank=rank)))
        futures[-1].add_done_callback(lambda _future, rank=rank: order.append(rank))
    released.set()
    for future in futures:
        future.result(60)
    assert 0 in order[:4]
    assert order[-1] == 2


def test_progress_is_reported_at_every_step(engine: Engine, noise_png: Png) -> None:
    calls: list[None] = []
    made = engine.submit(GenerationRequest(noise_png(1), on_progress=lambda: calls.append(None))).result(60)
    assert len(calls) >= made.tokens


def test_text_streams_as_it_grows(engine: Engine, noise_png: Png) -> None:
    texts: list[str] = []
    made = engine.submit(GenerationRequest(noise_png(1), on_text=texts.append)).result(60)
    assert texts[-1] == made.text
    assert len(texts) == made.tokens


def test_a_request_cancelled_in_the_queue_never_runs(engine: Engine, noise_png: Png) -> None:
    texts: list[str] = []
    future = engine.submit(GenerationRequest(noise_png(1), cancelled=lambda: True, on_text=texts.append))
    with pytest.raises(CancelledError):
        future.result(60)
    assert texts == []


def test_a_request_cancelled_while_running_stops_alone(engine: Engine, noise_png: Png) -> None:
    texts: list[str] = []
    released = hold(engine, noise_png(0))
    other = engine.submit(GenerationRequest(noise_png(2)))
    future = engine.submit(GenerationRequest(noise_png(1), on_text=texts.append, cancelled=lambda: len(texts) >= 2))
    released.set()
    with pytest.raises(CancelledError):
        future.result(60)
    assert len(texts) == 2
    assert other.result(60).tokens > 2


def test_a_closed_engine_fails_what_waits_and_takes_nothing_more(tiny: Bundle, noise_png: Png) -> None:
    engine = Engine(tiny, device="cpu", batch_size=1, dtype=torch.float32)
    released = hold(engine, noise_png(0))
    waiting = engine.submit(GenerationRequest(noise_png(1)))
    closer = threading.Thread(target=engine.close)
    closer.start()
    deadline = time.monotonic() + 60
    while not engine._loop._closed:  # what runs ends only then, so that what waits is never let in
        assert time.monotonic() < deadline
        time.sleep(0.001)
    released.set()
    closer.join(60)
    with pytest.raises(Unavailable, match="closed"):
        waiting.result(60)
    with pytest.raises(Unavailable, match="closed"):
        engine.submit(GenerationRequest(noise_png(1))).result(60)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_an_error_nobody_foresaw_leaves_no_caller_waiting(tiny: Bundle, noise_png: Png) -> None:
    class Unforeseen(BaseException):
        pass

    def fail() -> None:
        raise Unforeseen

    before = set(threading.enumerate())
    engine = Engine(tiny, device="cpu", batch_size=1, dtype=torch.float32)
    with pytest.raises(DeviceLost, match="Unforeseen"):  # it counts as an attempt: else this one would come for ever
        engine.submit(GenerationRequest(noise_png(1), on_progress=fail)).result(60)
    with pytest.raises(Unavailable):
        engine.submit(GenerationRequest(noise_png(1))).result(60)
    engine.close()
    for thread in set(threading.enumerate()) - before:
        thread.join()  # what it says on its way out belongs to this test, not to the next


def test_a_changed_bundle_is_not_loaded(tmp_path: Path) -> None:
    bundle = make_tiny_bundle(tmp_path)
    (bundle.llm / "config.json").write_text("{}")
    with pytest.raises(BundleError, match="changed on disk"):
        Engine(bundle, device="cpu")


def test_a_bundle_without_a_projector_is_not_loaded(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="has no projector"):
        Engine(make_tiny_bundle(tmp_path, "base", projector=False), device="cpu")


def test_a_bundle_whose_summaries_do_not_fit_into_the_context_is_not_loaded(tmp_path: Path) -> None:
    """It would refuse every study, and for good: a request that does not fit is not tried again."""
    with pytest.raises(BundleError, match="1000 of an answer do not fit into the LLM's 1024"):
        Engine(make_tiny_bundle(tmp_path, max_new_tokens=1000), device="cpu")


def test_a_missing_model_file_is_an_error(tmp_path: Path) -> None:
    bundle = make_tiny_bundle(tmp_path)
    (bundle.llm / "model.safetensors").unlink()
    with pytest.raises(BundleError, match=r"llm/model\.safetensors"):
        read_bundle(bundle.path)
    with pytest.raises(BundleError, match=r"model\.safetensors"):
        Engine(bundle, device="cpu")


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_an_error_nobody_foresaw_while_loading_leaves_no_caller_waiting() -> None:
    def take() -> Loop:
        raise LookupError

    before = set(threading.enumerate())
    with pytest.raises(Unavailable, match="while it was loading"):
        own(take)
    for thread in set(threading.enumerate()) - before:
        thread.join()  # what it says on its way out belongs to this test, not to the next


def test_the_thread_that_serves_has_loaded_the_weights(tiny: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two threads that compute have helpers of their own each, more than there are cores, and wait for one another."""
    at_work: list[str] = []

    def noted(act: Callable[..., Any]) -> Callable[..., Any]:
        def call(*given: Any, **named: Any) -> Any:
            at_work.append(threading.current_thread().name)
            return act(*given, **named)

        return call

    monkeypatch.setattr(engine_module, "load", noted(engine_module.load))
    monkeypatch.setattr(engine_module, "Runner", noted(engine_module.Runner))
    monkeypatch.setattr(Loop, "serve", noted(Loop.serve))
    Engine(tiny, device="cpu", batch_size=1, dtype=torch.float32).close()
    assert at_work == ["engine", "engine", "engine"]
