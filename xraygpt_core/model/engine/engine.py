"""The engine: one thread owns the device and serves many callers in batches, the most urgent first."""

import heapq
import itertools
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass, field

import torch
from torch import Tensor

from xraygpt_core.errors import InvalidRequest, Unavailable, XrayGPTError
from xraygpt_core.model.bundle import Bundle, verify
from xraygpt_core.model.engine.requests import ChatRequest, Generated, SummaryRequest
from xraygpt_core.model.prompt import Prompt
from xraygpt_core.model.summariser import Loaded, load
from xraygpt_core.report.sections import split_report

_LINGER_SECONDS = 0.02  # how long the first request of a batch waits for company
_ITEM_ERRORS = (RuntimeError, ValueError, IndexError, KeyError, XrayGPTError)  # what one bad item can raise in a batch


@dataclass(eq=False)
class _Item:
    image: Tensor
    question: str
    turns: tuple[tuple[str, str], ...]
    future: "Future[Generated]"
    on_progress: Callable[[], None] | None
    on_text: Callable[[str], None] | None
    cancelled: Callable[[], bool] | None
    submitted: float = field(default_factory=time.monotonic)
    ended: bool = False  # cancelled while running

    def cancel_asked(self) -> bool:
        return self.cancelled is not None and self.cancelled()


class Engine:
    """Loads one bundle, then answers requests until it is closed.

    Raises:
        BundleError: the bundle is incomplete, changed on disk, or its parts do not fit together.
    """

    def __init__(
        self, bundle: Bundle, *, device: str = "auto", batch_size: int = 16, dtype: torch.dtype | None = None
    ) -> None:
        verify(bundle)
        self._loaded = load(bundle, device, dtype)
        self._batch_size = batch_size
        self._queue: list[tuple[int, int, _Item]] = []
        self._count = itertools.count()
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._serve, name="engine", daemon=True)
        self._thread.start()

    def submit(
        self,
        request: SummaryRequest | ChatRequest,
        *,
        rank: int = 1,
        on_progress: Callable[[], None] | None = None,
        on_text: Callable[[str], None] | None = None,
        cancelled: Callable[[], bool] | None = None,
    ) -> "Future[Generated]":
        """Queue a request; a lower rank is served first. The image is decoded here, in the caller's thread.

        The hooks run in the engine's thread and must be quick: ``on_progress`` at each step, ``on_text`` with the
        text so far, ``cancelled`` at each step. The future fails with InvalidRequest (unreadable image,
        question too long), CancelledError, or Unavailable (engine closed).
        """
        future: Future[Generated] = Future()
        try:
            image = self._loaded.encoder.preprocess(request.image_png)
        except InvalidRequest as error:
            future.set_exception(error)
            return future
        turns = request.turns if isinstance(request, ChatRequest) else ()
        question = request.question or self._loaded.bundle.question
        item = _Item(image, question, turns, future, on_progress, on_text, cancelled)
        with self._changed:
            if self._closed:
                future.set_exception(Unavailable("the engine is closed"))
                return future
            heapq.heappush(self._queue, (rank, next(self._count), item))
            self._changed.notify_all()
        return future

    def close(self) -> None:
        """Finish the batch at hand, fail what waits, end the thread."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join()

    def _serve(self) -> None:
        batch: list[_Item] = []
        try:
            while batch := self._next_batch():
                self._run(batch)
                batch = []
        finally:  # closed, or an error nobody foresaw: no caller may wait for ever
            with self._changed:
                self._closed = True
                waiting, self._queue = self._queue, []
            for item in [*batch, *(item for _, _, item in waiting)]:
                if not item.future.done():
                    item.future.set_exception(Unavailable("the engine is closed"))

    def _next_batch(self) -> list[_Item]:
        """The most urgent requests, up to the batch size; empty when the engine is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._queue or self._closed)
            self._changed.wait_for(lambda: len(self._queue) >= self._batch_size or self._closed, _LINGER_SECONDS)
            if self._closed:
                return []
            return [heapq.heappop(self._queue)[2] for _ in range(min(self._batch_size, len(self._queue)))]

    def _run(self, batch: Sequence[_Item]) -> None:
        """Answer a batch. If it fails, its halves run alone, so that a bad item fails alone."""
        live = [item for item in batch if not _drop_if_cancelled(item)]
        if not live:
            return
        try:
            results = self._answer(live)
        except _ITEM_ERRORS as error:
            if len(live) == 1:
                live[0].future.set_exception(error)
                return
            middle = len(live) // 2
            self._run(live[:middle])
            self._run(live[middle:])
            return
        for item, result in zip(live, results, strict=True):
            if item.ended:
                item.future.set_exception(CancelledError())
            else:
                item.future.set_result(result)

    def _answer(self, batch: Sequence[_Item]) -> list[Generated]:
        loaded, started = self._loaded, time.monotonic()
        _report_progress(batch)
        tokens = loaded.image_tokens(loaded.features([item.image for item in batch]))
        prompts = [
            loaded.prompt(item.question, item.turns, len(image)) for item, image in zip(batch, tokens, strict=True)
        ]
        rows = [loaded.row(prompt, image) for prompt, image in zip(prompts, tokens, strict=True)]
        _report_progress(batch)
        said = loaded.generate(rows, lambda index, text: _step(batch[index], text))
        seconds = time.monotonic() - started
        return [
            _generated(loaded, prompt, row.text, row.tokens, len(batch), started - item.submitted, seconds)
            for item, prompt, row in zip(batch, prompts, said, strict=True)
        ]


def _drop_if_cancelled(item: _Item) -> bool:
    if not item.cancel_asked():
        return False
    item.future.set_exception(CancelledError())
    return True


def _report_progress(batch: Sequence[_Item]) -> None:
    for item in batch:
        if item.on_progress is not None:
            item.on_progress()


def _step(item: _Item, text: str) -> bool:
    """One more token of one row; True ends the row."""
    _report_progress([item])
    if item.on_text is not None:
        item.on_text(text)
    item.ended = item.cancel_asked()
    return item.ended


def _generated(
    loaded: Loaded, prompt: Prompt, text: str, tokens: int, batch_size: int, waited: float, seconds: float
) -> Generated:
    findings, impression = split_report(text)
    return Generated(
        text=text,
        findings=findings,
        impression=impression,
        prompt=prompt.shown,
        template=loaded.template.name,
        decoding=loaded.decoding,
        seed=loaded.bundle.decoding.seed,
        tokens=tokens,
        batch_size=batch_size,
        waited_seconds=waited,
        generate_seconds=seconds,
        software=loaded.software,
    )
