"""Which encoders can be tuned, and where each is cut: blocks below the cut stay as they are, those above learn.

What lies below is computed once and kept, as features of an encoder with other options. To make another class tunable:
an entry in :data:`TUNABLE`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from torch import Tensor, nn

from xraygpt_core.errors import TrainingError
from xraygpt_core.model.bundle import Bundle
from xraygpt_core.model.encoders.efficientnet import BLOCKS, EfficientNetLite0Upper


class Upper(Protocol):
    """The blocks above the cut, as a module: features below it in, the encoder's features out.

    Attributes:
        net: the whole network, with the names of the file of weights; what learns in it requires gradients.
        positions, channels: of what comes out.
    """

    net: nn.Module
    positions: int
    channels: int

    def __call__(self, features: Tensor) -> Tensor:
        """(batch, positions, channels) below the cut to (batch, positions, channels) of the encoder."""


@dataclass(frozen=True)
class Cut:
    """How a class is cut.

    Attributes:
        most: blocks that it has above its stem.
        lower: its options and the number of tuned blocks to the options under which it gives what lies below them.
        upper: weights, options and the number of tuned blocks to the module above.
    """

    most: int
    lower: Callable[[Mapping[str, Any], int], dict[str, Any]]
    upper: Callable[[Path, Mapping[str, Any], int], Upper]


def _lite0_lower(options: Mapping[str, Any], last: int) -> dict[str, Any]:
    return {**options, "layers": [f"block{BLOCKS - last - 1}"]}


def _lite0_upper(weights: Path, options: Mapping[str, Any], last: int) -> Upper:
    return EfficientNetLite0Upper(weights, last, **options)


TUNABLE: Mapping[str, Cut] = {"EfficientNetLite0Maps": Cut(BLOCKS - 1, _lite0_lower, _lite0_upper)}


def lower_half(base: Bundle, last: int) -> Bundle:
    """The base with an encoder that ends below the tuned blocks.

    Raises:
        TrainingError: this class cannot be tuned, or has not so many blocks.
    """
    return replace(base, encoder_options=_cut_of(base, last).lower(base.encoder_options, last))


def upper_half(base: Bundle, last: int, layers: Sequence[str] = ()) -> tuple[Upper, dict[str, Any]]:
    """The tuned blocks of the base's encoder, and the options of the encoder that they give.

    Args:
        layers: what a convolutional encoder shall give afterwards; none: what it gives in the base.

    Raises:
        TrainingError: as :func:`lower_half`, or a layer lies below the cut.
    """
    options = dict(base.encoder_options) | ({"layers": list(layers)} if layers else {})
    try:
        return _cut_of(base, last).upper(base.encoder_weights, options, last), options
    except (KeyError, TypeError, ValueError) as error:
        raise TrainingError(f"encoder {base.encoder}: {error} cannot be given when {last} blocks are tuned") from error


def _cut_of(base: Bundle, last: int) -> Cut:
    cut = TUNABLE.get(base.encoder)
    if cut is None:
        raise TrainingError(f"an encoder of class {base.encoder} cannot be tuned; {', '.join(sorted(TUNABLE))} can")
    if not 0 < last <= cut.most:
        raise TrainingError(f"encoder.last: {base.encoder} has 1 to {cut.most} blocks to tune, not {last}")
    return cut
