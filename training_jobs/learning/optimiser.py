"""AdamW as the released code sets it up: what decays, and what does not."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

_NAMES_WITHOUT_DECAY = ("bias", "ln", "bn")
_BETA1 = 0.9


def decays(name: str, parameter: Tensor) -> bool:
    """Vectors, and whatever is named after a bias or a norm, do not (XrayGPT, runners/runner_base.py)."""
    return parameter.ndim >= 2 and not any(part in name for part in _NAMES_WITHOUT_DECAY)


def trainable(module: nn.Module) -> dict[str, nn.Parameter]:
    """Parameters that learn, by name; one that stands at two places has its first name."""
    return {name: parameter for name, parameter in module.named_parameters() if parameter.requires_grad}


def make_optimizer(module: nn.Module, *, lr: float, weight_decay: float, beta2: float) -> torch.optim.Optimizer:
    """AdamW in two groups, with weight decay and without."""
    named = trainable(module)
    groups = [
        {"params": [p for name, p in named.items() if decays(name, p)], "weight_decay": weight_decay},
        {"params": [p for name, p in named.items() if not decays(name, p)], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    return torch.optim.AdamW(groups, lr=lr, betas=(_BETA1, beta2), fused=_fusible(named.values()))


def _fusible(parameters: Iterable[Tensor]) -> bool:
    """One pass over the weights instead of a dozen; not for tensors that are sharded over processes."""
    return all(type(p) is nn.Parameter and p.is_floating_point() for p in parameters)
