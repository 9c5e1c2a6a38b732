"""One shape for everybody: in bfloat16, too, a text is the same whoever shares its batch, and whenever it came."""

import random
from concurrent.futures import Future

import pytest
import torch

from tests.support.engine_tools import HIDDEN, Served, serving
from xraygpt_core.model.backend import Generated
from xraygpt_core.model.engine.arena import SlotClass

SLOTS = (SlotClass(48, 16), SlotClass(80, 2))
STUDIES = 60


def studies(served: Served) -> list[tuple[torch.Tensor, list[int]]]:
    chance, source = random.Random(5), torch.Generator().manual_seed(5)
    return [
        (
            (torch.randn(chance.randint(1, 6), HIDDEN, generator=source) * 0.5).to(served.runner.llama.dtype),
            [chance.randrange(3, 61) for _ in range(chance.choice([1, 3, 8]))],
        )
        for _ in range(STUDIES)
    ]


def alone(served: Served) -> list[str]:
    return [served.ask(image, after).result(60).text for image, after in studies(served)]


def in_one_batch(served: Served, seed: int) -> list[str]:
    """All at once, in a random order, so that rows enter, leave and move at every step."""
    order = random.Random(seed).sample(range(STUDIES), STUDIES)
    work = studies(served)
    futures: dict[int, Future[Generated]] = {index: served.ask(*work[index]) for index in order}
    return [futures[index].result(60).text for index in range(STUDIES)]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32], ids=str)
def test_company_changes_no_text(dtype: torch.dtype) -> None:
    with serving(SLOTS, dtype=dtype, invariant=True) as served:
        expected = alone(served)
        assert len(set(expected)) > STUDIES // 2, "the texts tell the studies apart"
        assert [in_one_batch(served, seed) for seed in range(3)] == [expected] * 3


def test_in_float32_the_one_shape_changes_no_text() -> None:
    with serving(SLOTS, invariant=True) as served:
        expected = alone(served)
    with serving(SLOTS) as served:
        assert in_one_batch(served, 0) == expected
