"""A model behind an OpenAI-compatible endpoint (``POST /chat/completions``), asked politely.

Report text leaves this machine here. So a host that is not this machine must be asked for twice, takes HTTPS alone, and
is never followed to another address.
"""

import json
import os
import time
from dataclasses import dataclass
from typing import Any

import httpx

from training_jobs.curation.budget import Budget, tokens_of
from training_jobs.curation.rewriters import Answer, Unanswered
from xraygpt_core.errors import TrainingError
from xraygpt_core.model.remote.address import is_this_machine, retry_after

KEY = "XRAYGPT_CURATE_API_KEY"
_MAX_BODY = 2**20  # bytes of an answer
_TRIES, _BROKEN_TRIES = 6, 2
_FIRST_WAIT, _LONGEST_WAIT = 1.0, 120.0  # seconds
_AGAIN = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})
_THIS_ONE = frozenset({400, 413, 422})  # a report that is too long for it, if it has answered others
_OVERHEAD = 16  # tokens of a request around its texts


@dataclass(frozen=True)
class Endpoint:
    """Where the model is.

    Attributes:
        url: the API's address, with or without ``/chat/completions``.
        max_tokens: of an answer.
        timeout: seconds for one.
    """

    url: str
    model: str
    max_tokens: int = 512
    timeout: float = 60.0

    @property
    def address(self) -> str:
        url = self.url.rstrip("/")
        return url if url.endswith("/chat/completions") else f"{url}/chat/completions"


class EndpointModel:
    """Asks the endpoint; retries what may pass, and says what will not.

    Args:
        key: sent as a bearer token; None sends none.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        budget: Budget,
        key: str | None,
        first_wait: float = _FIRST_WAIT,
    ) -> None:
        self.name = endpoint.model
        self._endpoint, self._budget, self._first_wait = endpoint, budget, first_wait
        self._answered = False
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        here = is_this_machine(endpoint.url)
        self._client = httpx.Client(timeout=endpoint.timeout, headers=headers, trust_env=not here)

    def answer(self, system: str, prompt: str) -> Answer:
        """See :class:`Model`."""
        asked = tokens_of(system) + tokens_of(prompt) + _OVERHEAD
        broken = 0
        for attempt in range(1, _TRIES + 1):
            self._budget.wait(asked + self._endpoint.max_tokens)
            reserved = self._budget.reserve(asked, self._endpoint.max_tokens)
            used: tuple[int, int] | None = None
            try:
                response = self._post(system, prompt)
                if isinstance(response, dict):
                    text, used = _read(response, asked)
                    if text is not None:
                        self._answered = True
                        return Answer(text, *used)
                    broken += 1
                    response = None
            finally:
                self._budget.settle(reserved, used)
            if broken >= _BROKEN_TRIES:
                raise Unanswered("the endpoint's answers are no text")
            if attempt < _TRIES:
                self._wait(attempt, response)
        raise TrainingError(
            f"the endpoint did not answer {_TRIES} times in a row; start the same command again to go on"
        )

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _post(self, system: str, prompt: str) -> dict[str, Any] | float | None:
        """The document it answers; or how long it asks to wait, or None where it does not say.

        Raises:
            TrainingError: it refuses, and would again.
            Unanswered: it refuses this one.
        """
        body = {
            "model": self._endpoint.model,
            "messages": [{"role": "system", "content": system}, {"role": "user", "content": prompt}],
            "max_tokens": self._endpoint.max_tokens,
            "temperature": 0,
        }
        try:
            with self._client.stream("POST", self._endpoint.address, json=body) as response:
                if response.status_code in _AGAIN:
                    return retry_after(response.headers.get("Retry-After"))
                if response.status_code in _THIS_ONE and self._answered:
                    raise Unanswered(_refusal(response.status_code))
                if response.status_code != httpx.codes.OK:
                    raise TrainingError(_refusal(response.status_code))
                return _document(response, time.monotonic() + 2 * self._endpoint.timeout)
        except httpx.InvalidURL as error:
            raise TrainingError(f"the endpoint's address is none: {error}") from error
        except httpx.TransportError:
            return None

    def _wait(self, attempt: int, asked: object) -> None:
        """Before the next attempt, the longer the more often it failed; at least as long as the endpoint asks."""
        seconds = min(self._first_wait * 2 ** (attempt - 1), _LONGEST_WAIT)
        if isinstance(asked, float):
            seconds = max(seconds, min(asked, _LONGEST_WAIT))
            self._budget.hold(seconds)
        self._budget.sleep(seconds)


def _refusal(status: int) -> str:
    hints = {
        401: f"is its key in {KEY}?",
        403: f"is its key in {KEY}?",
        404: "is the address right, and does it have this model?",
        413: "the report is too long for it",
        400: "does it have this model?",
    }
    return f"the endpoint refuses with status {status}: {hints.get(status, 'redirects are not followed')}"


def _document(response: httpx.Response, deadline: float) -> dict[str, Any]:
    """The JSON object of an answer; an empty one where it is none, is too large, or comes too slowly."""
    body = bytearray()
    for part in response.iter_bytes():
        body += part
        if len(body) > _MAX_BODY or time.monotonic() > deadline:
            return {}
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def _read(document: dict[str, Any], asked: int) -> tuple[str | None, tuple[int, int]]:
    """The text, None where there is no whole one, and the tokens it took; estimated where it does not say."""
    try:
        choice = document["choices"][0]
        text = choice["message"]["content"]
    except (KeyError, IndexError, TypeError):
        return None, (asked, 0)
    if not isinstance(text, str) or not text.strip():
        return None, _usage(document, asked, 0)
    used = _usage(document, asked, tokens_of(text))
    return (None if choice.get("finish_reason") == "length" else text), used


def _usage(document: dict[str, Any], tokens_in: int, tokens_out: int) -> tuple[int, int]:
    usage = document.get("usage")
    found = usage if isinstance(usage, dict) else {}
    pair = (found.get("prompt_tokens", tokens_in), found.get("completion_tokens", tokens_out))
    plain = all(type(one) is int and 0 <= one < 10**7 for one in pair)
    return (int(pair[0]), int(pair[1])) if plain else (tokens_in, tokens_out)


def check_endpoint(url: str, *, send_out: bool) -> None:
    """Raises TrainingError where reports would leave this machine unasked or in plain text, or the address is none."""
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise TrainingError(f"--endpoint: {error}") from error
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise TrainingError("--endpoint must be an http:// or https:// address")
    if parsed.userinfo:
        raise TrainingError(f"--endpoint must have no password in it: put the key into {KEY}")
    if is_this_machine(url):
        return
    if not send_out:
        raise TrainingError(
            f"--endpoint: {parsed.host} is another machine, and report texts would be sent to it. If that is allowed, "
            f"say "
            "--send-reports-out; --dry-run says what it would cost"
        )
    if parsed.scheme != "https":
        raise TrainingError("--endpoint: report texts leave this machine by https:// alone")


def key_from_environment() -> str | None:
    """The endpoint's key; never an argument, where every user of the machine could read it."""
    return os.environ.get(KEY) or None
