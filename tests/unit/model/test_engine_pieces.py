"""The model step over prompts in pieces, over rows of several caches, and beside rows that are not to be computed."""

from typing import Any

import pytest
import torch

from tests.support import engine_tools
from tests.support.engine_tools import SmallRunner
from tests.unit.model.test_engine_llama import NEW, PROMPTS, reference, small_model
from xraygpt_core.model.bundle import Decoding
from xraygpt_core.model.engine.arena import SlotClass
from xraygpt_core.model.engine.cache import IDLE, Cache, Span
from xraygpt_core.model.engine.llama import Llama
from xraygpt_core.model.llm import Llm


def read(llama: Llama, cache: Cache, slot: int, ids: list[int], size: int) -> torch.Tensor:
    """A prompt, so many tokens at once."""
    logits = llama.prefill(cache, [slot], [llama.embed(ids[:size])])
    for start in range(size, len(ids), size):
        logits = llama.prefill(cache, [slot], [llama.embed(ids[start : start + size])], llama.prefix_tokens + start)
    return logits


@pytest.mark.parametrize("size", [1, 2, 4, 100])
@pytest.mark.parametrize("shared", [[], [5, 9]], ids=["whole", "behind-a-shared-beginning"])
def test_a_prompt_in_pieces_says_what_the_whole_one_says(size: int, shared: list[int]) -> None:
    model = small_model()
    prompt = PROMPTS[2]
    expected = reference(model, prompt)
    llama = Llama(model)
    llama.share(shared)
    cache = llama.cache(3, 40)
    cache.ids[1] = read(llama, cache, 1, prompt[len(shared) :], size).argmax()
    said = [int(cache.ids[1])]
    while len(said) < NEW:
        said.append(int(llama.decode(cache, 1, 2, int(cache.lengths[1])).argmax()))
        cache.ids[1] = said[-1]
    assert said == expected


def test_rows_of_two_lengths_in_one_memory_take_a_step_together() -> None:
    llama = Llama(small_model())
    short, long = llama.caches(80, [20, 40])
    apart = [llama.cache(4, 20), llama.cache(2, 40)]
    for caches in ([short, long], apart):
        for cache, slots in zip(caches, ([0, 1], [1]), strict=True):
            prompts = [llama.embed(PROMPTS[slot]) for slot in slots]
            cache.ids[slots] = llama.prefill(cache, slots, prompts).argmax(-1)
    together = llama.decode_all([Span(short, 0, 2, 7), Span(long, 1, 2, 3)])
    each = torch.cat([llama.decode(apart[0], 0, 2, 7), llama.decode(apart[1], 1, 2, 3)])
    torch.testing.assert_close(together, each, rtol=1e-4, atol=1e-4)
    assert (short.lengths.tolist()[:2], long.lengths.tolist()[1]) == ([8, 4], 4)


def test_an_idle_row_leaves_nothing_in_its_slot_or_in_another_length_s() -> None:
    llama = Llama(small_model())
    short, long = llama.caches(80, [20, 40])
    cached = torch.randn_like(long.kv[:, 1])
    long.kv[:, 1] = cached
    short.ids[0] = llama.prefill(short, [0], [llama.embed(PROMPTS[0])]).argmax()
    wide = llama.decode(short, 0, 4, 7)
    assert torch.equal(long.kv[:, 1], cached), "slots 2 and 3 of the short ones lie there"
    assert short.lengths.tolist() == [8, IDLE, IDLE, IDLE]
    assert wide.isfinite().all()


@pytest.mark.parametrize(
    ("scaling", "context"),
    [(None, 128), ({"rope_type": "linear", "factor": 1.5, "rope_theta": 500.0}, 192)],
    ids=["plain", "stretched"],
)
def test_a_model_looks_back_as_far_as_its_positions_are_stretched(scaling: Any, context: int) -> None:
    model = small_model(**({} if scaling is None else {"rope_parameters": scaling}))
    assert Llm(model, None, torch.device("cpu")).context == context


@pytest.mark.parametrize(("first", "last"), [(0, 3), (2, 12), (9, 13), (12, 13)])
def test_a_rounded_step_holds_its_rows_and_those_beside_them_are_idle(first: int, last: int) -> None:
    runner = SmallRunner(
        engine_tools.small_model(), (SlotClass(48, 13),), Decoding(), invariant=False, weights=None, ahead=1
    )
    runner._rounds = True
    (cache,) = runner.caches
    cache.lengths.fill_(7)
    span = runner._widened(Span(cache, first, last, 7))
    assert (span.first, span.last) == (first, min(13, first + -(-(last - first) // 8) * 8))
    assert span.longest >= 7
    rows = set(range(first, last))
    assert all((cache.lengths[slot] == 7) == (slot in rows) for slot in range(span.first, span.last))
