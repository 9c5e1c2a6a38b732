"""What every model server's answers are read with: lines as they come, queues by their names, and limits."""

import json
from concurrent.futures import CancelledError

import httpx
import pytest

from tests.support.vision_server import piece
from xraygpt_core.model.remote import stream
from xraygpt_core.model.remote.health import AnswerFailed, ServerFailed, ServerHealth
from xraygpt_core.model.remote.stream import beginning, events, lines, read, waiting
from xraygpt_core.model.server.responses import ChatEvent


def body(*parts: bytes, status: int = 200) -> httpx.Response:
    return httpx.Response(status, content=iter(parts), request=httpx.Request("GET", "http://127.0.0.1/metrics"))


def test_lines_are_put_together_as_they_come() -> None:
    assert list(lines(body(b"one\r\nt", b"wo\n", b"\nthree"))) == ["one", "two", "", "three"]


def test_letters_that_are_cut_in_two_are_one_again() -> None:
    heart = "♥".encode()
    assert [line for line in lines(body(heart[:1], heart[1:] + b"\n")) if line] == ["♥"]


def test_a_line_without_an_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "_LONGEST_LINE", 8)
    with pytest.raises(AnswerFailed, match="without an end"):
        list(lines(body(b"short\n", b"123456789")))


@pytest.mark.parametrize(
    "line",
    [
        'vllm:num_requests_waiting{model_name="m"} 3.0',
        'sglang:num_queue_reqs{engine_type="unified"} 3.0',
        "tgi_queue_size 3",
        "llamacpp:requests_deferred 3",
    ],
)
def test_the_queue_of_each_server_is_known_by_its_name(line: str) -> None:
    assert waiting(f"# TYPE x gauge\n{line}\nprocess_open_fds 9\n") == 3


def test_an_event_needs_no_space_after_its_field() -> None:
    said = [f"data:{json.dumps(piece('a', 'stop'))}", "data:[DONE]"]
    assert [event.text for event in events(iter(said), ChatEvent)] == ["a"]


def test_fields_of_other_names_are_passed_over() -> None:
    said = ["event: message", "id: 7", f"data: {json.dumps(piece('a', 'stop'))}", "data: [DONE]"]
    assert [event.text for event in events(iter(said), ChatEvent)] == ["a"]


def test_a_foreign_word_is_not_repeated() -> None:
    said = [f"data: {json.dumps(piece('a', 'Jane Doe, 1950'))}", "data: [DONE]"]
    with pytest.raises(AnswerFailed) as failed:
        list(events(iter(said), ChatEvent))
    assert "Jane" not in str(failed.value)


def test_comments_alone_are_silence() -> None:
    with pytest.raises(ServerFailed, match="says nothing"):
        list(events(iter([": ping"] * 10), ChatEvent, quiet_seconds=0.0))


class Clock:
    """A clock that goes on by a second at each look."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        self.now += 1.0
        return self.now


SLOW = {
    "comments": [b": ping\n\n"] * 50,
    "single bytes": [bytes([one]) for one in f"data: {json.dumps(piece('a' * 50))}\n".encode()],
    "empty events": [b'data: {"choices": []}\n\n'] * 50,
    "events without text": [f"data: {json.dumps(piece(''))}\n\n".encode()] * 50,
}


@pytest.mark.parametrize("parts", SLOW.values(), ids=SLOW)
def test_what_adds_nothing_to_an_answer_is_silence(parts: list[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "time", Clock())
    with pytest.raises(ServerFailed, match="says nothing"):
        list(events(lines(body(*parts)), ChatEvent, quiet_seconds=20.0))


@pytest.mark.parametrize("more", [{"content": "a"}, {"reasoning_content": "a"}])
def test_text_and_thought_are_waited_for_however_slowly_they_come(
    more: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "time", Clock())
    slow = [f"data: {json.dumps(piece(None, **more))}\n\n".encode()] * 50
    ended = [f"data: {json.dumps(piece('', 'stop'))}\n\n".encode(), b"data: [DONE]\n\n"]
    assert len(list(events(lines(body(*slow, *ended)), ChatEvent, quiet_seconds=20.0))) == 51


@pytest.mark.parametrize("parts", SLOW.values(), ids=SLOW)
def test_whether_anybody_still_waits_is_looked_at_with_each_part(parts: list[bytes]) -> None:
    looks = iter(range(5))
    with pytest.raises(CancelledError):
        list(events(lines(body(*parts)), ChatEvent, look=lambda: next(looks, None) is None and gone()))


def gone() -> None:
    raise CancelledError


@pytest.mark.parametrize("reason", ["stop", "length", "stop_sequence", "eos_token"])
def test_an_answer_is_whole_by_the_words_of_each_server(reason: str) -> None:
    said = [f"data: {json.dumps(piece('a', reason))}", "data: [DONE]"]
    assert [event.ended for event in events(iter(said), ChatEvent)] == [reason]


@pytest.mark.parametrize("count", [0, 7, 2**31 - 1])
def test_a_count_of_tokens_is_taken(count: int) -> None:
    event = ChatEvent.model_validate_json(json.dumps({"choices": [], "usage": {"completion_tokens": count}}))
    assert event.usage is not None
    assert event.usage.completion_tokens == count


@pytest.mark.parametrize("usage", ["many", [], {}, *({"completion_tokens": one} for one in (
    -5, 2**31, 10**12, 10**30, 3.0, 1e400, "7", True, None, {}
))])  # fmt: skip
def test_a_count_that_is_none_does_not_count(usage: object) -> None:
    event = ChatEvent.model_validate_json(json.dumps({"choices": [], "usage": usage}))
    assert event.usage is None or event.usage.completion_tokens is None


def client_of(response: httpx.Response) -> httpx.Client:
    return httpx.Client(transport=httpx.MockTransport(lambda _: response))


def test_a_small_answer_is_read_whole() -> None:
    assert read(client_of(body(b"one ", b"two", status=404)), "http://127.0.0.1/x", lambda _: None) == (404, b"one two")


def test_an_answer_that_does_not_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "_LONGEST_BODY", 8)
    with pytest.raises(ServerFailed, match="sends too much"):
        read(client_of(body(*[b"12345"] * 9)), "http://127.0.0.1/metrics", lambda _: None)


def test_an_answer_that_drips_for_ever_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "time", Clock())
    with pytest.raises(ServerFailed, match="to an end with /metrics"):
        read(client_of(body(*[b"1"] * 99)), "http://127.0.0.1/metrics", lambda _: None)
    assert len(beginning(body(*[b"1"] * 99))) < 99


def test_of_a_refusal_only_the_beginning_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "_LONGEST_LINE", 8)
    assert beginning(body(*[b"12345"] * 9)) == b"12345123"


def test_a_server_can_put_off_the_next_request_and_only_so_long() -> None:
    health = ServerHealth("the model server")
    health.failed(ServerFailed("answers 503", 10**9))
    assert 0 < health.not_before < 10**8
