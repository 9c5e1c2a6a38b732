"""A vLLM server that is away, refuses, or talks nonsense loses nothing: the same study is asked for again."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import wait
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from tests.support.loopback import LoopbackServer, QuietHandler, answering
from tests.support.model_server_standin import data
from tests.support.vllm_server import SmallVllm, choice
from xraygpt_core.errors import Unavailable
from xraygpt_core.model.backend import DeviceLost, GenerationRequest, ServerBusy
from xraygpt_core.model.remote import engine as remote_engine
from xraygpt_core.model.remote import health
from xraygpt_core.model.vllm import backend
from xraygpt_core.model.vllm.backend import VllmEngine

Png = Callable[[int], bytes]
Make = Callable[..., VllmEngine]
NOBODY = "http://127.0.0.1:9"  # the discard port, where nothing listens


BEGUN = {"choices": [choice("The heart")]}
WRONG_ANSWERS = {
    "an error in the middle": data(BEGUN, {"error": {"message": "EngineCore died", "type": "X", "code": 500}}),
    "aborted": data(BEGUN, {"choices": [choice("", "abort")]}),
    "never said to have ended": data(BEGUN),
    "broken off": data(BEGUN, {"choices": [choice("", "stop")]})[:-1],
    "no text": data({"choices": [choice("") | {"text": None}]}),
    "no choices": data({"id": "cmpl-1"}),
    "no object": data([]),  # type: ignore[arg-type]  # which is what is wrong with it
    "no JSON": ["<html>", "[DONE]"],
}


@pytest.mark.parametrize("answer", WRONG_ANSWERS.values(), ids=WRONG_ANSWERS)
def test_an_answer_that_is_not_whole_is_asked_for_again(
    server: SmallVllm, make: Make, noise_png: Png, answer: list[str]
) -> None:
    engine = make()
    expected = engine.submit(GenerationRequest(noise_png(1))).result(60)
    server.scripts += [answer, answer]
    made = engine.submit(GenerationRequest(noise_png(1))).result(60)
    assert (made.text, made.tokens) == (expected.text, expected.tokens)
    assert server.scripts == []


def test_metrics_without_a_number_are_no_loss(make: Make, server: SmallVllm, noise_png: Png) -> None:
    server.waiting = "many"  # type: ignore[assignment]  # which is what is wrong with it
    with pytest.raises(ServerBusy, match="metrics"):
        make(patience=0.2).submit(GenerationRequest(noise_png(1))).result(60)


@pytest.mark.parametrize("path", ["/metrics", "/v1/completions"])
@pytest.mark.parametrize("status", [302, 401, 403, 404, 408, 429, 500, 503])
def test_what_is_about_the_server_costs_the_study_nothing(
    server: SmallVllm, make: Make, noise_png: Png, path: str, status: int
) -> None:
    server.refuses[path] = status
    with pytest.raises(ServerBusy, match=f"{status} to {path}"):
        make(patience=0.1).submit(GenerationRequest(noise_png(1))).result(60)


def test_metrics_never_fail_a_request(server: SmallVllm, make: Make, noise_png: Png) -> None:
    server.refuses["/metrics"] = 400
    with pytest.raises(ServerBusy):
        make(patience=0.1).submit(GenerationRequest(noise_png(1))).result(60)


def test_work_waits_for_the_right_key(server: SmallVllm, make: Make, noise_png: Png) -> None:
    server.key = "sesame"
    future = make().submit(GenerationRequest(noise_png(1)))
    assert not wait([future], 0.2).done
    server.key = None  # as if it had been started anew, with ours
    assert future.result(60).tokens


def test_the_operator_is_told_once_what_is_wrong_with_the_key(
    server: SmallVllm, make: Make, noise_png: Png, caplog: pytest.LogCaptureFixture
) -> None:
    server.key = "sesame"
    with pytest.raises(ServerBusy):
        make(key="open", patience=0.2).submit(GenerationRequest(noise_png(1))).result(60)
    (said,) = [vars(record)["reason"] for record in caplog.records if record.name == health.__name__]
    assert "401" in said
    assert "XRAYGPT_VLLM_KEY" in said
    assert "open" not in said


def test_who_queued_behind_a_dead_server_has_waited_for_it_too(
    make: Make, noise_png: Png, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, clock = make(NOBODY), SimpleNamespace(monotonic=time.monotonic)
    monkeypatch.setattr(remote_engine, "time", clock)
    futures = [engine.submit(GenerationRequest(noise_png(1))) for _ in range(6)]
    late = time.monotonic() + engine._patience + 1
    clock.monotonic = lambda: late  # and there it stands: nobody waits a patience of his own
    for future in futures:
        with pytest.raises(ServerBusy):
            future.result(60)


def test_a_count_of_tokens_that_is_none_is_replaced_by_our_own(server: SmallVllm, make: Make, noise_png: Png) -> None:
    engine = make()
    usage = {"usage": {"completion_tokens": 10**12}}
    server.scripts = [data({"choices": [choice("The lungs ")]}, {"choices": [choice("are", "length")]} | usage)]
    made = engine.submit(GenerationRequest(noise_png(1))).result(60)
    assert (made.text, made.tokens, made.cut_off) == ("The lungs are", 2, True)


def test_nothing_goes_through_a_proxy(
    make: Make, noise_png: Png, monkeypatch: pytest.MonkeyPatch, server: SmallVllm
) -> None:
    seen: list[str] = []

    class Proxy(QuietHandler):
        def do_GET(self) -> None:
            seen.append(self.path)
            self.send(503)

    with answering(LoopbackServer(Proxy)) as proxy:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy.url)
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.delenv(name, raising=False)
        tokens = make(patience=0.5).submit(GenerationRequest(noise_png(1)))
        wait([tokens], 120)
    assert seen == []
    assert tokens.result().tokens


def test_as_many_streams_as_the_batch_is_large(server: SmallVllm, make: Make, noise_png: Png) -> None:
    many = 101  # an HTTP client has 100 connections if nobody asks for more
    server.pause = threading.Event()
    server.scripts += [data({"choices": [choice("Well.", "stop")]})] * many
    engine = make(batch_size=many)
    futures = [engine.submit(GenerationRequest(noise_png(1))) for _ in range(many)]
    ended = time.monotonic() + 120
    while server.scripts and time.monotonic() < ended:
        threading.Event().wait(0.01)
    assert server.scripts == []
    server.pause.set()
    assert all(future.result(60).text for future in futures)


def test_an_error_nobody_foresaw_fails_one_request(make: Make, noise_png: Png, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = make()

    def unforeseen(*_: Any) -> None:
        raise TypeError

    with monkeypatch.context() as patched:
        patched.setattr(engine, "_generate", unforeseen)
        with pytest.raises(TypeError):
            engine.submit(GenerationRequest(noise_png(1))).result(60)
    assert engine.submit(GenerationRequest(noise_png(1))).result(60).tokens


def test_a_device_that_fails_on_an_image_fails_that_request(
    make: Make, noise_png: Png, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = make()

    def broken(*_: Any) -> None:
        raise RuntimeError("the device failed")

    monkeypatch.setattr(type(engine._loaded), "features", broken)
    future = engine.submit(GenerationRequest(noise_png(1)))
    with pytest.raises(RuntimeError, match="the device failed"):
        future.result(60)


def test_a_dead_device_is_charged_to_one_request_and_asked_nothing_more(
    make: Make, noise_png: Png, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, asked = make(), []

    def dead(*_: Any) -> None:
        asked.append(1)
        raise torch.AcceleratorError("CUDA error: an illegal memory access was encountered")

    monkeypatch.setattr(type(engine._loaded), "features", dead)
    futures = [engine.submit(GenerationRequest(noise_png(number))) for number in range(3)]
    assert [type(future.exception(60)) for future in futures] == [DeviceLost, Unavailable, Unavailable]
    assert asked == [1]


def test_who_comes_while_the_engine_closes_is_told(make: Make, noise_png: Png, monkeypatch: pytest.MonkeyPatch) -> None:
    engine, real = make(), backend.ServerRequest

    def just_then(**fields: Any) -> Any:
        engine.close()
        return real(**fields)

    monkeypatch.setattr(backend, "ServerRequest", just_then)
    with pytest.raises(Unavailable):
        engine.submit(GenerationRequest(noise_png(1))).result(60)
