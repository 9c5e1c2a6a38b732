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

from tests.support.engine_tools import END, HIDDEN, LONGEST, PREFIX, VOCABULARY, Served, serving, small_model
from xraygpt_core.model.backend import Generated
from xraygpt_core.model.engine.arena import SlotClass


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


@pytest.fixture(params=[0, 1], ids=["in-step", "one-ahead"])
def served(request: pytest.FixtureRequest) -> Iterator[Served]:
    with serving((SlotClass(48, 13), SlotClass(80, 3)), lookahead=request.param) as made:
        yield made


def put(served: Served, one: Asked) -> "Future[Generated]":
    one.seen.clear()
    hooks: dict[str, Any] = {"on_text": one.seen.append}
    if one.cancel_at is not None:
        hooks["cancelled"] = lambda: len(one.seen) >= (one.cancel_at or 0)
    return served.ask(one.image, one.after, one.rank, **hooks)


def test_over_500_ragged_requests_say_token_for_token_what_transformers_says(
    served: Served, asked: list[Asked]
) -> None:
    chance = random.Random(5)
    futures: list[Future[Generated] | None] = [None] * len(asked)
    order = chance.sample(range(len(asked)), len(asked))

    def arrive(some: list[int]) -> None:
        pause = threading.Event()
        for index in some:
            futures[index] = put(served, asked[index])
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
        assert put(served, one).result(60).text == " ".join(map(str, one.expected))
