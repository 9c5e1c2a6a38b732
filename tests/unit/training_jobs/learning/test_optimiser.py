"""AdamW's groups: what decays."""

import torch
from torch import nn

from training_jobs.learning.optimiser import decays, make_optimizer, trainable
from xraygpt_core.model.projector import LinearProjector


def test_the_projectors_matrix_decays_and_its_bias_does_not() -> None:
    optimizer = make_optimizer(LinearProjector(4, 8), lr=1.0, weight_decay=0.05, beta2=0.95)
    shapes = [(group["weight_decay"], [tuple(p.shape) for p in group["params"]]) for group in optimizer.param_groups]
    assert shapes == [(0.05, [(8, 4)]), (0.0, [(8,)])]
    assert all(group["betas"] == (0.9, 0.95) for group in optimizer.param_groups)


def test_names_of_norms_and_biases_do_not_decay_whatever_their_shape() -> None:
    matrix, vector = torch.zeros(2, 2), torch.zeros(2)
    assert [decays(name, matrix) for name in ("proj.weight", "q.bias", "ln_vision.weight", "bn1.weight")] == [
        True,
        False,
        False,
        False,
    ]
    assert not decays("norm.weight", vector)


def test_frozen_parameters_are_not_optimised() -> None:
    module = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    module[0].requires_grad_(False)
    assert list(trainable(module)) == ["1.weight", "1.bias"]
    assert (
        sum(len(group["params"]) for group in make_optimizer(module, lr=1, weight_decay=1, beta2=0.9).param_groups) == 2
    )


def test_a_module_of_vectors_alone_has_one_group() -> None:
    assert len(make_optimizer(nn.LayerNorm(3), lr=1, weight_decay=1, beta2=0.9).param_groups) == 1
