"""vLLM as the second backend: the worker encodes and projects, a vLLM server writes the text from ``prompt_embeds``.

It is for sites that need more than one GPU or run vLLM already: it brings tensor parallelism, fp8 and a prefix cache.
Claims, commits, lanes and cancelling are the same as with our engine. The server must listen on loopback or ask for a
key, because it deserialises what it is sent.
"""

import itertools
import queue
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

import httpx
import torch
from torch import Tensor

from xraygpt_core.errors import BundleError, ConfigurationError, Unavailable
from xraygpt_core.model.backend import (
    REQUEST_ERRORS,
    DeviceLost,
    Generated,
    GenerationRequest,
    RequestFailed,
    ServerBusy,
    pending_future,
)
from xraygpt_core.model.bundle import Bundle, check
from xraygpt_core.model.faults import describe, device_is_gone
from xraygpt_core.model.prompt import cut_at_stop
from xraygpt_core.model.summariser import Loaded, load
from xraygpt_core.model.vllm.quarantine import Quarantine
from xraygpt_core.model.vllm.requests import ServerRequest, completion_body
from xraygpt_core.model.vllm.responses import (
    IN_THE_MIDDLE,
    Event,
    RequestFailures,
    ServerFailed,
    ServerHealth,
    check_status,
    events,
    waiting,
)

_PATIENCE_SECONDS = 30.0  # a server's silence after which its studies are handed back
_PAUSE_SECONDS = 0.5  # between two tries of a server that is away or full
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
        batch_size: requests at the server at once.
        patience: seconds after which a request without an answer is handed back.

    Raises:
        BundleError, ConfigurationError: as loading a bundle, and :class:`VllmServer`.
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
        self._health, self._quarantine = ServerHealth(), Quarantine()
        self._queue: queue.PriorityQueue[tuple[int, int, ServerRequest]] = queue.PriorityQueue()
        self._orders = itertools.count()
        self._device, self._queueing, self._closed = threading.Lock(), threading.Lock(), threading.Event()
        self._device_lost = False
        self._pool = ThreadPoolExecutor(batch_size, "vllm")  # each task takes the most urgent request

    def submit(self, request: GenerationRequest) -> "Future[Generated]":
        """See :meth:`Backend.submit`. DeviceLost is about the encoder's device; what else the encoder raises fails the
        future as it is.
        """
        future = pending_future()
        try:
            accepted = self._accept(request, future)
        except REQUEST_ERRORS as error:
            future.set_exception(error)
            return future
        with self._queueing:
            if self._closed.is_set():
                future.set_exception(Unavailable("the engine is closed"))
            else:
                self._queue.put((request.rank, next(self._orders), accepted))
                self._pool.submit(self._serve)
        return future

    def close(self) -> None:
        """See :meth:`Backend.close`."""
        with self._queueing:  # what is in the queue now is served or failed; nothing enters it afterwards
            self._closed.set()
        while (left := self._next()) is not None:
            left.future.set_exception(Unavailable("the engine is closed"))
        self._pool.shutdown()
        self._client.close()

    def _accept(self, request: GenerationRequest, future: "Future[Generated]") -> ServerRequest:
        """Encode the image, ask the chest check, and write the whole prompt as embeddings."""
        loaded, key = self._loaded, hash(request)
        image = loaded.encoder.preprocess(request.image_png)
        with self._on_device():
            features = loaded.features([image])
            chest = None
            if loaded.chest is not None:
                chest = loaded.chest.judge(float(loaded.chest.scores(features)[0]), refuse=request.only_chests)
            tokens = loaded.image_tokens(features)[0]
            prompt = loaded.prompt(request)
            embeddings = loaded.row(prompt, tokens)
        return ServerRequest(
            request=request,
            prompt=prompt,
            future=future,
            chest=chest,
            key=key,
            alone=request.alone or self._quarantine.is_suspect(key),
            embeddings=embeddings,
        )

    @contextmanager
    def _on_device(self) -> Iterator[None]:
        """One caller's thread at a time, until the device is lost."""
        with self._device:
            if self._device_lost:
                raise Unavailable("the device is lost")
            try:
                yield
            except REQUEST_ERRORS as error:
                if not device_is_gone(error):
                    raise
                self._device_lost = True
                raise DeviceLost(describe(error, "the encoder")) from error

    def _next(self) -> ServerRequest | None:
        """The most urgent request; None if closing took it."""
        try:
            return self._queue.get_nowait()[2]
        except queue.Empty:
            return None

    def _serve(self) -> None:
        if (accepted := self._next()) is None:
            return
        try:
            with self._quarantine.reserved(accepted.alone):
                made = self._answer(accepted)
            self._quarantine.clear(accepted.key)
            accepted.future.set_result(made)
        finally:  # whatever the error is, the caller gets it, and the pool's thread goes on
            if (error := sys.exception()) is not None:
                accepted.future.set_exception(error)

    def _answer(self, accepted: ServerRequest) -> Generated:
        """Ask until the server answers, or patience ends.

        Patience is counted from when the request came: a request that queued behind an absent server has waited for it
        as well.
        """
        give_up, failures = accepted.submitted + self._patience, RequestFailures(self._health)
        while True:
            accepted.check_cancelled()
            trouble = self._health.trouble
            if trouble is not None and (time.monotonic() > give_up or self._closed.is_set()):
                if failures.suspected:
                    self._quarantine.broke_down(accepted.key)
                raise ServerBusy(f"the vLLM server {trouble}")
            try:
                with self._quarantine.admission(accepted.alone) as admitted:
                    if admitted and self._has_room():
                        return self._try(accepted)
            except (httpx.HTTPError, ServerFailed) as error:
                self._health.failed(error)
                failures.add(error)
            if self._closed.wait(_PAUSE_SECONDS) and not admitted:
                raise ServerBusy("the engine is closed")

    def _try(self, accepted: ServerRequest) -> Generated:
        """Ask once. A request that is alone has failed if the server breaks down on it right after a good answer."""
        if accepted.alone:
            with self._stream(accepted.embeddings[:1], 1) as answer:  # every prompt's first token, and one more
                deque(answer, maxlen=0)
            self._health.answered()
        try:
            made = self._generate(accepted)
        except IN_THE_MIDDLE as error:
            if not accepted.alone:
                raise
            self._health.failed(error)
            raise RequestFailed("vLLM fails on this request while it is alone, and was well just before") from error
        self._health.answered()
        return made

    def _has_room(self) -> bool:
        """No request queues inside the server: its queue knows no lanes."""
        response = self._client.get("/metrics")
        check_status(response)
        room = waiting(response.text) < self._batch_size
        if not room:
            self._health.full()
        return room

    def _generate(self, accepted: ServerRequest) -> Generated:
        bundle, request, started = self._loaded.bundle, accepted.request, time.monotonic()
        text, tokens = "", 0
        with self._stream(accepted.embeddings, bundle.decoding.max_new_tokens) as answer:
            request.on_progress()
            for event in answer:
                accepted.check_cancelled()  # leaving the block closes the connection, and the server drops the request
                text += event.text
                tokens = event.usage.completion_tokens if event.usage else tokens
                request.on_progress()
                if request.on_text is not None:
                    request.on_text(cut_at_stop(text, bundle.stop)[0])
        text = cut_at_stop(text, bundle.stop)[0]
        return self._loaded.generated(
            accepted, text, tokens=tokens, batch_size=self._batch_size, started=started, backend="vllm"
        )

    @contextmanager
    def _stream(self, embeddings: Tensor, max_tokens: int) -> Iterator[Iterator[Event]]:
        """The events of the text that follows these embeddings (tokens, hidden)."""
        body = completion_body(self._loaded.bundle, embeddings, max_tokens)
        with self._client.stream("POST", "/v1/completions", json=body) as response:
            check_status(response)
            yield events(response.iter_lines())


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
