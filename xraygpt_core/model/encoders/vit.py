"""The sizes of a plain vision transformer, as ``bundle.toml`` gives them to the encoders that are one."""

from typing import NamedTuple


class VitSizes(NamedTuple):
    """A ViT-B/14 at 518 pixels, as far as nothing else is given.

    Attributes:
        size, patch: sides in pixels, of the picture and of a patch.
        width: numbers of a token; ``inner``: of the layer between the two of each MLP.
    """

    size: int = 518
    patch: int = 14
    width: int = 768
    layers: int = 12
    heads: int = 12
    inner: int = 3072
    norm_eps: float = 1e-6

    @property
    def patches(self) -> int:
        """Of a picture."""
        return (self.size // self.patch) ** 2
