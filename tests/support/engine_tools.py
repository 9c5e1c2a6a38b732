"""A small random LLaMA, and the real runner and loop around it, without encoder, tokenizer or bundle files."""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from xraygpt_core.model.backend import Generated, GenerationRequest
from xraygpt_core.model.bundle import Decoding
from xraygpt_core.model.engine.arena import SlotClass
from xraygpt_core.model.engine.engine import own
from xraygpt_core.model.engine.loop import Loop
from xraygpt_core.model.engine.rows import EngineRequest
from xraygpt_core.model.engine.runner import Runner, Setting
from xraygpt_core.model.engine.scheduler import Ticket
from xraygpt_core.model.prompt import Prompt

VOCABULARY, HIDDEN, END, PREFIX = 61, 32, 2, [1, 7, 9]
LONGEST = 24


def small_model() -> Any:
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(3)
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=HIDDEN,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=256,
        initializer_range=0.5,
        tie_word_embeddings=False,
    )
    return LlamaForCausalLM(config).eval().requires_grad_(False)


def kv_bytes(runner: Runner) -> int:
    """What its keys and values take, measured."""
    memories = {cache.memory.data_ptr(): cache.memory for cache in runner.caches}
    return sum(memory.numel() * memory.element_size() for memory in memories.values())


class Vectors:
    """Stands where encoder and projector stand: the test's images are embeddings already."""

    def features(self, images: Sequence[torch.Tensor]) -> Sequence[torch.Tensor]:
        return images

    def image_tokens(self, images: Sequence[torch.Tensor]) -> Sequence[torch.Tensor]:
        return images


class SmallRunner(Runner):
    """The real runner, with slots of the test's choice."""

    def __init__(
        self,
        model: Any,
        classes: tuple[SlotClass, ...],
        decoding: Decoding,
        invariant: bool,
        weights: str | None,
        ahead: int,
    ) -> None:
        super().__init__(model, Vectors(), Setting(PREFIX, 48, 256, decoding, invariant, weights, ahead), 1)
        self._take(classes)


class Ends:
    """Rows end at the end token."""

    def reached(self, ids: list[int]) -> bool:
        return ids[-1] == END

    def text(self, ids: list[int]) -> str:
        return " ".join(map(str, ids))


def answer(done: EngineRequest, batch_size: int) -> Generated:
    text = " ".join(map(str, done.run.ids))
    return Generated(text, None, None, "", "", {}, None, len(done.run.ids), batch_size, 0.0, 0.0, {})


@dataclass
class Served:
    """A loop of a test, and how it takes requests."""

    loop: Loop
    runner: SmallRunner

    def ask(
        self,
        image: torch.Tensor,
        after: list[int],
        rank: int = 1,
        *,
        alone: bool = False,
        longest: int = LONGEST,
        images: int = 1,
        **hooks: Callable[..., Any],
    ) -> "Future[Generated]":
        future: Future[Generated] = Future()
        cached = len(PREFIX) + len(image) + len(after)
        accepted = EngineRequest(
            request=GenerationRequest(b"", **hooks),  # type: ignore[arg-type]
            prompt=Prompt(()),
            future=future,
            image=image,
            after=after,
            cached=cached,
            longest=longest,
        )
        self.loop.add(Ticket(accepted, rank, len(image) + len(after), cached + longest, alone, images))
        return future


def picture(number: int) -> torch.Tensor:
    return torch.randn(3, HIDDEN, generator=torch.Generator().manual_seed(number)) * 0.5


def held(served: Served) -> threading.Event:
    """Keep the loop busy until the event is set, so that what comes next enters in one batch."""
    started, released = threading.Event(), threading.Event()

    def wait() -> None:
        started.set()
        assert released.wait(60)

    served.ask(picture(0), [5], on_progress=wait)
    assert started.wait(60)
    return released


def in_one_batch(served: Served, pictures: list[torch.Tensor]) -> "list[Future[Generated]]":
    released = held(served)
    futures = [served.ask(one, [4, 5, 6]) for one in pictures]
    released.set()
    return futures


@contextmanager
def serving(
    classes: tuple[SlotClass, ...],
    *,
    lookahead: int = 0,
    decoding: Decoding | None = None,
    device: str = "cpu",
    dtype: torch.dtype = torch.float32,
    invariant: bool = False,
    weights: str | None = None,
    answering: Callable[[EngineRequest, int], Generated] = answer,
    prompt_tokens: int = 100,
    images: int | None = None,
) -> Iterator[Served]:
    """The loop, running."""
    model = small_model().to(device, dtype)
    decoding = decoding or Decoding(max_new_tokens=LONGEST)
    runner = SmallRunner(model, classes, decoding, invariant, weights, lookahead)
    bounds = {"prompt_tokens": prompt_tokens, "images": images, "lookahead": lookahead}
    loop = own(lambda: Loop(runner, Ends(), answering, **bounds))  # type: ignore[arg-type]
    try:
        yield Served(loop, runner)
    finally:
        loop.close()
