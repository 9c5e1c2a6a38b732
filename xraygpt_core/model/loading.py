"""Weights into modules: every one of them or none."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path

from safetensors.torch import load_file
from torch import Tensor, nn

from xraygpt_core.errors import BundleError

_NAMED = 5  # how many weights a message names


def load_strictly(module: nn.Module, state: Mapping[str, Tensor], source: str, *, assign: bool = False) -> None:
    """Load every weight or none; ``assign`` takes the tensors themselves instead of copying them.

    Raises:
        BundleError: naming what is missing, unknown or of another shape.
    """
    own, given = weights_of(module.state_dict()), weights_of(state)
    missing, unknown = sorted(own.keys() - given.keys()), sorted(given.keys() - own.keys())
    shapes = sorted(key for key in own.keys() & given.keys() if own[key].shape != given[key].shape)
    if missing or unknown or shapes:
        raise BundleError(
            f"{source} does not fit: missing {missing[:_NAMED]}, unknown {unknown[:_NAMED]}, "
            f"other shape {shapes[:_NAMED]}"
        )
    # strict in effect: checked above, but for the norms' step counters
    module.load_state_dict(given, strict=False, assign=assign)


def load_frozen(module: nn.Module, weights: Path | None) -> None:
    """Load a file's weights in float32, for inference only. None: they are still to be loaded.

    Raises:
        BundleError: as :func:`load_strictly`.
    """
    if weights is not None:
        state = {
            key: value.float() if value.is_floating_point() else value for key, value in load_file(weights).items()
        }
        load_strictly(module, state, weights.name, assign=True)
    module.eval().requires_grad_(False)


def weights_of(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A state dict without the batch norms' step counters, which inference does not use."""
    return {key: value for key, value in state.items() if not key.endswith("num_batches_tracked")}


def uninitialised() -> AbstractContextManager[None]:
    """Modules built inside keep whatever is in memory: their weights are loaded right after."""
    from transformers.initialization import no_init_weights

    context: AbstractContextManager[None] = no_init_weights()
    return context
