"""The third backend: films to a chat server, its words back, with everything that says where they come from."""

import json
import threading
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.vision_server import MODEL, SmallVision, pictures, piece, whole
from xraygpt_core.model.backend import Generated, GenerationRequest, RequestFailed
from xraygpt_core.model.server.backend import ServerEngine

Png = Callable[[int], bytes]
Make = Callable[..., ServerEngine]


def ask(engine: ServerEngine, png: bytes, question: str | None = None, **more: Any) -> Generated:
    return engine.submit(GenerationRequest(png, question, **more)).result(60)


def test_a_text_is_about_the_film_that_was_sent(server: SmallVision, make: Make, noise_png: Png) -> None:
    made = ask(make(), noise_png(1))
    (shown,) = pictures(server.asked[0])
    assert made.findings == f"picture {shown[:16]} is clear."
    assert made.impression == "1 messages."
    assert made.tokens == len(made.text.split())


def test_it_says_where_a_text_comes_from(server: SmallVision, make: Make, noise_png: Png) -> None:
    made = ask(make(decoding={"do_sample": True, "seed": 7}), noise_png(1))
    software = made.software
    assert (software["backend"], software["server"], software["model"]) == ("server", server.url, MODEL)
    assert (software["owned_by"], software["root"]) == ("vllm", "/models/medgemma")
    assert (software["server_version"], software["fingerprint"]) == ("0.32.0", "fp-1")
    assert software["server_header"].startswith("SmallVision/1")
    assert software["films_sha256"] == pictures(server.asked[0])[0]
    assert len(software["request_sha256"]) == 64
    assert (made.seed, made.decoding["seed"], made.template) == (7, 7, "chat")
    assert made.prompt == "[user] [frontal film]\nWhat do you see?"


def test_a_server_that_was_upgraded_while_it_was_idle_is_named_by_its_new_version(
    server: SmallVision, make: Make, noise_png: Png
) -> None:
    engine = make()
    assert ask(engine, noise_png(1)).software["server_version"] == "0.32.0"
    server.version = "0.33.0"
    assert ask(engine, noise_png(1)).software["server_version"] == "0.33.0"


def test_a_server_without_seeds_states_none(make: Make, noise_png: Png) -> None:
    assert ask(make(decoding={"do_sample": True, "seed": 7}, seeds=False), noise_png(1)).seed is None


def test_thinking_is_kept_apart_and_never_streamed(server: SmallVision, make: Make, noise_png: Png) -> None:
    texts: list[str] = []
    server.scripts = [whole("<think>A nodule? No.</think>Findings: clear.")]
    made = ask(make(think=["<think>", "</think>"]), noise_png(1), on_text=texts.append)
    assert (made.text, made.findings, made.reasoning) == ("Findings: clear.", "clear.", "A nodule? No.")
    assert not any("nodule" in text for text in texts)


def test_common_marks_that_are_cut_over_events_are_kept_apart_and_never_streamed(
    server: SmallVision, make: Make, noise_png: Png
) -> None:
    texts: list[str] = []
    server.scripts = [[json.dumps(piece(letter)) for letter in "<unused94>A nodule?<unused95>"] + whole("Clear.")]
    made = ask(make(), noise_png(1), on_text=texts.append)
    assert (made.text, made.reasoning, made.software["thinking_marks"]) == (
        "Clear.",
        "A nodule?",
        "<unused94> <unused95>",
    )
    assert set(texts) <= {"", "Clear."}


def test_a_model_whose_template_began_the_thinking_shows_none_of_it_not_even_in_its_first_answer(
    server: SmallVision, make: Make, noise_png: Png
) -> None:
    texts: list[str] = []
    server.scripts = [[json.dumps(piece("A nodule?")), *whole("</think>Clear.")] for _ in range(2)]
    engine = make()
    for _ in range(2):
        assert ask(engine, noise_png(1), on_text=texts.append).text == "Clear."
    assert set(texts) <= {"", "Clear."}


def test_a_model_that_does_not_think_shows_its_text_while_it_writes_from_its_second_answer_on(
    server: SmallVision, make: Make, noise_png: Png
) -> None:
    server.scripts = [[json.dumps(piece("The lungs ")), *whole("are clear.")] for _ in range(2)]
    engine, shown = make(), list[list[str]]()
    for _ in range(2):
        texts: list[str] = []
        assert ask(engine, noise_png(1), on_text=texts.append).text == "The lungs are clear."
        shown.append(texts)
    assert set(shown[0]) == {""}
    assert "The lungs" in shown[1]


@pytest.mark.parametrize(("ended", "cut_off"), [("length", True), ("stop", False), ("stop_sequence", False)])
def test_a_text_that_ends_at_its_limit_is_said_to_be_cut_off(
    server: SmallVision, make: Make, noise_png: Png, ended: str, cut_off: bool
) -> None:
    server.scripts = [whole("Findings: the lungs", ended)]
    assert ask(make(), noise_png(1)).cut_off is cut_off


@pytest.mark.parametrize("count", [10**12, -5, "many"])
def test_a_count_of_tokens_that_is_none_is_replaced_by_our_own(
    server: SmallVision, make: Make, noise_png: Png, count: object
) -> None:
    usage = json.dumps({"choices": [], "usage": {"completion_tokens": count}})
    server.scripts = [[json.dumps(piece("The lungs ")), *whole("are clear.")[:-1], usage, "[DONE]"]]
    assert ask(make(), noise_png(1)).tokens == 2


@pytest.mark.parametrize("name", ["reasoning_content", "reasoning"])
def test_thinking_that_the_server_keeps_apart_is_no_text(
    server: SmallVision, make: Make, noise_png: Png, name: str
) -> None:
    server.scripts = [[json.dumps(piece(None, **{name: "A nodule?"})), *whole("No.")]]
    made = ask(make(), noise_png(1))
    assert (made.text, made.reasoning) == ("No.", "A nodule?")


def test_a_text_that_is_only_thinking_fails_its_request(server: SmallVision, make: Make, noise_png: Png) -> None:
    server.scripts = [whole("<think>A nodule?", "length")]
    with pytest.raises(RequestFailed, match="gave no answer"):
        ask(make(think=["<think>", "</think>"]), noise_png(1))


def test_a_conversation_goes_as_messages(server: SmallVision, make: Make, noise_png: Png) -> None:
    ask(make(system="You read films."), noise_png(1), "Why?", turns=(("What do you see?", "A large heart."),))
    roles = [message["role"] for message in server.asked[0]["messages"]]
    assert roles == ["system", "user", "assistant", "user"]


def test_the_most_urgent_are_sent_first(server: SmallVision, make: Make, noise_png: Png) -> None:
    engine = make()
    server.pause = threading.Event()
    busy = engine.submit(GenerationRequest(noise_png(0)))
    while not server.asked:
        threading.Event().wait(0.01)
    futures = [engine.submit(GenerationRequest(noise_png(1), str(rank), rank=rank)) for rank in (3, 2, 0)]
    server.pause.set()
    for future in [busy, *futures]:
        assert future.result(60).tokens
    asked = [body["messages"][0]["content"][-1]["text"] for body in server.asked[1:]]
    assert asked == ["0", "2", "3"]


def test_a_server_without_metrics_and_models_works_as_well(server: SmallVision, make: Make, noise_png: Png) -> None:
    server.refuses = {"/metrics": 404, "/v1/models": 404, "/version": 404}
    made = ask(make(), noise_png(1))
    assert "root" not in made.software
    assert made.software["answers_as"] == MODEL


def test_a_context_that_is_too_long_loses_the_oldest_turns(server: SmallVision, make: Make, noise_png: Png) -> None:
    answers = iter([400, 400])
    server.says = b'{"error": {"code": "context_length_exceeded"}}'
    server.refuses = Refusing(answers)
    turns = tuple((f"question {number}", f"answer {number}") for number in range(4))
    made = ask(make(), noise_png(1), "Why?", turns=turns)
    (asked,) = server.asked
    assert [message["role"] for message in asked["messages"]] == ["user", "assistant", "user"]
    assert asked["messages"][0]["content"][-1]["text"] == "question 3"
    assert made.prompt.startswith("[user] [frontal film]\nquestion 3")


class Refusing(dict[str, int]):
    """Refuses requests for text with these, one after the other."""

    def __init__(self, answers: Any) -> None:
        super().__init__()
        self.answers = list(answers)

    def __contains__(self, path: object) -> bool:
        return path == "/v1/chat/completions" and bool(self.answers)

    def __getitem__(self, path: str) -> int:
        return int(self.answers.pop(0))


def test_a_question_that_is_too_long_alone_fails(server: SmallVision, make: Make, noise_png: Png) -> None:
    server.says, server.refuses = b"maximum context length is 4096 tokens", {"/v1/chat/completions": 400}
    with pytest.raises(RequestFailed, match="context"):
        ask(make(), noise_png(1))
