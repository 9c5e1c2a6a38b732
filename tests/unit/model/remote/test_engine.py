"""Whatever kind of server writes the texts: it is asked again while it is away, and only what is at fault fails."""

import threading
from collections.abc import Callable
from concurrent.futures import CancelledError, wait
from typing import Any

import pytest

from tests.support.model_server_standin import ModelServerStandIn
from xraygpt_core.errors import InvalidRequest, Unavailable
from xraygpt_core.model.backend import Generated, GenerationRequest, RequestFailed, ServerBusy
from xraygpt_core.model.remote.engine import RemoteEngine

Png = Callable[[int], bytes]
Make = Callable[..., RemoteEngine[Any]]
NOWHERE = "http://127.0.0.1:9/v1"  # the discard port, where nothing listens


def ask(engine: RemoteEngine[Any], png: bytes, **more: Any) -> Generated:
    return engine.submit(GenerationRequest(png, **more)).result(60)


def test_text_streams_as_it_grows(make: Make, noise_png: Png) -> None:
    texts: list[str] = []
    moved: list[None] = []
    engine = make()
    ask(engine, noise_png(2))  # of a model server it is not known before whether its template thinks first
    made = ask(engine, noise_png(1), on_text=texts.append, on_progress=lambda: moved.append(None))
    assert texts[-1] == made.text
    assert len(set(texts)) > 2
    assert len(moved) >= made.tokens


def test_a_full_server_gets_nothing_more_until_it_has_room(
    server: ModelServerStandIn, make: Make, noise_png: Png
) -> None:
    server.waiting = 3
    future = make(batch_size=3).submit(GenerationRequest(noise_png(1)))
    with pytest.raises(TimeoutError):
        future.result(0.3)
    assert server.asked == []
    server.waiting = 0
    assert future.result(60).tokens


def test_a_cancelled_request_is_dropped_by_the_server(server: ModelServerStandIn, make: Make, noise_png: Png) -> None:
    server.pause = threading.Event()
    texts: list[str] = []
    request = GenerationRequest(noise_png(1), on_text=texts.append, cancelled=lambda: bool(texts))
    with pytest.raises(CancelledError):
        make().submit(request).result(60)
    assert server.dropped.wait(60)


def test_an_unreadable_picture_fails_alone(make: Make) -> None:
    with pytest.raises(InvalidRequest):
        ask(make(), b"broken")


def test_a_closed_engine_takes_nothing(make: Make, noise_png: Png) -> None:
    engine = make()
    engine.close()
    with pytest.raises(Unavailable):
        ask(engine, noise_png(1))


@pytest.mark.parametrize("trouble", ["away", "breaks"])
def test_a_server_that_fails_for_a_while_is_asked_again(
    server: ModelServerStandIn, make: Make, noise_png: Png, trouble: str
) -> None:
    engine = make()
    expected = ask(engine, noise_png(1)).text
    setattr(server, trouble, 2)
    assert ask(engine, noise_png(1)).text == expected


def test_a_server_that_dies_in_the_middle_and_comes_back_costs_nothing(
    server: ModelServerStandIn, make: Make, noise_png: Png
) -> None:
    engine = make()
    server.pause = threading.Event()
    future = engine.submit(GenerationRequest(noise_png(1)))
    while not server.asked:
        threading.Event().wait(0.01)
    server.dead.set()
    assert not wait([future], 0.1).done
    server.pause.set()
    server.dead.clear()
    assert future.result(60).tokens


def test_a_server_that_is_not_there_hands_the_study_back(make: Make, noise_png: Png) -> None:
    with pytest.raises(ServerBusy, match="does not answer"):
        ask(make(NOWHERE, patience=0.1), noise_png(1))


def test_who_queued_for_long_behind_a_server_that_works_is_asked_for(
    server: ModelServerStandIn, make: Make, noise_png: Png
) -> None:
    server.pause = threading.Event()
    engine = make(patience=60)
    futures = [engine.submit(GenerationRequest(noise_png(0)))]
    while engine._quarantine.present == 0:
        threading.Event().wait(0.01)
    engine._patience = 0.2  # of those that come from now on
    futures.append(engine.submit(GenerationRequest(noise_png(1))))
    assert not wait(futures, 0.4).done
    server.pause.set()
    assert all(future.result(60).tokens for future in futures)


@pytest.mark.parametrize("status", [400, 413, 422])
def test_what_is_about_the_request_fails_it_and_no_other(
    server: ModelServerStandIn, make: Make, noise_png: Png, status: int
) -> None:
    engine = make()
    server.refuses[server.TEXTS], server.says = status, b'{"error": "cannot identify image file of Jane Doe"}'
    with pytest.raises(RequestFailed, match=str(status)) as failed:
        ask(engine, noise_png(1))
    assert "Jane" not in str(failed.value)
    server.refuses.clear()
    assert ask(engine, noise_png(1)).tokens


def test_a_request_the_server_fails_on_while_it_answers_others_is_blamed(
    server: ModelServerStandIn, make: Make, noise_png: Png
) -> None:
    engine = make(batch_size=2)
    ask(engine, noise_png(1))
    server.choke_on_the_last()
    choked = engine.submit(GenerationRequest(noise_png(1)))
    while not choked.done():
        ask(engine, noise_png(2))
    with pytest.raises(RequestFailed, match="answers others in between"):
        choked.result()


def test_a_request_the_server_fails_on_while_there_are_no_others_is_no_loss(
    server: ModelServerStandIn, make: Make, noise_png: Png
) -> None:
    engine = make(patience=0.5)
    ask(engine, noise_png(1))
    server.choke_on_the_last()
    with pytest.raises(ServerBusy, match="500"):
        ask(engine, noise_png(1))
