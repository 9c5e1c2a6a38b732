"""Weights into modules: every one of them or none."""

from collections.abc import Mapping
from contextlib import AbstractContextManager

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


def weights_of(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A state dict without the batch norms' step counters, which inference does not use."""
    return {key: value for key, value in state.items() if not key.endswith("num_batches_tracked")}


def uninitialised() -> AbstractContextManager[None]:
    """Modules built inside keep whatever is in memory: their weights are loaded right after."""
    from transformers.initialization import no_init_weights

    context: AbstractContextManager[None] = no_init_weights()
    return context
