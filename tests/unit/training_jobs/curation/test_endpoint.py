"""An endpoint is asked politely, retried where that helps, and never trusted."""

import threading
import time
from collections.abc import Callable, Iterator
from email.utils import formatdate
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.chat_server import ChatServer, Reply, chat_server, said
from training_jobs.curation.budget import Budget, LimitReached, Limits, tokens_of
from training_jobs.curation.endpoint import (
    Endpoint,
    EndpointModel,
    _document,
    check_endpoint,
)
from training_jobs.curation.rewriters import Stopping, Unanswered
from xraygpt_core.errors import TrainingError
from xraygpt_core.model.remote.address import is_this_machine, retry_after

Serve = Callable[..., ChatServer]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Starts a server that gives these replies one after the other, the last one for ever."""
    running: list[Any] = []

    def start(*replies: Reply) -> ChatServer:
        left = list(replies)
        context = chat_server(lambda _: left.pop(0) if len(left) > 1 else left[0])
        running.append(context)
        return context.__enter__()

    yield start
    for context in running:
        context.__exit__(None, None, None)


class Patient(Budget):
    """A budget that notes how long it was asked to sleep, and does not."""

    def __init__(self, limits: Limits | None = None, stop: threading.Event | None = None) -> None:
        super().__init__(limits or Limits(), stop or threading.Event(), clock=lambda: 0.0)
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        if seconds > 0:
            self.slept.append(seconds)
        super().sleep(0)


def model_of(server: ChatServer, budget: Budget | None = None, **options: Any) -> EndpointModel:
    return EndpointModel(Endpoint(server.url, "m", **options), budget or Patient(), "the-key")


def test_the_answer_and_its_tokens_come_back(serve: Serve) -> None:
    server, budget = serve(said("A summary.", 120, 30)), Patient(Limits(price_in=1.0, price_out=2.0))
    answer = model_of(server, budget).answer("system words", "the report")
    assert (answer.text, answer.tokens_in, answer.tokens_out) == ("A summary.", 120, 30)
    assert (budget.calls, budget.tokens_in, budget.tokens_out) == (1, 120, 30)
    assert budget.cost == pytest.approx(180e-6)
    (asked,) = server.asked
    assert [one["role"] for one in asked["messages"]] == ["system", "user"]
    assert (asked["model"], asked["temperature"], asked["max_tokens"]) == ("m", 0, 512)
    assert server.keys == ["Bearer the-key"]


def test_without_a_key_none_is_sent(serve: Serve) -> None:
    server = serve(said("x"))
    EndpointModel(Endpoint(server.url + "/chat/completions", "m"), Patient(), None).answer("", "p")
    assert server.keys == [None]


def test_too_many_requests_are_retried_when_the_endpoint_says(serve: Serve) -> None:
    server, budget = serve(Reply(429, headers={"Retry-After": "7"}), said("done")), Patient()
    assert model_of(server, budget).answer("", "p").text == "done"
    assert budget.slept[0] == 7.0
    assert budget.calls == 1


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 529])
def test_what_may_pass_is_retried_longer_and_longer_and_then_given_up(serve: Serve, status: int) -> None:
    server, budget = serve(Reply(status)), Patient()
    with pytest.raises(TrainingError, match="did not answer 6 times in a row; start the same command again"):
        model_of(server, budget).answer("", "p")
    assert len(server.asked) == 6
    assert budget.slept == [1.0, 2.0, 4.0, 8.0, 16.0]
    assert budget.calls == 0


@pytest.mark.parametrize(
    ("status", "words"), [(401, "XRAYGPT_CURATE_API_KEY"), (404, "model"), (400, "model"), (302, "redirects")]
)
def test_a_refusal_is_an_error_at_once(serve: Serve, status: int, words: str) -> None:
    server = serve(Reply(status, b"secret report text", {"Location": "http://example.org/"}))
    with pytest.raises(TrainingError, match=f"status {status}.*{words}") as error:
        model_of(server).answer("", "p")
    assert len(server.asked) == 1
    assert "secret" not in str(error.value)


def test_a_report_that_is_refused_alone_is_left_to_the_rules(serve: Serve) -> None:
    model = model_of(serve(said("fine"), Reply(413)))
    model.answer("", "p")
    with pytest.raises(Unanswered):
        model.answer("", "a long one")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"no json",
        b"[]",
        b"{}",
        b'{"choices": []}',
        b'{"choices": [{"message": {"content": null}}]}',
        b'{"choices": [{"message": {"content": "  "}}]}',
        b'{"choices": "text"}',
        b"[" * 100_000,
        b'{"choices": [{"message": {"content": "cut off"}, "finish_reason": "length"}]}',
        b" " * (2**20 + 1),
    ],
)
def test_a_broken_answer_is_asked_for_once_more_and_then_left_to_the_rules(serve: Serve, body: bytes) -> None:
    server = serve(Reply(200, body))
    with pytest.raises(Unanswered):
        model_of(server).answer("", "p")
    assert len(server.asked) == 2


def test_usage_that_is_nonsense_is_estimated(serve: Serve) -> None:
    body = b'{"choices": [{"message": {"content": "four"}}], "usage": {"prompt_tokens": -5, "completion_tokens": "x"}}'
    answer = model_of(serve(Reply(200, body))).answer("", "p" * 400)
    assert answer.tokens_in > 100
    assert answer.tokens_out == tokens_of("four")


def test_a_server_that_is_gone_is_retried() -> None:
    budget = Patient()
    with chat_server(lambda _: said("x")) as server:
        url = server.url
    with pytest.raises(TrainingError, match="did not answer"):
        EndpointModel(Endpoint(url, "m"), budget, None).answer("", "p")
    assert len(budget.slept) == 5


def test_a_server_that_hangs_is_timed_out() -> None:
    free = threading.Event()

    def hang(_: object) -> Reply:
        free.wait(30)
        return said("late")

    with chat_server(hang) as server:
        begun = time.monotonic()
        with pytest.raises(TrainingError, match="did not answer"):
            model_of(server, timeout=0.05).answer("", "p")
        free.set()
    assert time.monotonic() - begun < 20


@pytest.mark.parametrize(("seconds", "document"), [(60.0, {"a": 1}), (-1.0, {})])
def test_an_answer_that_comes_too_slowly_is_no_answer(seconds: float, document: dict[str, int]) -> None:
    response = httpx.Response(200, content=b'{"a": 1}')
    assert _document(response, time.monotonic() + seconds) == document


def test_a_stop_ends_the_waiting(serve: Serve) -> None:
    stop = threading.Event()
    server = serve(Reply(429, headers={"Retry-After": "100"}))
    model = model_of(server, Budget(Limits(), stop))
    threading.Timer(0.05, stop.set).start()
    with pytest.raises(Stopping):
        model.answer("", "p")


def test_nothing_is_asked_once_the_cost_might_pass_its_limit(serve: Serve) -> None:
    server = serve(said("x", 100, 400))
    model = model_of(server, Patient(Limits(most_cost=0.001, price_in=1.0, price_out=1.0)))
    model.answer("", "p")
    with pytest.raises(LimitReached, match=r"limit of 0\.001 is reached: 0\.0005 was spent"):
        model.answer("", "p")
    assert len(server.asked) == 1


def test_nothing_is_asked_once_the_tokens_might_pass_their_limit(serve: Serve) -> None:
    server = serve(said("x", 100, 400))
    model = model_of(server, Patient(Limits(most_tokens=1000)))
    model.answer("", "p")
    with pytest.raises(LimitReached, match="1000 tokens"):
        model.answer("", "p")
    assert len(server.asked) == 1


def test_prompts_that_were_longer_than_they_were_taken_for_are_counted_on() -> None:
    budget = Budget(Limits(most_tokens=1000), threading.Event())
    budget.settle(budget.reserve(100, 0), (300, 0))
    assert budget.reserve(100, 0) == (300, 0)
    with pytest.raises(LimitReached):
        budget.reserve(150, 0)


def test_requests_keep_to_the_rate() -> None:
    budget = Patient(Limits(requests=60))
    for _ in range(4):
        budget.wait(10)
    assert budget.slept == [1.0, 2.0, 3.0]


def test_tokens_keep_to_the_rate() -> None:
    budget = Patient(Limits(requests=600, tokens=6000))
    for tokens in (100, 200, 100):
        budget.wait(tokens)
    assert budget.slept == [1.0, 3.0]


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50), st.booleans()), max_size=30), st.integers(0, 500))
def test_whatever_is_asked_the_limit_is_never_passed(calls: list[tuple[int, int, bool]], most: int) -> None:
    budget = Budget(Limits(most_tokens=most), threading.Event())
    for tokens_in, tokens_out, answered in calls:
        try:
            reserved = budget.reserve(tokens_in, tokens_out)
        except LimitReached:
            continue
        budget.settle(reserved, (tokens_in, tokens_out) if answered else None)
    assert budget.tokens_in + budget.tokens_out <= most


@pytest.mark.parametrize(
    ("value", "seconds"),
    [(None, None), ("3", 3.0), ("0.5", 0.5), ("-3", 0.0), ("soon", None), ("inf", None), ("nan", None)],
)
def test_retry_after_in_seconds(value: str | None, seconds: float | None) -> None:
    assert retry_after(value) == seconds


def test_retry_after_as_a_date() -> None:
    assert 50 < (retry_after(formatdate(time.time() + 60, usegmt=True)) or 0) <= 61
    assert retry_after(formatdate(time.time() - 60, usegmt=True)) == 0


@pytest.mark.parametrize(
    ("url", "here"),
    [
        ("http://localhost:8000/v1", True),
        ("http://127.0.0.1/v1", True),
        ("http://127.8.8.8/v1", True),
        ("http://[::1]:80/v1", True),
        ("https://api.example.org/v1", False),
        ("http://localhost.example.org/", False),
        ("http://127.0.0.1.example.org/", False),
        ("http://127.0.0.1@example.org/", False),
        ("http://0.0.0.0/", False),
        ("http://2130706433/", False),
    ],
)
def test_only_loopback_addresses_are_this_machine(url: str, here: bool) -> None:
    assert is_this_machine(url) is here


@pytest.mark.parametrize(
    ("url", "send_out", "message"),
    [
        ("https://api.example.org/v1", False, "--send-reports-out"),
        ("http://api.example.org/v1", True, "https:// alone"),
        ("ftp://127.0.0.1/", True, "http:// or https://"),
        ("nowhere", True, "http:// or https://"),
        ("http://user:password@127.0.0.1/", True, "no password"),
    ],
)
def test_reports_do_not_leave_this_machine_unasked_or_in_plain_text(url: str, send_out: bool, message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        check_endpoint(url, send_out=send_out)


@pytest.mark.parametrize(
    ("url", "send_out"), [("http://127.0.0.1:8000/v1", False), ("https://api.example.org/v1", True)]
)
def test_an_endpoint_of_this_machine_or_an_allowed_one_may_be_asked(url: str, send_out: bool) -> None:
    check_endpoint(url, send_out=send_out)
