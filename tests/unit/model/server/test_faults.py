"""A chat server that is away, refuses, hangs or talks nonsense loses nothing; one with another model writes nothing."""

import logging
import threading
from collections.abc import Callable
from concurrent.futures import wait
from typing import Any

import pytest

from tests.support.model_server_standin import data
from tests.support.vision_server import SmallVision, pictures, piece, whole
from xraygpt_core.errors import ConfigurationError
from xraygpt_core.model.backend import GenerationRequest, RequestFailed, ServerBusy
from xraygpt_core.model.remote import health
from xraygpt_core.model.server import backend
from xraygpt_core.model.server.backend import ServerEngine

Png = Callable[[int], bytes]
Make = Callable[..., ServerEngine]
NOWHERE = "http://127.0.0.1:9/v1"  # the discard port, where nothing listens
CHAT = "/v1/chat/completions"


BEGUN = piece("The heart")
WRONG_ANSWERS = {
    "an error in the middle": data(BEGUN, {"error": {"message": "EngineCore died", "code": 500}}),
    "aborted": data(BEGUN, piece("", "abort")),
    "never said to have ended": data(BEGUN),
    "broken off": whole("The heart.")[:-1],
    "no choices": data({"id": "chatcmpl-1"}),
    "text that is none": data({"choices": [{"delta": {"content": 7}}]}),
    "no JSON": ["<html>", "[DONE]"],
    "more than it was asked for": data(*[piece("word " * 300)] * 100, piece("", "stop")),
    "a line without an end": ["x" * (2**20 + 2**17)],
}


def about(png: bytes, **more: Any) -> GenerationRequest:
    return GenerationRequest(png, **more)


@pytest.mark.parametrize("answer", WRONG_ANSWERS.values(), ids=WRONG_ANSWERS)
def test_an_answer_that_is_not_whole_is_asked_for_again(
    server: SmallVision, make: Make, noise_png: Png, answer: list[str]
) -> None:
    engine = make()
    server.scripts = [answer]
    assert "is clear" in engine.submit(about(noise_png(1))).result(60).text
    assert server.scripts == []


def test_a_server_that_asks_for_more_time_than_patience_gets_the_study_later(
    server: SmallVision, make: Make, noise_png: Png
) -> None:
    server.away, server.retry_after = 1, "240"
    with pytest.raises(ServerBusy, match="503") as busy:
        make(patience=0.1).submit(about(noise_png(1))).result(60)
    assert 200 < busy.value.wait <= 240


@pytest.mark.parametrize("status", [408, 429, 502, 504])
def test_a_server_that_is_full_or_away_hands_the_study_back(
    server: SmallVision, make: Make, noise_png: Png, status: int
) -> None:
    server.refuses = {CHAT: status}
    with pytest.raises(ServerBusy, match=str(status)) as busy:
        make(patience=0.1).submit(about(noise_png(1))).result(60)
    assert busy.value.wait == 0


def test_a_server_that_asks_for_a_moment_is_left_alone_for_it(server: SmallVision, make: Make, noise_png: Png) -> None:
    server.away, server.retry_after = 1, "0.2"
    assert make().submit(about(noise_png(1))).result(60).waited_seconds >= 0.2


def test_a_server_that_keeps_the_connection_and_says_nothing_is_given_up(
    server: SmallVision, make: Make, noise_png: Png
) -> None:
    server.stays_silent = True
    with pytest.raises(ServerBusy, match="says nothing"):
        make(patience=0.1).submit(about(noise_png(1))).result(60)


def test_a_server_that_hangs_is_given_up(server: SmallVision, make: Make, noise_png: Png) -> None:
    import httpx

    engine = make(patience=0.1)
    engine._client.timeout = httpx.Timeout(0.1)
    server.pause = threading.Event()
    server.scripts = [whole("Too late.")] * 3
    with pytest.raises(ServerBusy, match="does not answer"):
        engine.submit(about(noise_png(1))).result(60)


def test_a_server_that_sends_events_without_a_word_is_given_up(server: SmallVision, make: Make, noise_png: Png) -> None:
    server.pause = threading.Event()
    with pytest.raises(ServerBusy, match="says nothing"):
        make(patience=0.1).submit(about(noise_png(1))).result(60)


def test_a_request_that_is_alone_and_kills_the_server_is_blamed(
    server: SmallVision, make: Make, noise_png: Png
) -> None:
    engine = make()
    engine.submit(about(noise_png(1))).result(60)
    (server.dies_of,) = pictures(server.asked[-1])
    with pytest.raises(RequestFailed, match="while it is alone"):
        engine.submit(about(noise_png(1), alone=True)).result(60)
    server.dead.clear()
    assert engine.submit(about(noise_png(2))).result(60).tokens


def test_a_server_that_refuses_what_is_known_to_be_good_blames_nobody(
    server: SmallVision, make: Make, noise_png: Png
) -> None:
    server.refuses = {CHAT: 400}
    with pytest.raises(ServerBusy, match="known to answer"):
        make(patience=0.1).submit(about(noise_png(1), alone=True)).result(60)


@pytest.mark.parametrize("status", [401, 403])
def test_a_key_that_is_refused_stops_the_worker_before_its_first_study(
    server: SmallVision, make: Make, status: int
) -> None:
    server.refuses = {"/v1/models": status}
    with pytest.raises(ConfigurationError, match="names no api_key_env"):
        make()


def test_a_key_that_expires_is_said_once_and_costs_no_attempt(
    server: SmallVision, make: Make, noise_png: Png, caplog: pytest.LogCaptureFixture
) -> None:
    engine = make(key="sesame", api_key_env="XRAYGPT_SERVER_KEY")
    server.key = "another"
    for _ in range(3):
        with pytest.raises(ConfigurationError, match="XRAYGPT_SERVER_KEY must hold its key"):
            engine.submit(about(noise_png(1))).result(60)
    said = [record for record in caplog.records if record.name == backend.__name__]
    assert [record.levelno for record in said] == [logging.CRITICAL]
    assert "sesame" not in str(vars(said[0]))


def test_a_model_that_the_server_does_not_have_is_said_with_those_it_has(server: SmallVision, make: Make) -> None:
    server.model = "qwen"
    with pytest.raises(ConfigurationError, match=r"has no model 'google/medgemma-1\.5-4b-it'; it has qwen"):
        make()


def test_a_model_that_is_gone_later_is_said_too(server: SmallVision, make: Make, noise_png: Png) -> None:
    engine = make()
    server.refuses = {CHAT: 404}
    with pytest.raises(ConfigurationError, match="answers 404"):
        engine.submit(about(noise_png(1))).result(60)


@pytest.mark.parametrize(("what", "name"), [("root", "root"), ("fingerprint", "fingerprint")])
def test_a_server_that_is_started_again_with_another_model_writes_nothing_more(
    server: SmallVision, make: Make, noise_png: Png, what: str, name: str
) -> None:
    engine = make()
    engine.submit(about(noise_png(1))).result(60)
    setattr(server, what, "another")
    for _ in range(2):
        with pytest.raises(ConfigurationError, match=f"another model now: {name} is 'another'"):
            engine.submit(about(noise_png(1))).result(60)


def test_another_model_than_the_bundle_was_made_with_stops_the_worker(server: SmallVision, make: Make) -> None:
    with pytest.raises(ConfigurationError, match="root is '/models/medgemma' and was '/models/former'"):
        make(expects={"root": "/models/former"})


def test_another_fingerprint_than_the_bundle_was_made_with_writes_nothing(
    server: SmallVision, make: Make, noise_png: Png
) -> None:
    with pytest.raises(ConfigurationError, match="fingerprint"):
        make(expects={"fingerprint": "fp-0"}).submit(about(noise_png(1))).result(60)


def test_a_server_that_came_while_the_worker_was_there_is_looked_at_first(
    server: SmallVision, make: Make, noise_png: Png
) -> None:
    server.refuses = {"/v1/models": 503}
    engine = make(expects={"root": "/models/former"})
    server.refuses = {}
    with pytest.raises(ConfigurationError, match="another model now"):
        engine.submit(about(noise_png(1))).result(60)
    assert server.asked == []


def test_a_server_that_has_loaded_nothing_yet_is_waited_for(server: SmallVision, make: Make, noise_png: Png) -> None:
    server.refuses, server.says = {"/v1/models": 200}, b'{"data": []}'
    future = make().submit(about(noise_png(1)))
    assert not wait([future], 0.1).done
    server.refuses = {}
    assert future.result(60).tokens


@pytest.mark.parametrize("nonsense", [b"<html>", b"[]", b'{"data": 7}', b"null"])
def test_nonsense_about_models_is_waited_out(server: SmallVision, make: Make, noise_png: Png, nonsense: bytes) -> None:
    server.refuses, server.says = {"/v1/models": 200}, nonsense
    with pytest.raises(ServerBusy, match="nonsense"):
        make(patience=0.1).submit(about(noise_png(1))).result(60)


def test_the_log_says_why_work_waits(
    server: SmallVision, make: Make, noise_png: Png, caplog: pytest.LogCaptureFixture
) -> None:
    server.refuses = {CHAT: 502}
    with pytest.raises(ServerBusy):
        make(patience=0.1).submit(about(noise_png(1))).result(60)
    (said,) = [vars(record) for record in caplog.records if record.name == health.__name__]
    assert said["message"] == "work waits for the model server"
    assert "502" in said["reason"]
