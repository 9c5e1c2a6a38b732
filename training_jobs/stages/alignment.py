"""The projector's objectives: first the meaning of each image token, then the answer of the frozen LLM."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from training_jobs.corpora.studies import TrainingStudy
from training_jobs.stages.slots import Codebook

_VIEW_WEIGHT = 3.0  # the view is a fact about the whole film, and a wrong one is never excusable


def truth_of(studies: Sequence[TrainingStudy]) -> tuple[Tensor, Tensor]:
    """Presence (batch, slots) and whether each is known (batch, slots)."""
    rows = [study.presence for study in studies]
    presence = torch.tensor([[0.5 if value is None else value for value in row] for row in rows])
    return presence, torch.tensor([[value is not None for value in row] for row in rows])


def alignment_loss(tokens: Tensor, studies: Sequence[TrainingStudy], codebook: Codebook) -> Tensor:
    """Squared distance of each image token to what it should mean, in units of the step from "not there" to "there".

    tokens: (batch, slots, hidden). Slots of unknown truth do not count.
    """
    presence, is_known = truth_of(studies)
    step = (codebook.present - codebook.absent).pow(2).sum(-1)
    distance = (tokens - codebook.blend(presence)).pow(2).sum(-1) / step
    weights = torch.ones_like(distance)
    weights[:, 0] = _VIEW_WEIGHT
    return (distance * weights)[is_known].sum() / weights[is_known].sum()


def draw_indices(rng: np.random.Generator, weights: Sequence[float], batch: int) -> list[int]:
    """Indices drawn with the given weights, without repeats where the batch allows it."""
    probabilities = np.asarray(weights, dtype=np.float64)
    probabilities /= probabilities.sum()
    repeats = bool(batch > np.count_nonzero(probabilities))
    return [int(index) for index in rng.choice(len(weights), batch, replace=repeats, p=probabilities)]
