"""Answers of a model server: server-sent events of the OpenAI protocol, and how long its queue is."""

import re
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import Annotated, Any, Generic, TypeVar

import httpx
from pydantic import BaseModel, BeforeValidator, ValidationError

from xraygpt_core.model.remote.health import AnswerFailed, ServerFailed

# Requests that wait inside vLLM (not …_waiting_by_reason), SGLang, TGI and llama.cpp, as each calls them in /metrics.
_WAITING = re.compile(
    r"^(?:vllm:num_requests_waiting|sglang:num_queue_reqs|tgi_queue_size|llamacpp:requests_deferred)(?:\{.*\})? (\S+)",
    re.MULTILINE,
)
CUT = "length"  # no room for more
# TGI's two words for a stop word and an end token too. An answer that ends otherwise (abort, error …) is not all of it.
_WHOLE = {"stop", "stop_sequence", "eos_token", CUT}
_LONGEST_LINE, _LONGEST_BODY = 2**20, 2**22  # bytes
_LONGEST_SECONDS = 60.0  # for a body that is no answer
_MOST_TOKENS = 2**31 - 1  # as the ledger's column holds


def _count(said: Any) -> int | None:
    is_count = isinstance(said, int) and not isinstance(said, bool) and 0 <= said <= _MOST_TOKENS
    return said if is_count else None


class Usage(BaseModel):
    """What an answer took; None where the server says nonsense."""

    completion_tokens: Annotated[int | None, BeforeValidator(_count)] = None


Used = Annotated[Usage | None, BeforeValidator(lambda said: said if isinstance(said, dict) else None)]


class Choice(BaseModel):
    """A piece of an answer; the last one says why it is the last."""

    finish_reason: str | None = None


C = TypeVar("C", bound=Choice)


class StreamEvent(BaseModel, Generic[C], ABC):
    """One event of a streamed answer; the usage comes with the last one."""

    choices: list[C]
    usage: Used = None

    @property
    def ended(self) -> str | None:
        """Why the answer ends here; None if it goes on."""
        return next((choice.finish_reason for choice in self.choices if choice.finish_reason), None)

    @property
    @abstractmethod
    def says(self) -> bool:
        """Does it add to the text, or to the thinking?"""


E = TypeVar("E", bound=StreamEvent[Any])


def waiting(metrics: str) -> float:
    """How many requests wait inside the server, by the text of its /metrics; 0 if it does not say.

    Raises:
        ServerFailed: that is no number.
    """
    try:
        return sum(float(number) for number in _WAITING.findall(metrics))
    except ValueError:
        raise ServerFailed("says no number of waiting requests in /metrics") from None


def lines(response: httpx.Response) -> Iterator[str]:
    """The lines of a body as they come; an empty one for each part of it that ends none.

    Raises:
        AnswerFailed: one has no end.
    """
    rest = b""
    for part in response.iter_bytes():
        *whole, rest = (rest + part).split(b"\n")
        for line in whole:
            yield line.rstrip(b"\r").decode(errors="replace")
        if len(rest) > _LONGEST_LINE:
            raise AnswerFailed("sends a line without an end")
        if not whole:
            yield ""
    yield rest.decode(errors="replace")


def _unexplained(_said: str, _is_event: bool) -> None:
    return None


def events(
    said: Iterator[str],
    kind: type[E],
    *,
    quiet_seconds: float = float("inf"),
    look: Callable[[], object] = lambda: None,
    explain: Callable[[str, bool], ServerFailed | None] = _unexplained,
) -> Iterator[E]:
    """The server-sent events of an answer, until its end.

    Args:
        look: called with each line, empty ones included; what it raises ends the answer.
        explain: what went wrong by an event that is none, or by a body without events; None: it does not know either.

    Raises:
        AnswerFailed: an error, nonsense, or an end before the end: what came is not the whole answer.
        ServerFailed: it keeps the connection alive and adds nothing to its answer for so many seconds.
    """
    ended, last, begun, other = None, time.monotonic(), False, ""
    for line in said:
        look()
        field, _, data = line.partition(":")
        if field == "data":
            if data.strip() == "[DONE]":
                if ended not in _WHOLE:
                    raise AnswerFailed(f"ended an answer before it was whole ({_word(ended)})")
                return
            event = _event(kind, data, explain)
            begun, ended = True, event.ended or ended
            yield event
            last = time.monotonic() if event.says else last
        elif not begun and len(other) < _LONGEST_LINE:
            other += line
        if time.monotonic() - last > quiet_seconds:
            raise ServerFailed("keeps the connection and says nothing")
    raise (None if begun else explain(other, False)) or AnswerFailed("broke off in the middle of an answer")


def _word(ended: str | None) -> str:
    """A foreign word, as far as it may stand in an error of ours."""
    return ended if ended is not None and re.fullmatch(r"[a-z_]{1,30}", ended) else "no reason"


def _event(kind: type[E], data: str, explain: Callable[[str, bool], ServerFailed | None]) -> E:
    try:
        return kind.model_validate_json(data)
    except ValidationError:
        nonsense = AnswerFailed("reported an error, or nonsense, in the middle of an answer")
        raise explain(data, True) or nonsense from None


def beginning(response: httpx.Response) -> bytes:
    """The first of a body that is still to be read: what says why a request was refused."""
    content, give_up = b"", time.monotonic() + _LONGEST_SECONDS
    for part in response.iter_bytes():
        content += part
        if len(content) >= _LONGEST_LINE or time.monotonic() > give_up:
            break
    return content[:_LONGEST_LINE]


def read(client: httpx.Client, url: str, look: Callable[[httpx.Response], object]) -> tuple[int, bytes]:
    """Status and body of a GET; ``look`` sees the answer before its body is read.

    Raises:
        ServerFailed: the body does not end.
    """
    with client.stream("GET", url) as response:
        look(response)
        content, give_up = b"", time.monotonic() + _LONGEST_SECONDS
        for part in response.iter_bytes():
            content += part
            if time.monotonic() > give_up:
                raise ServerFailed(f"does not come to an end with {response.request.url.path}")
            if len(content) > _LONGEST_BODY:
                raise ServerFailed(f"sends too much for {response.request.url.path}")
        return response.status_code, content
