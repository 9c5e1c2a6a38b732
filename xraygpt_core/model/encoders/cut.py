"""Encoders of blocks in a row, which can be cut between any two of them: what lies below, and the module above."""

from abc import ABC, abstractmethod

from torch import Tensor, nn

from xraygpt_core.errors import BundleError


class Cuttable(nn.Module, ABC):
    """An encoder that, with its option ``until``, gives the tokens after so many blocks instead of its features.

    Attributes:
        blocks: how many it has above its stem.
        until: the option; None: it is whole.
        positions, channels: of what it gives.
    """

    blocks: int
    until: int | None
    positions: int
    channels: int

    @abstractmethod
    def onward(self, tokens: Tensor, first: int) -> Tensor:
        """Tokens after ``first`` blocks (batch, positions, channels) to the features of the whole encoder."""

    @abstractmethod
    def above(self, first: int) -> list[nn.Module]:
        """The parts that :meth:`onward` goes through: blocks, last norm, projection."""


class TokensUpper(nn.Module):
    """The last blocks of an encoder, to be tuned.

    Dropout stays off and batch norms keep their running statistics: a film's features depend on nothing but the film.

    Args:
        net: the whole encoder; its state has the names of the file of weights.
        first: how many blocks stay as they are.
    """

    def __init__(self, net: Cuttable, first: int) -> None:
        super().__init__()
        self.net, self.first = net, first
        self.positions, self.channels = net.positions, net.channels
        for part in net.above(first):
            part.requires_grad_(True)
        self.train()

    def train(self, mode: bool = True) -> "TokensUpper":
        """Gradients or not, the network stays as it is in use."""
        super().train(mode)
        self.net.eval()
        return self

    def forward(self, features: Tensor) -> Tensor:
        """Tokens below the cut (batch, positions, channels) to the encoder's features (batch, positions, channels)."""
        return self.net.onward(features, self.first)


def check_until(until: int | None, blocks: int) -> int | None:
    """The option ``until`` of an encoder that has so many blocks.

    Raises:
        BundleError: it is no number of blocks that leaves one above.
    """
    if until is not None and not (type(until) is int and 0 <= until < blocks):
        raise BundleError(f"encoder: until must be 0 to {blocks - 1}, not {until!r}")
    return until
