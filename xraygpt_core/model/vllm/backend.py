"""vLLM as the second backend: the worker encodes and projects, a vLLM server writes the text from ``prompt_embeds``.

It is for sites that need more than one GPU or run vLLM already: it brings tensor parallelism, fp8 and a prefix cache.
Claims, commits, lanes and cancelling are the same as with our engine. The server must listen on loopback or ask for a
key, because it deserialises what it is sent.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from xraygpt_core.errors import BundleError, ConfigurationError, Unavailable
from xraygpt_core.model.backend import REQUEST_ERRORS, DeviceLost, Generated, GenerationRequest
from xraygpt_core.model.bundle import Bundle, check
from xraygpt_core.model.faults import describe, device_is_gone
from xraygpt_core.model.prompt import cut_at_stop
from xraygpt_core.model.remote.address import ServerAddress
from xraygpt_core.model.remote.engine import PATIENCE_SECONDS, RemoteEngine
from xraygpt_core.model.remote.stream import CUT, events, lines, read
from xraygpt_core.model.summariser import Loaded, load
from xraygpt_core.model.vllm.requests import ServerRequest, completion_body
from xraygpt_core.model.vllm.responses import Event, check_status


@dataclass(frozen=True, repr=False)
class VllmServer(ServerAddress):
    """Where vLLM listens.

    Raises:
        ConfigurationError: it is neither on this machine nor behind a key and TLS.
    """

    def __post_init__(self) -> None:
        if not self.is_guarded:
            raise ConfigurationError(
                "XRAYGPT_VLLM_URL: vLLM deserialises what it is sent; use loopback, or https and XRAYGPT_VLLM_KEY"
            )


class VllmEngine(RemoteEngine[ServerRequest]):
    """Answers requests through a vLLM server that serves the LLM of the same bundle.

    DeviceLost of :meth:`submit` is about the encoder's device; what else the encoder raises fails the future as it is.

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
        patience: float = PATIENCE_SECONDS,
    ) -> None:
        if bundle.weights is not None:
            raise BundleError(
                f"bundle {bundle.name!r} has {bundle.weights} weights, which only our own engine makes: "
                "serve the bundle it was made from, and start the vLLM server with --quantization"
            )
        check(bundle)
        self._loaded: Loaded = load(bundle, device, dtype)
        self._loaded.llm.model.model.layers.to("meta")  # the server has them
        self._device, self._device_lost = threading.Lock(), False
        super().__init__("the vLLM server", server, batch_size=batch_size, patience=patience)

    def _accept(self, request: GenerationRequest, future: "Future[Generated]") -> ServerRequest:
        """Encode the images, ask the chest check, and write the whole prompt as embeddings."""
        loaded, key = self._loaded, hash(request)
        pictures = loaded.pictures(request)
        with self._on_device():
            features = loaded.features(pictures)
            chest = None
            if loaded.chest is not None:
                chest = loaded.chest.judge(float(loaded.chest.scores(features[:1])[0]), refuse=request.only_chests)
            tokens = loaded.image_tokens(features)
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

    def _prove_well(self, accepted: ServerRequest) -> None:
        """Every prompt's first token, and one more."""
        with self._stream(accepted.embeddings[:1], 1) as answer:
            deque(answer, maxlen=0)

    def _has_room(self) -> bool:
        _, metrics = read(self._client, "/metrics", check_status)
        return self._queue_has_room(metrics)

    def _generate(self, accepted: ServerRequest) -> Generated:
        bundle, request, started = self._loaded.bundle, accepted.request, time.monotonic()
        text, pieces, tokens, ended = "", 0, None, None
        longest = bundle.decoding.max_new_tokens
        with self._stream(accepted.embeddings, longest, accepted.check_cancelled) as answer:
            request.on_progress()
            for event in answer:
                text += event.text
                pieces += event.says
                ended = event.ended or ended
                tokens = event.usage.completion_tokens if event.usage else tokens
                request.on_progress()
                if request.on_text is not None:
                    request.on_text(cut_at_stop(text, bundle.stop)[0])
        text, stopped = cut_at_stop(text, bundle.stop)
        return self._loaded.generated(
            accepted,
            text,
            tokens=pieces if tokens is None else tokens,
            batch_size=self._batch_size,
            started=started,
            cut_off=ended == CUT and not stopped,
            backend="vllm",
        )

    @contextmanager
    def _stream(
        self, embeddings: Tensor, max_tokens: int, look: Callable[[], object] = lambda: None
    ) -> Iterator[Iterator[Event]]:
        """The events of the text that follows these embeddings (tokens, hidden).

        What ``look`` raises closes the connection, and the server drops the request.
        """
        body = completion_body(self._loaded.bundle, embeddings, max_tokens)
        with self._client.stream("POST", "/v1/completions", json=body) as response:
            check_status(response)
            yield events(lines(response), Event, quiet_seconds=self._patience, look=look)
