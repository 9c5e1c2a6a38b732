"""Our own backend: one thread owns the device and serves many callers at once, each at its own point of its own text.

That thread loads the weights as well. On a CPU each thread that computes gets helpers of its own from OpenMP, and as
soon as there are more of them than cores they stop waiting actively: a step took twice as long.
"""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, Future
from dataclasses import replace
from itertools import takewhile

import torch

from xraygpt_core.errors import InvalidRequest, Unavailable
from xraygpt_core.metrics import ENGINE_KV_TOKENS
from xraygpt_core.model.backend import REQUEST_ERRORS, Generated, GenerationRequest, pending_future
from xraygpt_core.model.bundle import Bundle, check
from xraygpt_core.model.engine.loop import Loop
from xraygpt_core.model.engine.rows import EngineRequest
from xraygpt_core.model.engine.runner import Runner, Setting
from xraygpt_core.model.engine.scheduler import Ticket
from xraygpt_core.model.engine.text import Endings
from xraygpt_core.model.llm import pick_device
from xraygpt_core.model.prompt import render, tokenise
from xraygpt_core.model.summariser import Loaded, load

# So many tokens of prompts are read between two steps, and so many images encoded; no running row waits longer for its
# next token. With a small LLM that is a second of a CPU; with one of seven billion weights some fifty milliseconds of a
# GPU, which multiplies no faster in larger pieces.
PROMPT_TOKENS = {"cpu": 512, "cuda": 2048}
IMAGES = {"cpu": 8, "cuda": 16}
LOOKAHEAD = {"cpu": 0, "cuda": 1}  # steps that are launched before the last one was looked at


class Engine:
    """Loads one bundle, then answers requests until it is closed.

    Args:
        batch_size: rows for summaries, if memory has room for so many.
        memory: bytes for keys and values; half of what is free, or nine tenths on a GPU, if not given.
        graphs: replay decode steps as CUDA graphs.
        invariant: the same text whatever else is in the batch, in every precision; slower.

    Raises:
        BundleError: the bundle is incomplete, changed on disk, or its parts do not fit together or into memory.
        ConfigurationError: CUDA graphs without a GPU.
    """

    def __init__(
        self,
        bundle: Bundle,
        *,
        device: str = "auto",
        batch_size: int = 16,
        dtype: torch.dtype | None = None,
        memory: int | None = None,
        graphs: bool = False,
        invariant: bool = False,
        lookahead: int | None = None,
    ) -> None:
        check(bundle)
        self._tokenising = threading.Lock()  # the tokenizer is not safe for several threads

        def take() -> Loop:
            where = use_device(device)
            ahead = LOOKAHEAD[where.type] if lookahead is None else lookahead
            self._loaded = load(bundle, device, dtype)
            llm = self._loaded.llm
            setting = replace(_setting(self._loaded), invariant=invariant, ahead=ahead)
            self._runner = Runner(llm.model, self._loaded, setting, batch_size, memory=memory, graphs=graphs)
            self._endings = Endings(llm.tokenizer, llm.ends, bundle.stop)
            return Loop(
                self._runner,
                self._endings,
                self._answer,
                prompt_tokens=PROMPT_TOKENS[where.type],
                lookahead=ahead,
                images=IMAGES[where.type],
            )

        self._loop = own(take)
        ENGINE_KV_TOKENS.labels("room").set(sum(one.tokens for one in self._runner.classes))

    def submit(self, request: GenerationRequest) -> "Future[Generated]":
        """See :meth:`Backend.submit`."""
        future = pending_future()
        try:
            accepted = self._accept(request, future)
        except InvalidRequest as error:
            future.set_exception(error)
            return future
        prompt_tokens = accepted.cached - self._runner.llama.prefix_tokens
        tokens = accepted.cached + accepted.longest
        images = self._loaded.encoded(1 + len(accepted.further))
        self._loop.add(Ticket(accepted, request.rank, prompt_tokens, tokens, request.alone, images))
        return future

    def close(self) -> None:
        """Finish what runs, fail what waits, end the thread."""
        self._loop.close()

    def _accept(self, request: GenerationRequest, future: "Future[Generated]") -> EngineRequest:
        image, *further = self._loaded.pictures(request)
        with self._tokenising:
            prompt = self._loaded.prompt(request, self._runner.context)
            before, *between, after = tokenise(prompt, self._loaded.llm.tokenizer)
        return EngineRequest(
            request=request,
            prompt=prompt,
            future=future,
            image=image,
            before=before[len(self._runner.setting.before) :],
            further=list(zip(between, further, strict=True)),
            after=after,
            cached=self._loaded.length([before, *between, after]),
            longest=self._loaded.bundle.decoding.max_new_tokens,
        )

    def _answer(self, done: EngineRequest, batch_size: int) -> Generated:
        text, run = self._endings.text(done.run.ids), done.run
        cut_off = not self._endings.reached(run.ids)
        return self._loaded.generated(
            done, text, tokens=len(run.ids), batch_size=batch_size, started=run.started, cut_off=cut_off
        )


def own(take: Callable[[], Loop]) -> Loop:
    """Make a loop and serve it in a thread that touches the device alone.

    Raises:
        What making it raises; Unavailable after an unforeseen error, which is on stderr.
    """
    taken: Future[Loop] = Future()

    def live() -> None:
        try:
            loop = take()
        except (*REQUEST_ERRORS, OSError, TypeError) as error:
            taken.set_exception(error)
        else:
            taken.set_result(loop)
            loop.serve()
        finally:
            taken.cancel()  # without effect on what is there already

    threading.Thread(target=live, name="engine", daemon=True).start()
    try:
        return taken.result()
    except CancelledError:
        raise Unavailable("the engine's thread ended while it was loading") from None


def use_device(name: str) -> torch.device:
    """The device of this thread from now on: CUDA's streams, events and graphs are those of a thread's current one."""
    device = pick_device(name)
    if device.type == "cuda" and device.index is not None:
        torch.cuda.set_device(device)
    return device


def _setting(loaded: Loaded) -> Setting:
    decoding, tokenizer = loaded.bundle.decoding, loaded.llm.tokenizer
    prompts = [render(loaded.template, loaded.bundle.question, images=images) for images in loaded.image_sets]
    texts = [tokenise(prompt, tokenizer) for prompt in prompts]
    *fewer, summary = sorted({loaded.length(ids) + loaded.clinical_room + decoding.max_new_tokens for ids in texts})
    return Setting(
        _shared([ids[0] for ids in texts]),
        summary,
        loaded.llm.context,
        decoding,
        weights=loaded.bundle.weights,
        chest=loaded.chest,
        fewer=tuple(fewer),
    )


def _shared(beginnings: Sequence[list[int]]) -> list[int]:
    """What all of them begin with."""
    return [one for one, *_ in takewhile(lambda ids: len(set(ids)) == 1, zip(*beginnings, strict=False))]
