"""Whose fault an answer of vLLM's server is, and what of it can be used."""

import json
from typing import Any

import httpx
import pytest

from tests.support.vllm_server import METRICS, choice
from xraygpt_core.model.backend import RequestFailed
from xraygpt_core.model.remote import health as remote_health
from xraygpt_core.model.remote.health import AnswerFailed, RequestFailures, ServerFailed, ServerHealth
from xraygpt_core.model.remote.stream import events, waiting
from xraygpt_core.model.vllm.responses import Event, check_status


def answer(method: str, status: int, path: str = "/v1/completions") -> httpx.Response:
    return httpx.Response(status, request=httpx.Request(method, f"http://127.0.0.1:8000{path}"))


def lines(*said: dict[str, Any], end: str = "data: [DONE]") -> list[str]:
    return [*(f"data: {json.dumps(one)}" for one in said), end]


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [vars(record)["reason"] for record in caplog.records]


def test_a_good_answer_is_nobodys_fault() -> None:
    check_status(answer("POST", 200))


@pytest.mark.parametrize("status", [400, 413, 422])
def test_only_an_objection_to_the_body_is_the_requests_fault(status: int) -> None:
    with pytest.raises(RequestFailed):
        check_status(answer("POST", status))
    with pytest.raises(ServerFailed):
        check_status(answer("GET", status, "/metrics"))


@pytest.mark.parametrize("status", [301, 401, 403, 404, 405, 408, 409, 421, 429, 500, 502, 503, 504])
def test_every_other_refusal_is_about_the_server(status: int) -> None:
    with pytest.raises(ServerFailed, match=str(status)):
        check_status(answer("POST", status))


@pytest.mark.parametrize(("status", "setting"), [(401, "_KEY"), (403, "_KEY"), (404, "_URL")])
def test_a_refusal_names_the_setting_to_look_at(status: int, setting: str) -> None:
    with pytest.raises(ServerFailed, match=f"XRAYGPT_VLLM{setting}"):
        check_status(answer("GET", status, "/metrics"))


def test_the_queue_is_counted_by_its_exact_name() -> None:
    assert waiting(METRICS.format(waiting=2)) == 2


def test_the_queues_of_several_engines_add_up() -> None:
    assert waiting('vllm:num_requests_waiting{engine="0"} 2.0\nvllm:num_requests_waiting{engine="1"} 3.0\n') == 5


def test_a_queue_without_labels_counts() -> None:
    assert waiting("vllm:num_requests_waiting 4\n") == 4


def test_a_server_that_does_not_count_its_queue_has_room() -> None:
    assert waiting("vllm:num_requests_running 4\n") == 0


def test_a_queue_that_is_no_number_is_the_servers_fault() -> None:
    with pytest.raises(ServerFailed, match="metrics"):
        waiting("vllm:num_requests_waiting many\n")


@pytest.mark.parametrize("reason", ["stop", "length"])
def test_an_answer_is_whole_when_the_model_or_its_room_ended_it(reason: str) -> None:
    said = lines({"choices": [choice("The ")]}, {"choices": [choice("heart.", reason)]})
    assert "".join(event.text for event in events(iter(said), Event)) == "The heart."


@pytest.mark.parametrize("reason", ["abort", "error", "repetition", None])
def test_an_answer_that_ended_otherwise_is_not_used(reason: str | None) -> None:
    with pytest.raises(ServerFailed, match="whole"):
        list(events(iter(lines({"choices": [choice("The ", reason)]})), Event))


def test_the_usage_comes_after_the_text() -> None:
    usage = {"prompt_tokens": 9, "total_tokens": 16, "completion_tokens": 7}
    *_, last = events(iter(lines({"choices": [choice("a", "stop")]}, {"choices": [], "usage": usage})), Event)
    assert last.usage is not None
    assert last.usage.completion_tokens == 7


def test_lines_that_keep_the_connection_alive_are_passed_over() -> None:
    said = [": ping", "", *lines({"choices": [choice("a", "stop")]})]
    assert [event.text for event in events(iter(said), Event)] == ["a"]


def test_a_stream_without_its_end_is_not_used() -> None:
    with pytest.raises(ServerFailed, match="broke off"):
        list(events(iter(lines({"choices": [choice("a", "stop")]}, end="")), Event))


@pytest.mark.parametrize(
    "data", ["", "null", "[]", "{}", '{"error": {"code": 500}}', '{"choices": null}', '{"choices": [1]}']
)
def test_an_event_of_another_shape_is_the_servers_fault(data: str) -> None:
    with pytest.raises(ServerFailed, match="nonsense"):
        list(events(iter([f"data: {data}"]), Event))


def test_the_operator_is_told_of_a_change_only(caplog: pytest.LogCaptureFixture) -> None:
    health = ServerHealth("the vLLM server")
    for code in (401, 401, 503):
        health.failed(ServerFailed(f"answers {code}"))
    health.failed(httpx.ConnectError("no such thing"))
    assert told(caplog) == ["answers 401", "answers 503", "does not answer (ConnectError)"]


def test_a_server_that_comes_and_goes_does_not_fill_the_log(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    health = ServerHealth("the vLLM server")
    for _ in range(3):
        health.failed(ServerFailed("answers 503"))
        health.answered()
    assert told(caplog) == ["answers 503"]
    monkeypatch.setattr(remote_health, "_QUIET_SECONDS", 0.0)
    health.failed(ServerFailed("answers 503"))
    assert told(caplog) == ["answers 503"] * 2


def test_a_full_server_is_no_news(caplog: pytest.LogCaptureFixture) -> None:
    health = ServerHealth("the vLLM server")
    health.full()
    assert health.trouble == "has no room"
    assert told(caplog) == []


def test_after_a_good_answer_there_is_no_trouble() -> None:
    health = ServerHealth("the vLLM server")
    health.failed(ServerFailed("answers 503"))
    health.answered()
    assert health.trouble is None


FAILED = AnswerFailed("answers 500 to /v1/completions")


def fail_often(error: ServerFailed | httpx.HTTPError, *, others: int) -> None:
    """Twenty failures of one request; before each, so many others are answered."""
    health = ServerHealth("the vLLM server")
    failures = RequestFailures(health)
    for _ in range(20):
        for _ in range(others):
            health.answered()
        failures.add(error)


@pytest.mark.parametrize("error", [FAILED, httpx.ReadError("gone"), httpx.RemoteProtocolError("gone")])
def test_a_request_that_fails_again_and_again_between_good_answers_is_the_cause(
    error: ServerFailed | httpx.HTTPError,
) -> None:
    with pytest.raises(RequestFailed):
        fail_often(error, others=1)


def test_a_server_that_answers_nobody_is_the_cause_itself() -> None:
    fail_often(FAILED, others=0)


@pytest.mark.parametrize(
    "error", [ServerFailed("answers 503 to /v1/completions"), httpx.ConnectError("away"), httpx.ReadTimeout("slow")]
)
def test_what_says_nothing_about_a_request_never_failuress_it(error: ServerFailed | httpx.HTTPError) -> None:
    fail_often(error, others=3)


def test_a_moment_in_which_others_were_luckier_is_no_proof() -> None:
    health = ServerHealth("the vLLM server")
    failures = RequestFailures(health)
    for _ in range(4):
        health.answered()
        failures.add(FAILED)
    for _ in range(20):
        failures.add(FAILED)
