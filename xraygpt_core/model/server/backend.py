"""A chat server that takes images as the third backend: the worker sends films and questions, the server writes.

It is for models that our engine cannot run: MedGemma, CheXOne and whatever else vLLM, SGLang, TGI or llama.cpp serve.
Claims, commits, lanes, cancelling and streaming are the same as with our engine. Films leave the worker here, so the
server listens on loopback, or behind https and a key.
"""

import logging
import platform
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from importlib.metadata import version
from threading import Lock
from typing import Any

import httpx

from xraygpt_core.errors import ConfigurationError
from xraygpt_core.model.backend import Generated, GenerationRequest, RequestFailed
from xraygpt_core.model.remote.address import ServerAddress
from xraygpt_core.model.remote.engine import RemoteEngine, RemoteRequest
from xraygpt_core.model.remote.health import AnswerFailed, ServerFailed
from xraygpt_core.model.remote.stream import CUT, events, lines, read
from xraygpt_core.model.server.answer import Answer, answer_of, answer_so_far
from xraygpt_core.model.server.bundle import ChatServer, ServerBundle
from xraygpt_core.model.server.conversation import Conversation, chat_body, conversation, request_digest
from xraygpt_core.model.server.identity import ANSWERS_AS, FINGERPRINT, Identity, model_entry, root_of, software
from xraygpt_core.model.server.responses import ChatEvent, ContextTooLong, check_answer
from xraygpt_core.model.server.thinking import THINKING
from xraygpt_core.model.server.trouble import private_words, what_went_wrong
from xraygpt_core.report.sections import split_report

log = logging.getLogger(__name__)

_GOOD_MESSAGE = "Is this a test?"  # every chat model answers it
_LETTERS = 64  # a token; a text that is longer than all its tokens together is none that we asked for


@dataclass(frozen=True, repr=False)
class FilmServer(ServerAddress):
    """Where films are sent.

    Raises:
        ConfigurationError: it is neither on this machine nor behind a key and TLS.
    """

    def __post_init__(self) -> None:
        if not self.is_guarded:
            raise ConfigurationError(
                f"films leave this machine for the model server at {self.url}: use one on loopback, or https and a key "
                "([server] api_key_env of its bundle names the variable)"
            )


def key_of(server: ChatServer, environ: Mapping[str, str]) -> str | None:
    """The key that the bundle's variable holds; None if it names none.

    Raises:
        ConfigurationError: the variable is not set.
    """
    if server.api_key_env is None:
        return None
    if not environ.get(server.api_key_env):
        raise ConfigurationError(f"{server.api_key_env} is not set: it must hold the key of the server at {server.url}")
    return environ[server.api_key_env]


@dataclass(eq=False, kw_only=True)
class ChatRequest(RemoteRequest):
    """A request with its conversation."""

    said: Conversation


@dataclass
class _Writing:
    """An answer while it comes."""

    text: str = ""
    thought: str = ""
    pieces: int = 0
    tokens: int | None = None
    ended: str | None = None

    def add(self, event: ChatEvent) -> None:
        self.text += event.text
        self.thought += event.thought
        self.pieces += event.says
        self.tokens = event.usage.completion_tokens if event.usage else self.tokens
        self.ended = event.ended or self.ended

    def answer(self, server: ChatServer) -> Answer:
        return answer_of(self.text, self.thought, server, cut=self.ended == CUT)


class ServerEngine(RemoteEngine[ChatRequest]):
    """Answers requests through the server that a bundle names.

    Args:
        key: the server's.
        batch_size: requests at the server at once.

    Attributes:
        identity: what the server says about its model.

    Raises:
        ConfigurationError: the server answers, and refuses the key, or has no such model, or another than the bundle
            was made with. If it does not answer, work waits for it.
    """

    def __init__(self, bundle: ServerBundle, key: str | None = None, *, batch_size: int = 32) -> None:
        server = bundle.server
        super().__init__(
            "the model server", FilmServer(server.url, key), batch_size=batch_size, patience=server.timeout
        )
        self._bundle, self._counts_queue = bundle, True
        self._refusal: ConfigurationError | None = None
        self._software: dict[str, str] | None = None
        self._thinks_first: bool | None = None  # whether its template begins the thinking; unknown until an answer ends
        self._learning = Lock()
        self.identity = Identity(server)
        try:
            self._look()
        except (httpx.HTTPError, ServerFailed) as error:
            self._health.failed(error)
        except ConfigurationError:
            self.close()
            raise

    def _accept(self, request: GenerationRequest, future: "Future[Generated]") -> ChatRequest:
        key = hash(request)
        alone = request.alone or self._quarantine.is_suspect(key)
        said = conversation(self._bundle, request)
        return ChatRequest(request=request, future=future, key=key, alone=alone, said=said)

    def _look(self) -> None:
        """What the server is now: before it gets the first request, or the first after trouble, and after an answer."""
        self.identity.check(model_entry(self._client, self._bundle.server))
        self._software = software(self._client, self._bundle.server)

    def _has_room(self) -> bool:
        if self._refusal is not None:
            raise self._refusal
        if self._software is None or self._health.trouble is not None:
            with self._refusing():
                self._look()
        if not self._counts_queue:
            return True
        status, metrics = read(self._client, f"{root_of(self._bundle.server.url)}/metrics", lambda _: None)
        if httpx.codes.is_server_error(status) and status != httpx.codes.NOT_IMPLEMENTED:
            raise ServerFailed(f"answers {status} to /metrics")
        self._counts_queue = httpx.codes.is_success(status)
        return not self._counts_queue or self._queue_has_room(metrics)

    def _prove_well(self, _: ChatRequest) -> None:
        body = chat_body(self._bundle, [{"role": "user", "content": _GOOD_MESSAGE}], 1)
        try:
            with self._stream(body) as answer:
                deque(answer, maxlen=0)
        except RequestFailed as error:
            raise ServerFailed("refuses what it is known to answer") from error

    def _generate(self, accepted: ChatRequest) -> Generated:
        started, turns, said = time.monotonic(), len(accepted.request.turns), accepted.said
        while True:
            body = chat_body(self._bundle, said.messages, self._bundle.decoding.max_new_tokens)
            try:
                with self._refusing():
                    written = self._write(accepted, body)
                    self._look()  # it may be another by now
            except ContextTooLong:
                if not turns:
                    raise
                turns //= 2
                said = conversation(self._bundle, accepted.request, latest=turns)
                continue
            answer = written.answer(self._bundle.server)
            self._learn(answer.began_before, cut=written.ended == CUT)
            return self._generated(accepted, said, body, written, answer, started)

    def _learn(self, began_before: bool, *, cut: bool) -> None:
        """What an answer shows of the template. Where one was cut, it may be the thinking that was."""
        with self._learning:
            if began_before:
                self._thinks_first = True
            elif self._thinks_first is None and not cut:
                self._thinks_first = False

    def _write(self, accepted: ChatRequest, body: dict[str, Any]) -> _Writing:
        """What the server writes to this body."""
        request, written = accepted.request, _Writing()
        most = _LETTERS * (self._bundle.decoding.max_new_tokens + 1)
        with self._stream(body, accepted.check_cancelled) as answer:
            request.on_progress()
            for event in answer:
                self.identity.check({FINGERPRINT: event.system_fingerprint or None, ANSWERS_AS: event.model or None})
                written.add(event)
                if len(written.text) + len(written.thought) > most:
                    raise AnswerFailed("wrote more than it was asked for")
                request.on_progress()
                if request.on_text is not None and event.text:
                    waits = self._thinks_first is not False
                    request.on_text(answer_so_far(written.text, self._bundle.server, waits=waits))
        return written

    @contextmanager
    def _stream(self, body: dict[str, Any], look: Callable[[], object] = lambda: None) -> Iterator[Iterator[ChatEvent]]:
        """The events of an answer. What ``look`` raises closes the connection, and the server drops the request."""
        url = f"{self._bundle.server.url.rstrip('/')}/chat/completions"
        with self._client.stream("POST", url, json=body) as response:
            check_answer(response, self._bundle.server)
            explain = partial(what_went_wrong, response, private_words(self._bundle, body["messages"]))
            yield events(lines(response), ChatEvent, quiet_seconds=self._patience, look=look, explain=explain)

    @contextmanager
    def _refusing(self) -> Iterator[None]:
        """A server that is not the one meant gets no further request from this process, which ends by it."""
        try:
            yield
        except ConfigurationError as error:
            if self._refusal is None:
                self._refusal = error
                log.critical("the model server cannot be used", extra={"reason": str(error)})
            raise

    def _generated(
        self,
        accepted: ChatRequest,
        said: Conversation,
        body: dict[str, Any],
        written: _Writing,
        answer: Answer,
        started: float,
    ) -> Generated:
        bundle = self._bundle
        findings, impression = split_report(answer.text)
        return Generated(
            text=answer.text,
            findings=findings,
            impression=impression,
            prompt=said.shown,
            template="chat",
            decoding=asdict(bundle.decoding) | {"stop": list(bundle.stop)},
            seed=body.get("seed"),
            tokens=written.pieces if written.tokens is None else written.tokens,
            batch_size=self._quarantine.present,
            waited_seconds=started - accepted.submitted,
            generate_seconds=time.monotonic() - started,
            software=self._provenance(said, body) | ({THINKING: " ".join(answer.marks)} if answer.marks else {}),
            reasoning=answer.reasoning,
            clinical=said.clinical,
            cut_off=written.ended == CUT,
        )

    def _provenance(self, said: Conversation, body: dict[str, Any]) -> dict[str, str]:
        server = self._bundle.server
        return {
            "xraygpt": version("xraygpt"),
            "python": platform.python_version(),
            "device": "server",
            "backend": "server",
            "server": server.url,
            "model": server.model,
            **self.identity.known,
            **(self._software or {}),
            "request_sha256": request_digest(body, said.films),
            "films_sha256": " ".join(digest for _, digest in said.films),
        }
