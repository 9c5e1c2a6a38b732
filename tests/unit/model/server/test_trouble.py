"""A server that takes a request and answers no stream says in one sentence what is wrong, and nothing of a patient."""

import json
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.vision_server import vision_bundle
from xraygpt_core.model.remote.health import AnswerFailed, ServerFailed
from xraygpt_core.model.remote.stream import events, lines
from xraygpt_core.model.server.responses import ChatEvent
from xraygpt_core.model.server.trouble import private_words, what_went_wrong

JSON = "application/json"
WHOLE = {"choices": [{"message": {"content": "Clear."}, "finish_reason": "stop"}]}


def trouble(content: str, kind: str | None = JSON, private: frozenset[str] = frozenset()) -> ServerFailed:
    headers = {} if kind is None else {"Content-Type": kind}
    response = httpx.Response(200, content=iter([content.encode()]), headers=headers)
    explain = partial(what_went_wrong, response, private)
    with pytest.raises(ServerFailed) as failed:
        list(events(lines(response), ChatEvent, explain=explain))
    return failed.value


@pytest.mark.parametrize(
    "content", [json.dumps(WHOLE), json.dumps(WHOLE, indent=1), "<html>\n<p>Welcome", "", "[]", "7"]
)
@pytest.mark.parametrize("kind", [JSON, "text/html; charset=utf-8", None])
def test_an_answer_that_is_no_stream_names_its_content_type(content: str, kind: str | None) -> None:
    said = str(trouble(content, kind))
    assert f"answers without streaming (Content-Type {kind or 'none'}): it, and a proxy before it, must let" in said


@pytest.mark.parametrize(
    "document",
    [
        {"error": {"message": "model overloaded"}},
        {"error": "model overloaded"},
        {"detail": "model overloaded"},
    ],
)
@pytest.mark.parametrize("written", ["{}", "data: {}\n\n"], ids=["a body", "an event"])
def test_an_error_is_named_with_its_message(document: dict[str, Any], written: str) -> None:
    failed = trouble(written.replace("{}", json.dumps(document)))
    assert isinstance(failed, AnswerFailed)
    assert str(failed) == "reports an error instead of an answer (model overloaded): see its own log"


@pytest.mark.parametrize("error", [{}, 7, {"message": 7}, ""])
def test_an_error_without_a_message_is_one_too(error: object) -> None:
    assert "(without a message)" in str(trouble(json.dumps({"error": error})))


def test_a_message_is_shortened_and_acts_on_no_screen() -> None:
    said = str(trouble(json.dumps({"error": "\x1b[2Jno\nroom\u202e " + "again " * 100})))
    assert said.isprintable()
    assert len(said) < 250


def test_a_message_says_no_number_and_no_word_that_was_sent(tmp_path: Path) -> None:
    bundle = vision_bundle(tmp_path, "http://127.0.0.1/v1", system="You read films.")
    url = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    asked = {"type": "text", "text": "INDICATION: Jane Doe fell\n\nWhat do you see?"}
    messages = [{"role": "user", "content": [url, asked]}, {"role": "assistant", "content": "Fractured rib."}]
    private = private_words(bundle, messages)
    assert {"jane", "doe", "fell", "fractured", "rib"} <= private
    assert not {"what", "see", "films", "aaaa"} & private
    message = json.dumps({"error": "cannot see JANE DOE of 1950-01-02 in image: Rib"})
    said = str(trouble(message, private=private))
    assert "(cannot see … … of …-…-… in image: …)" in said
    assert "Rib" not in said
