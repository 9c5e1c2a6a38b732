"""The mean of several projectors' weights: between a run and its continuation the weights generalise better.

Wortsman et al. 2022, "Model soups", section 2 (uniform soup). Only projectors of one ancestry can be averaged.
"""

from collections.abc import Sequence
from pathlib import Path

import torch

from xraygpt_core.errors import TrainingError
from xraygpt_core.model.projector import load_projector, save_projector


def average(kind: str, projectors: Sequence[Path], out: Path) -> None:
    """Write the mean of the weights to ``out``.

    Raises:
        TrainingError: fewer than two files, or their shapes differ.
        BundleError: a file is no projector of this class.
    """
    if len(projectors) < 2:
        raise TrainingError("give two projectors or more")
    loaded = [load_projector(kind, path) for path in projectors]
    states = [projector.state_dict() for projector in loaded]
    shapes = [{key: value.shape for key, value in state.items()} for state in states]
    if any(shape != shapes[0] for shape in shapes):
        raise TrainingError(f"{', '.join(path.name for path in projectors)}: projectors of different shapes")
    loaded[0].load_state_dict({key: torch.stack([state[key] for state in states]).mean(0) for key in states[0]})
    out.parent.mkdir(parents=True, exist_ok=True)
    save_projector(loaded[0], out)
