"""What a chat server answers, and whose fault a refusal is."""

import re

import httpx
from pydantic import BaseModel

from xraygpt_core.errors import ConfigurationError
from xraygpt_core.model.backend import RequestFailed
from xraygpt_core.model.remote.address import retry_after
from xraygpt_core.model.remote.health import BROKE, REFUSALS, AnswerFailed, ServerFailed
from xraygpt_core.model.remote.stream import Choice, StreamEvent, beginning
from xraygpt_core.model.server.bundle import ChatServer

_NO_ROOM = {429, 503}
_TOO_LONG = re.compile(
    rb"context[ _]?(?:length|size|window)|maximum[ _](?:model|context|input)|max_model_len|too many tokens"
    rb"|tokens? .{0,60}(?:must be|exceed)|exceeds? .{0,60}tokens",
    re.IGNORECASE,
)


class ContextTooLong(RequestFailed):
    """What the model is asked does not fit into its context."""


class _Delta(BaseModel):
    content: str | None = None
    reasoning: str | None = None
    reasoning_content: str | None = None  # the older name of the same


class _Choice(Choice):
    delta: _Delta


class ChatEvent(StreamEvent[_Choice]):
    """One event of a streamed answer, and the model that it comes from."""

    model: str | None = None
    system_fingerprint: str | None = None

    @property
    def text(self) -> str:
        """What it adds to the answer."""
        return "".join(choice.delta.content or "" for choice in self.choices)

    @property
    def thought(self) -> str:
        """What it adds to the thinking that the server keeps apart."""
        return "".join(choice.delta.reasoning_content or choice.delta.reasoning or "" for choice in self.choices)

    @property
    def says(self) -> bool:
        """Does it add to the answer or to the thinking?"""
        return bool(self.text or self.thought)


def check_answer(response: httpx.Response, server: ChatServer) -> None:
    """Go on only with an answer that is one. What the server says of a refusal is read and never repeated.

    Raises:
        RequestFailed: it refuses the body it was sent; ContextTooLong: because that is too long.
        ConfigurationError: it refuses the key, or has no such model.
        ServerFailed: it answers anything else but success.
    """
    status = response.status_code
    if response.is_success:
        return
    check_key(response, server)
    if status == httpx.codes.NOT_FOUND:
        raise ConfigurationError(
            f"the model server at {server.url} answers 404: its bundle's url must end where /chat/completions begins, "
            f"and the server must have the model {server.model!r}"
        )
    if status in REFUSALS:
        if _TOO_LONG.search(beginning(response)):
            raise ContextTooLong(f"the request does not fit into the context of {server.model!r} ({status})")
        raise RequestFailed(f"the model server refuses the request ({status})")
    failed = AnswerFailed if status == BROKE else ServerFailed
    wait = retry_after(response.headers.get("Retry-After")) if status in _NO_ROOM else None
    raise failed(f"answers {status} to {response.request.url.path}", wait or 0.0)


def check_key(response: httpx.Response, server: ChatServer) -> None:
    """Raises ConfigurationError: the server refuses the key, or wants one."""
    if response.status_code in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
        held = f"{server.api_key_env} must hold its key" if server.api_key_env else "its bundle names no api_key_env"
        raise ConfigurationError(
            f"the model server at {server.url} refuses us ({response.status_code}): {held}, and a proxy before it must "
            "let us pass"
        )
