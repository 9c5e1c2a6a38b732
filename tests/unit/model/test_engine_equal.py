"""Whoever shares the batch, whenever they come and go: each text is what transformers writes for it alone."""

import itertools
import random
import threading
from collections.abc import Iterator
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch

from xraygpt_core.model.bundle import Decoding
from xraygpt_core.model.engine.items import Item, Place
from xraygpt_core.model.engine.limit import Limit
from xraygpt_core.model.engine.loop import Loop
from xraygpt_core.model.engine.requests import Generated
from xraygpt_core.model.engine.runner import Runner
from xraygpt_core.model.engine.scheduler import SlotClass, Ticket
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


@dataclass
class SmallBundle:
    """What the runner asks of a loaded bundle: images are ready-made embeddings, prompts are ids."""

    model: Any
    decoding: Decoding = field(default_factory=lambda: Decoding(max_new_tokens=LONGEST))

    @property
    def llm(self) -> Any:
        return self

    @property
    def bundle(self) -> Any:
        return self

    def features(self, images: list[torch.Tensor]) -> list[torch.Tensor]:
        return images

    def image_tokens(self, images: list[torch.Tensor]) -> list[torch.Tensor]:
        return images


class SmallRunner(Runner):
    """The real runner, with slots and a shared beginning of the test's choice."""

    def __init__(self, model: Any, classes: tuple[SlotClass, ...], *, shared: bool) -> None:
        from xraygpt_core.model.engine.llama import Llama

        self.loaded = SmallBundle(model)  # type: ignore[assignment]
        self.llama = Llama(model)
        self.decoding = self.loaded.decoding  # type: ignore[assignment]
        self._before = PREFIX if shared else []
        self.llama.share(self._before)
        self.classes = classes
        self.caches = [self.llama.cache(one.count, one.length) for one in classes]
        self._graphs = None
        self.limit = Limit(1e10, 1e11)


class Ends:
    """Rows end at the end token or at the longest answer."""

    def reached(self, ids: list[int]) -> bool:
        return ids[-1] == END or len(ids) >= LONGEST

    def text(self, ids: list[int]) -> str:
        return " ".join(map(str, ids))


def answer(item: Item, mates: int) -> Generated:
    text = " ".join(map(str, item.run.ids))
    return Generated(text, None, None, "", "", {}, None, len(item.run.ids), mates, 0.0, 0.0, {})


@dataclass
class Asked:
    """One request of the test and what transformers says to it."""

    image: torch.Tensor
    after: list[int]
    rank: int
    cancel_at: int | None
    expected: list[int] = field(default_factory=list)
    seen: list[str] = field(default_factory=list)


def requests(count: int, seed: int) -> list[Asked]:
    chance = random.Random(seed)
    torch.manual_seed(seed)
    made = []
    for _ in range(count):
        image = torch.randn(chance.randint(1, 6), HIDDEN) * 0.5
        after = [chance.randrange(3, VOCABULARY) for _ in range(chance.choice([1, 2, 3, 5, 8, 40]))]
        cancel_at = chance.randint(0, 10) if chance.random() < 0.15 else None
        made.append(Asked(image, after, chance.randrange(4), cancel_at))
    return made


@torch.inference_mode()
def ask_transformers(model: Any, asked: list[Asked], batch: int) -> None:
    """Greedy, left-padded, in static batches: the way it is done without an engine."""
    embed = model.get_input_embeddings()
    for start in range(0, len(asked), batch):
        some = asked[start : start + batch]
        rows = [torch.cat([embed(torch.tensor(PREFIX)), one.image, embed(torch.tensor(one.after))]) for one in some]
        longest = max(map(len, rows))
        x, mask = torch.zeros(len(rows), longest, HIDDEN), torch.zeros(len(rows), longest, dtype=torch.long)
        for index, row in enumerate(rows):
            x[index, longest - len(row) :], mask[index, longest - len(row) :] = row, 1
        said = model.generate(
            inputs_embeds=x,
            attention_mask=mask,
            max_new_tokens=LONGEST,
            do_sample=False,
            eos_token_id=END,
            pad_token_id=END,
        )
        for one, ids in zip(some, said.tolist(), strict=True):
            one.expected = [*itertools.takewhile(lambda token: token != END, ids)]
            if END in ids:
                one.expected.append(END)


@pytest.fixture(scope="module")
def asked() -> list[Asked]:
    made = requests(520, seed=11)
    ask_transformers(small_model(), made, 40)
    assert len({len(one.expected) for one in made}) > 10, "the texts are of many lengths"
    return made


@dataclass
class Served:
    """A loop of the test, and how it takes requests."""

    loop: Loop
    shared: bool

    def ask(self, one: Asked) -> "Future[Generated]":
        future: Future[Generated] = Future()
        one.seen.clear()
        after = one.after
        image = one.image if self.shared else torch.cat([torch.zeros(0, HIDDEN), one.image])
        cached = len(PREFIX) + len(image) + len(after)
        cancelled = None if one.cancel_at is None else lambda: len(one.seen) >= (one.cancel_at or 0)
        item = Item(image, after, cached, Prompt("", ""), future, None, one.seen.append, cancelled)
        ticket: Place = Ticket(item, one.rank, len(image) + len(after), cached + LONGEST)
        self.loop.add(ticket)
        return future


@pytest.fixture(params=[0, 1], ids=["in-step", "one-ahead"])
def served(request: pytest.FixtureRequest) -> Iterator[Served]:
    runner = SmallRunner(small_model(), (SlotClass(48, 13), SlotClass(80, 3)), shared=True)
    loop = Loop(runner, Ends(), answer, prompt_tokens=100, lookahead=request.param)  # type: ignore[arg-type]
    loop.start()
    yield Served(loop, True)
    loop.close()


def test_over_500_ragged_requests_say_token_for_token_what_transformers_says(
    served: Served, asked: list[Asked]
) -> None:
    chance = random.Random(5)
    futures: list[Future[Generated] | None] = [None] * len(asked)
    order = chance.sample(range(len(asked)), len(asked))

    def arrive(some: list[int]) -> None:
        pause = threading.Event()
        for index in some:
            futures[index] = served.ask(asked[index])
            if chance.random() < 0.1:
                pause.wait(chance.random() * 0.02)  # ragged arrivals; the result does not depend on it

    arrivals = [threading.Thread(target=arrive, args=(order[part::4],)) for part in range(4)]
    for thread in arrivals:
        thread.start()
    for thread in arrivals:
        thread.join()
    compared = 0
    for one, future in zip(asked, futures, strict=True):
        assert future is not None
        try:
            made = future.result(120)
        except CancelledError:
            assert one.cancel_at is not None
            told = [int(word) for word in one.seen[-1].split()] if one.seen else []
            assert told == one.expected[: len(told)]
            continue
        compared += 1
        assert made.text == " ".join(map(str, one.expected))
    assert compared >= 430


def test_the_last_rows_alone_say_the_same(served: Served, asked: list[Asked]) -> None:
    for one in [one for one in asked if one.cancel_at is None][:3]:
        assert served.ask(one).result(60).text == " ".join(map(str, one.expected))
