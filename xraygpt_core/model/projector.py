"""Projectors: frozen image features in, embeddings for the LLM out. The only trainable part of stages 1 and 2."""

from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from xraygpt_core.errors import BundleError
from xraygpt_core.model.encoder import load_strictly


class LinearProjector(nn.Module):
    """One linear map for every position: (batch, positions, channels) to (batch, positions, hidden).

    The paper's ``t`` (section 3.1): with MedCLIP's pooled vector there is one position, with its Swin map 49.
    """

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.llama_proj = nn.Linear(channels, hidden)

    def forward(self, features: Tensor) -> Tensor:
        projected: Tensor = self.llama_proj(features)
        return projected


class LocationProjector(nn.Module):
    """A low-rank linear map of the whole feature map: every image token may look at every place, and knows which it is.

    (batch, positions, channels) is reduced with one matrix shared by all positions, flattened (so location is kept), led through
    ``rank`` numbers and spread to (batch, tokens, hidden). Linear from end to end; the full matrix would be a hundred times larger.
    """

    def __init__(self, positions: int, channels: int, reduced: int, rank: int, tokens: int, hidden: int) -> None:
        super().__init__()
        self.tokens, self.hidden = tokens, hidden
        self.reduce = nn.Linear(channels, reduced)
        self.down = nn.Linear(positions * reduced, rank)
        self.up = nn.Linear(rank, tokens * hidden)

    def forward(self, features: Tensor) -> Tensor:
        return self.spread(self.reduce(features))

    def spread(self, reduced: Tensor) -> Tensor:
        """The part after the shared reduction: (batch, positions, reduced) to (batch, tokens, hidden)."""
        spread: Tensor = self.up(self.down(reduced.flatten(1)))
        return spread.unflatten(1, (self.tokens, self.hidden))


Projector = LinearProjector | LocationProjector


def save_projector(projector: Projector, path: Path) -> None:
    """Write the weights as bfloat16 safetensors; the class and the token count go into the header."""
    metadata = {"class": type(projector).__name__}
    if isinstance(projector, LocationProjector):
        metadata["tokens"] = str(projector.tokens)
    state = {key: value.detach().to("cpu", torch.bfloat16).contiguous() for key, value in projector.state_dict().items()}
    save_file(state, path, metadata=metadata)


def load_projector(kind: str, path: Path) -> Projector:
    """Rebuild a projector; its sizes are read off its own weights.

    Raises:
        BundleError: no projector has this name, or the file is not one of it.
    """
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata() or {}
        state = {key: file.get_tensor(key).float() for key in file.keys()}  # noqa: SIM118  (no mapping)
    try:
        projector: Projector
        match kind:
            case "LinearProjector":
                hidden, channels = state["llama_proj.weight"].shape
                projector = LinearProjector(channels, hidden)
            case "LocationProjector":
                reduced, channels = state["reduce.weight"].shape
                rank, flat = state["down.weight"].shape
                slots = int(metadata["tokens"])
                projector = LocationProjector(flat // reduced, channels, reduced, rank, slots, len(state["up.bias"]) // slots)
            case _:
                raise BundleError(f"there is no projector named {kind!r}")
    except KeyError as error:
        raise BundleError(f"{path.name} is not a {kind}: it has no {error}") from error
    load_strictly(projector, state, path.name)
    return projector
