"""Which encoders can be tuned, and where each is cut: blocks below the cut stay as they are, those above learn.

What lies below is computed once and kept, as features of an encoder with other options: an EfficientNet's by its
``layers``, the others' by ``until``. To make another class tunable: an entry in :data:`TUNABLE`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from torch import Tensor, nn

from xraygpt_core.errors import TrainingError
from xraygpt_core.model.bundle import Bundle
from xraygpt_core.model.encoders.blip2 import Blip2Encoder
from xraygpt_core.model.encoders.cut import Cuttable, TokensUpper
from xraygpt_core.model.encoders.efficientnet import BLOCKS, EfficientNetLite0Upper
from xraygpt_core.model.encoders.medclip import MedClipResNet, MedClipSwin
from xraygpt_core.model.encoders.raddino import RadDino


class Upper(Protocol):
    """The blocks above the cut, as a module: features below it in, the encoder's features out.

    Attributes:
        net: the whole network, with the names of the file of weights; what learns in it requires gradients.
        positions, channels: of what comes out.
    """

    positions: int
    channels: int

    @property
    def net(self) -> nn.Module:
        """See the class."""

    def __call__(self, features: Tensor) -> Tensor:
        """(batch, positions, channels) below the cut to (batch, positions, channels) of the encoder."""


@dataclass(frozen=True)
class Cut:
    """How a class is cut.

    Attributes:
        most: its options to the number of blocks that can be tuned.
        lower: its options and the number of tuned blocks to the options under which it gives what lies below them.
        upper: weights, options and the number of tuned blocks to the module above.
    """

    most: Callable[[Mapping[str, Any]], int]
    lower: Callable[[Mapping[str, Any], int], dict[str, Any]]
    upper: Callable[[Path, Mapping[str, Any], int], Upper]


def _lite0_lower(options: Mapping[str, Any], last: int) -> dict[str, Any]:
    return {**options, "layers": [f"block{BLOCKS - last - 1}"]}


def _lite0_upper(weights: Path, options: Mapping[str, Any], last: int) -> Upper:
    return EfficientNetLite0Upper(weights, last, **options)


def _by_until(kind: Callable[..., Cuttable], most: Callable[[Mapping[str, Any]], int]) -> Cut:
    """Of a class with the option ``until``, all of whose blocks can be tuned."""

    def lower(options: Mapping[str, Any], last: int) -> dict[str, Any]:
        return {**options, "until": most(options) - last}

    def upper(weights: Path, options: Mapping[str, Any], last: int) -> Upper:
        return TokensUpper(kind(weights, **options), most(options) - last)

    return Cut(most, lower, upper)


TUNABLE: Mapping[str, Cut] = {
    "EfficientNetLite0Maps": Cut(lambda _: BLOCKS - 1, _lite0_lower, _lite0_upper),
    "MedClipSwin": _by_until(MedClipSwin, lambda options: sum(options.get("depths", (2, 2, 6, 2)))),
    "MedClipResNet": _by_until(MedClipResNet, lambda options: sum(options.get("depths", (3, 4, 6, 3)))),
    "RadDino": _by_until(RadDino, lambda options: int(options.get("layers", 12))),
    "Blip2Encoder": _by_until(Blip2Encoder, lambda options: int(options.get("layers", 39))),
}


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
    cut, options = _cut_of(base, last), dict(base.encoder_options)
    if layers and base.encoder != "EfficientNetLite0Maps":  # of the others an option of this name counts something else
        raise TrainingError(f"encoder.layers: an encoder of class {base.encoder} has no maps to choose from")
    options |= {"layers": list(layers)} if layers else {}
    try:
        return cut.upper(base.encoder_weights, options, last), options
    except (KeyError, TypeError, ValueError) as error:
        raise TrainingError(f"encoder {base.encoder}: {error} cannot be given when {last} blocks are tuned") from error


def _cut_of(base: Bundle, last: int) -> Cut:
    cut = TUNABLE.get(base.encoder)
    if cut is None:
        raise TrainingError(f"an encoder of class {base.encoder} cannot be tuned; {', '.join(sorted(TUNABLE))} can")
    if "until" in base.encoder_options:
        raise TrainingError(
            f"the encoder of {base.name!r} ends below its last block: tune the one that it is a part of"
        )
    if base.encoder_options.get("all_layers"):
        raise TrainingError(f"the encoder of {base.name!r} gives what each layer makes, which stays as it is")
    most = cut.most(base.encoder_options)
    if not 0 < last <= most:
        raise TrainingError(f"encoder.last: {base.encoder} has 1 to {most} blocks to tune, not {last}")
    return cut
