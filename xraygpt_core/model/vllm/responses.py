"""What a vLLM server answers, and whether a failure is the server's or the request's.

A refused body is the request's fault. Any other failure, nonsense included, is about the server or how it is set up:
the same request is worth another try, and no study loses an attempt by it. If the server fails on one request again and
again, and answers others in between, then it is the request's fault after all.
"""

import logging
import re
import threading
import time
from collections.abc import Iterator

import httpx
from pydantic import BaseModel, ValidationError

from xraygpt_core.errors import XrayGPTError
from xraygpt_core.model.backend import RequestFailed

log = logging.getLogger(__name__)

_REFUSALS = {400, 413, 422}  # to the body of a request for text
_BROKE = 500  # in the middle of something; 502 to 504 come from a proxy before it
_ADVICE = {
    401: ": XRAYGPT_VLLM_KEY must be the key it was started with",
    403: ": XRAYGPT_VLLM_KEY must be the key it was started with, and a proxy before it must let us pass",
    404: ": XRAYGPT_VLLM_URL must be the address under which vLLM has /metrics and /v1",
}
_WHOLE = {"stop", "length"}  # an answer that ends for another reason (abort, error …) is not all of it
_WAITING = re.compile(r"^vllm:num_requests_waiting(?:\{.*\})? (\S+)", re.MULTILINE)  # not …_waiting_by_reason
_FAILURES = 5  # with answers to others in between; then it is the request's fault
_QUIET_SECONDS = 60.0  # before the same trouble is logged again


class ServerFailed(XrayGPTError):
    """The vLLM server refused, or broke its protocol; the same request is worth another try."""


class AnswerFailed(ServerFailed):
    """It took the request and failed on it: perhaps the request is the cause."""


# How a request fails that the server had begun with; the server may have died of it.
IN_THE_MIDDLE = (AnswerFailed, httpx.ReadError, httpx.RemoteProtocolError)


class _Choice(BaseModel):
    text: str
    finish_reason: str | None = None


class _Usage(BaseModel):
    completion_tokens: int


class Event(BaseModel):
    """One event of a streamed completion; the usage comes with the last one."""

    choices: list[_Choice]
    usage: _Usage | None = None

    @property
    def text(self) -> str:
        """What it adds to the answer."""
        return "".join(choice.text for choice in self.choices)


class ServerHealth:
    """What was wrong when the server was last asked, by any request. A change is logged."""

    def __init__(self) -> None:
        self.trouble: str | None = None
        self.answers = 0  # so far, to any request
        self._logged: dict[str, float] = {}
        self._lock = threading.Lock()

    def answered(self) -> None:
        """It answered."""
        self.trouble = None
        with self._lock:
            self.answers += 1

    def full(self) -> None:
        """It has no room, which is not worth a log line."""
        self.trouble = "has no room"

    def failed(self, error: httpx.HTTPError | ServerFailed) -> None:
        """It did not answer as it should."""
        trouble = str(error) if isinstance(error, ServerFailed) else f"does not answer ({type(error).__name__})"
        now = time.monotonic()
        with self._lock:
            is_new = trouble != self.trouble and now - self._logged.get(trouble, -_QUIET_SECONDS) >= _QUIET_SECONDS
            self.trouble = trouble
            if is_new:
                self._logged[trouble] = now
        if is_new:
            log.warning("work waits for the vLLM server", extra={"reason": trouble})


class RequestFailures:
    """Counts the server's failures on one request, which are the server's fault as long as it answers no other.

    Attributes:
        suspected: the server had begun with it when it failed.
    """

    def __init__(self, health: ServerHealth) -> None:
        self.suspected = False
        self._health = health
        self._answers = health.answers
        self._between_answers = 0

    def add(self, error: httpx.HTTPError | ServerFailed) -> None:
        """The server failed on this request once more.

        Raises:
            RequestFailed: it answered others before this failure, as before enough others of this request.
        """
        if not isinstance(error, IN_THE_MIDDLE):
            return
        self.suspected = True
        others = self._health.answers > self._answers
        self._answers = self._health.answers
        self._between_answers += others
        if self._between_answers >= _FAILURES:
            raise RequestFailed("vLLM fails on this request again and again, and answers others in between") from error


def check_status(response: httpx.Response) -> None:
    """Go on only with an answer that is one.

    Raises:
        RequestFailed: the server refuses the body it was sent.
        ServerFailed: it answers anything else but success.
    """
    if response.is_success:
        return
    status, request = response.status_code, response.request
    if request.method == "POST" and status in _REFUSALS:
        raise RequestFailed(f"vLLM refuses the request ({status})")
    failed = AnswerFailed if request.method == "POST" and status == _BROKE else ServerFailed
    raise failed(f"answers {status} to {request.url.path}{_ADVICE.get(status, '')}")


def waiting(metrics: str) -> float:
    """How many requests wait inside the server, by the text of its /metrics; 0 if it does not say.

    Raises:
        ServerFailed: that is no number.
    """
    try:
        return sum(float(number) for number in _WAITING.findall(metrics))
    except ValueError:
        raise ServerFailed("says no number of waiting requests in /metrics") from None


def events(lines: Iterator[str]) -> Iterator[Event]:
    """Server-sent events of the completions protocol, until its end.

    Raises:
        AnswerFailed: an error, nonsense, or an end before the end: what came is not the whole answer.
    """
    ended = None
    for line in lines:
        if line == "data: [DONE]":
            if ended not in _WHOLE:
                raise AnswerFailed(f"ended an answer before it was whole ({ended})")
            return
        if line.startswith("data: "):
            event = _event(line.removeprefix("data: "))
            ended = next((choice.finish_reason for choice in event.choices if choice.finish_reason), ended)
            yield event
    raise AnswerFailed("broke off in the middle of an answer")


def _event(data: str) -> Event:
    try:
        return Event.model_validate_json(data)  # an event that reports an error has no choices
    except ValidationError:
        raise AnswerFailed("reported an error, or nonsense, in the middle of an answer") from None
