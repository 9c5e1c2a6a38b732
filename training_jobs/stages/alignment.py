"""The demo projector's first objective: the meaning of each image token, where pairs say what a film shows."""

from collections.abc import Sequence

import torch
from torch import Tensor

from training_jobs.learning.loss import Loss
from training_jobs.stages.slots import SLOTS, Codebook
from xraygpt_core.training.pairs import Pair

_VIEW_WEIGHT = 3  # the view is a fact about the whole film, and a wrong one is never excusable


def says_what_tokens_mean(pairs: Sequence[Pair]) -> bool:
    """Whether any of these pairs has a label of a slot."""
    return any(pair.labels.get(slot) is not None for pair in pairs for slot in SLOTS)


def truth_of(pairs: Sequence[Pair]) -> tuple[Tensor, Tensor]:
    """Presence (batch, slots) and whether each is known (batch, slots)."""
    rows = [[pair.labels.get(slot) for slot in SLOTS] for pair in pairs]
    presence = torch.tensor([[0.5 if value is None else value for value in row] for row in rows])
    return presence, torch.tensor([[value is not None for value in row] for row in rows])


def alignment_loss(tokens: Tensor, pairs: Sequence[Pair], codebook: Codebook) -> Loss:
    """Squared distance of each image token to what it should mean, in units of the step from "not there" to "there".

    tokens: (batch, slots, hidden). Slots of unknown truth do not count.
    """
    presence, is_known = truth_of(pairs)
    step = (codebook.present - codebook.absent).pow(2).sum(-1)
    distance = (tokens - codebook.blend(presence.to(tokens.device))).pow(2).sum(-1) / step
    weights = torch.ones(is_known.shape)
    weights[:, 0] = _VIEW_WEIGHT
    weights[~is_known] = 0
    total = (distance * weights.to(distance.device)).sum()
    return Loss(total, int(weights.sum()), samples=tuple(pair.pair_id for pair in pairs))
