"""vLLM as the second backend: the worker encodes and projects, a vLLM server writes the text from ``prompt_embeds``.

For those who outgrow one GPU or run vLLM already: tensor parallelism, fp8 and its prefix cache are its trade. It has
the same face as :class:`~xraygpt_core.model.engine.engine.Engine`: claims, commits, lanes and cancelling are the same.
The server must listen on loopback or ask for a key: it deserialises what it is sent.
"""

import itertools
import queue
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

import httpx
import torch
from torch import Tensor

from xraygpt_core.errors import BundleError, ConfigurationError, Unavailable
from xraygpt_core.model.bundle import Bundle, check
from xraygpt_core.model.engine.items import ITEM_ERRORS, DeviceLost, RequestFailed, device_is_gone
from xraygpt_core.model.engine.requests import ChatRequest, Chest, Generated, ServerBusy, SummaryRequest
from xraygpt_core.model.engine.text import cut
from xraygpt_core.model.prompt import Prompt, clean_answer
from xraygpt_core.model.summariser import Loaded, load
from xraygpt_core.model.vllm.quarantine import Quarantine, ServerRequest
from xraygpt_core.model.vllm.requests import question
from xraygpt_core.model.vllm.responses import (
    IN_THE_MIDDLE,
    Blame,
    Event,
    Partial,
    ServerFailed,
    check_status,
    events,
    waiting,
)
from xraygpt_core.report.sections import split_report

_PATIENCE_SECONDS = 30.0  # a server that does not answer for so long has its studies handed back
_PAUSE_SECONDS = 0.5  # between two looks at a server that is away or full
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}


@dataclass(frozen=True)
class VllmServer:
    """Where vLLM listens.

    Raises:
        ConfigurationError: it is neither on this machine nor behind a key and TLS.
    """

    url: str
    key: str | None = None

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.hostname not in _LOOPBACK and not (self.key and parts.scheme == "https"):
            raise ConfigurationError(
                "XRAYGPT_VLLM_URL: vLLM deserialises what it is sent; use loopback, or https and XRAYGPT_VLLM_KEY"
            )


class VllmEngine:
    """Answers requests through a vLLM server that serves the LLM of the same bundle.

    Args:
        batch_size: requests on their way at once.
        patience: seconds after which a request that has got no answer is handed back.

    Raises:
        BundleError, ConfigurationError: as loading a bundle, and :class:`Server`.
    """

    def __init__(
        self,
        bundle: Bundle,
        server: VllmServer,
        *,
        device: str = "auto",
        batch_size: int = 32,
        dtype: torch.dtype | None = None,
        patience: float = _PATIENCE_SECONDS,
    ) -> None:
        if bundle.weights is not None:
            raise BundleError(
                f"bundle {bundle.name!r} has {bundle.weights} weights, which only our own engine makes: "
                "serve the bundle it was made from, and start the vLLM server with --quantization"
            )
        check(bundle)
        self._loaded: Loaded = load(bundle, device, dtype)
        self._loaded.llm.model.model.layers.to("meta")  # the server has them
        self._client = _client(server, batch_size, patience)
        self._patience, self._batch_size = patience, batch_size
        self._standing, self._company = Partial(), Quarantine()
        self._queue: queue.PriorityQueue[tuple[int, int, ServerRequest]] = queue.PriorityQueue()
        self._orders = itertools.count()
        self._device, self._door, self._closed = threading.Lock(), threading.Lock(), threading.Event()
        self._lost = False  # the device
        self._pool = ThreadPoolExecutor(batch_size, "vllm")  # each turn of it takes the most urgent request

    def submit(
        self,
        request: SummaryRequest | ChatRequest,
        *,
        rank: int = 1,
        alone: bool = False,
        on_progress: Callable[[], None] | None = None,
        on_text: Callable[[str], None] | None = None,
        cancelled: Callable[[], bool] | None = None,
    ) -> "Future[Generated]":
        """As :meth:`Engine.submit`, of which DeviceLost and Unavailable are about the encoder's device here. The future
        may also fail with ServerBusy (nobody answered, try again later), and with what the encoder raised."""
        future: Future[Generated] = Future()
        future.set_running_or_notify_cancel()
        try:
            row, prompt, chest = self._prompt(request)
        except ITEM_ERRORS as error:
            future.set_exception(error)
            return future
        name = hash(request)
        alone = alone or self._company.suspects(name)
        errand = ServerRequest(name, alone, row, prompt, future, on_progress, on_text, cancelled, chest)
        with self._door:
            if self._closed.is_set():
                future.set_exception(Unavailable("the engine is closed"))
            else:
                self._queue.put((rank, next(self._orders), errand))
                self._pool.submit(self._serve)
        return future

    def _prompt(self, request: SummaryRequest | ChatRequest) -> tuple[Tensor, Prompt, Chest | None]:
        """The whole prompt as embeddings (tokens, hidden) and as words, and what the chest check found."""
        loaded = self._loaded
        image = loaded.encoder.preprocess(request.image_png)
        turns = request.turns if isinstance(request, ChatRequest) else ()
        with self._device:
            if self._lost:
                raise Unavailable("the device is lost")
            try:
                features = loaded.features([image])
                chest = self._judged(features, request)
                tokens = loaded.image_tokens(features)[0]
                prompt = loaded.prompt(request.question or loaded.bundle.question, turns, len(tokens))
                return loaded.row(prompt, tokens), prompt, chest
            except ITEM_ERRORS as error:
                if not device_is_gone(error):
                    raise
                self._lost = True
                raise DeviceLost(f"{type(error).__name__} in the encoder") from error

    def _judged(self, features: Tensor, request: SummaryRequest | ChatRequest) -> Chest | None:
        check = self._loaded.chest
        if check is None or isinstance(request, ChatRequest):
            return None
        return check.judge(float(check.scores(features)[0]), refuse=request.only_chests)

    def close(self) -> None:
        """Finish what runs, fail what waits."""
        with self._door:  # whoever is in the queue now is served or told; nobody enters it afterwards
            self._closed.set()
        while (left := self._next()) is not None:
            left.future.set_exception(Unavailable("the engine is closed"))
        self._pool.shutdown()
        self._client.close()

    def _next(self) -> ServerRequest | None:
        """The most urgent request; None if closing took it."""
        try:
            return self._queue.get_nowait()[2]
        except queue.Empty:
            return None

    def _serve(self) -> None:
        if (errand := self._next()) is None:
            return
        try:
            with self._company.waiting(errand.alone):
                made = self._answer(errand)
            self._company.answered(errand.request)
            errand.future.set_result(made)
        finally:  # whatever it was, the caller is told; the pool's thread outlives it
            if (error := sys.exception()) is not None:
                errand.future.set_exception(error)

    def _answer(self, errand: ServerRequest) -> Generated:
        """Ask until somebody answers, or patience ends.

        It is counted from when the request came: who queued behind a server that is away has waited for it as well.
        """
        given_up, blame = errand.submitted + self._patience, Blame(self._standing)
        while True:
            errand.check()
            trouble = self._standing.trouble
            if trouble is not None and (time.monotonic() > given_up or self._closed.is_set()):
                if blame.suspected:
                    self._company.handed_back(errand.request)
                raise ServerBusy(f"the vLLM server {trouble}")
            try:
                with self._company.entering(errand.alone) as may:
                    if may and self._has_room():
                        return self._try(errand)
            except (httpx.HTTPError, ServerFailed) as error:
                self._standing.bad(error)
                blame.failed(error)
            if self._closed.wait(_PAUSE_SECONDS) and not may:
                raise ServerBusy("the engine is closed")

    def _try(self, errand: ServerRequest) -> Generated:
        """Ask once. A request that is alone is blamed if a server fails on it that has just shown that it is well."""
        if errand.alone:
            with self._asked(errand.row[:1], 1) as answer:  # the first word of every prompt, and one word about it
                deque(answer, maxlen=0)
            self._standing.good()
        try:
            made = self._ask(errand)
        except IN_THE_MIDDLE as error:
            if not errand.alone:
                raise
            self._standing.bad(error)
            raise RequestFailed("vLLM fails on this request while it is alone, and was well just before") from error
        self._standing.good()
        return made

    def _has_room(self) -> bool:
        """Nobody queues inside the server: its queue knows no lanes."""
        response = self._client.get("/metrics")
        check_status(response)
        room = waiting(response.text) < self._batch_size
        if not room:
            self._standing.full()
        return room

    def _ask(self, errand: ServerRequest) -> Generated:
        bundle, started = self._loaded.bundle, time.monotonic()
        text, tokens = "", 0
        with self._asked(errand.row, bundle.decoding.max_new_tokens) as answer:
            errand.moved()
            for event in answer:
                errand.check()  # leaving the block closes the connection, and the server drops the request
                text += event.text
                tokens = event.usage.completion_tokens if event.usage else tokens
                errand.moved()
                if errand.on_text is not None:
                    errand.on_text(cut(text, bundle.stop)[0])
        return self._generated(errand, cut(text, bundle.stop)[0], tokens, started)

    @contextmanager
    def _asked(self, row: Tensor, most: int) -> Iterator[Iterator[Event]]:
        """What the server says to these embeddings (tokens, hidden), in at most so many tokens."""
        body = question(self._loaded.bundle, row, most)
        with self._client.stream("POST", "/v1/completions", json=body) as response:
            check_status(response)
            yield events(response.iter_lines())

    def _generated(self, errand: ServerRequest, said: str, tokens: int, started: float) -> Generated:
        text = clean_answer(self._loaded.template, said)
        findings, impression = split_report(text)
        return Generated(
            text=text,
            findings=findings,
            impression=impression,
            prompt=errand.prompt.shown,
            template=self._loaded.template.name,
            decoding=self._loaded.decoding,
            seed=self._loaded.bundle.decoding.seed,
            tokens=tokens,
            batch_size=self._batch_size,
            waited_seconds=started - errand.submitted,
            generate_seconds=time.monotonic() - started,
            software={**self._loaded.software, "backend": "vllm"},
            chest=errand.chest,
        )


def _client(server: VllmServer, connections: int, timeout: float) -> httpx.Client:
    """Straight to the server: a proxy of the environment would see the images' embeddings and the key.

    The environment's certificates (SSL_CERT_FILE) stay trusted.
    """
    return httpx.Client(
        base_url=server.url,
        headers={"Authorization": f"Bearer {server.key}"} if server.key else {},
        timeout=httpx.Timeout(timeout),
        transport=httpx.HTTPTransport(limits=httpx.Limits(max_connections=connections)),
        trust_env=False,
    )
