"""The next token of each row: the likeliest, or one drawn from the likely ones by the row's own generator."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

import torch
from torch import Tensor

from xraygpt_core.model.bundle import Decoding


def pick(logits: Tensor, decoding: Decoding, generators: Sequence[torch.Generator | None]) -> Tensor:
    """Logits (rows, vocabulary) to ids (rows); -1 where a row's numbers are not finite."""
    best, ids = logits.max(-1)
    if decoding.do_sample:
        ids = _draw(logits.float().nan_to_num() / decoding.temperature, decoding.top_p, generators)
    return torch.where(best.isfinite(), ids, -1)


def generator(decoding: Decoding) -> torch.Generator | None:
    """A row's own generator: its text does not depend on the rest of the batch. None if nothing is drawn."""
    if not decoding.do_sample:
        return None
    made = torch.Generator()
    if decoding.seed is None:
        made.seed()
    else:
        made.manual_seed(decoding.seed)
    return made


@contextmanager
def drawing(generators: Sequence[torch.Generator | None]) -> Iterator[None]:
    """If the block fails, the generators are as before, so that a repeated block draws the same."""
    before = [(source, source.get_state()) for source in generators if source is not None]
    with ExitStack() as back:
        for source, state in before:
            back.callback(source.set_state, state)
        yield
        back.pop_all()


def _draw(logits: Tensor, top_p: float, generators: Sequence[torch.Generator | None]) -> Tensor:
    """Nucleus sampling (Holtzman et al. 2020): the smallest set of tokens that holds ``top_p`` of the probability."""
    likely, order = logits.softmax(-1).sort(-1, descending=True)
    likely[likely.cumsum(-1) - likely >= top_p] = 0
    rows = zip(likely.cpu(), generators, strict=True)
    drawn = torch.stack([torch.multinomial(row, 1, generator=source) for row, source in rows])
    return order.gather(-1, drawn.to(order.device))[:, 0]
