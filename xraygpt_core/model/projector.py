"""Projectors: frozen image features in, embeddings for the LLM out. The only trainable part of stages 1 and 2."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from xraygpt_core.errors import BundleError
from xraygpt_core.model.loading import load_strictly

_INIT = 0.02
_FIRST_STEP = 0.2  # how far an untrained token strays from its base


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


class MlpProjector(nn.Module):
    """MAIRA-1's adapter (Hyland et al. 2023, arXiv 2311.13668): linear layers with GELU between, for every position.

    (batch, positions, channels) to (batch, positions, hidden). ``widths`` are those of every layer's input and of the
    last one's output. Weights are ``layers.0``, ``layers.2`` … as in LLaVA and MAIRA-2.
    """

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(widths[0], widths[1]))
        for inputs, outputs in pairwise(widths[1:]):
            self.layers.extend([nn.GELU(), nn.Linear(inputs, outputs)])

    def forward(self, features: Tensor) -> Tensor:
        projected: Tensor = self.layers(features)
        return projected


class MapProjector(nn.Module):
    """A small reader of the whole map: image tokens that look at every position, and know where each one is.

    (batch, positions, channels) is reduced by one matrix shared by all positions; a position embedding says where each
    vector comes from; ``tokens`` learned queries join them in a few transformer layers and leave as
    (batch, tokens, hidden). A pooled vector would lose zone and side; one large matrix from the flattened map would
    need fifty times the weights and would not forgive a patient who stands ten pixels further left.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, sizes: "MapSizes", dropout: float = 0.1) -> None:
        super().__init__()
        self.sizes = sizes
        self.register_buffer("mean", torch.zeros(sizes.channels))
        self.register_buffer("scale", torch.ones(sizes.channels))
        self.reduce = nn.Linear(sizes.channels, sizes.width)
        self.places = nn.Parameter(torch.randn(sizes.positions, sizes.width) * _INIT)
        self.queries = nn.Parameter(torch.randn(sizes.tokens, sizes.width) * _INIT)
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(
                sizes.width, sizes.heads, 2 * sizes.width, dropout, "gelu", batch_first=True, norm_first=True
            )
            for _ in range(sizes.layers)
        )
        self.last = nn.LayerNorm(sizes.width)
        self.spread = nn.Linear(sizes.width, sizes.hidden, bias=False)
        self.base = nn.Parameter(torch.zeros(sizes.tokens, sizes.hidden))

    def forward(self, features: Tensor) -> Tensor:
        """Features (batch, positions, channels) to image tokens (batch, tokens, hidden)."""
        x = self.reduce((features - self.mean) * self.scale) + self.places
        x = torch.cat([self.queries.expand(len(x), -1, -1), x], dim=1)
        for layer in self.layers:
            x = layer(x)
        tokens: Tensor = self.base + self.spread(self.last(x[:, : self.sizes.tokens]))
        return tokens

    @torch.no_grad()
    def start(self, mean: Tensor, deviation: Tensor, base: Tensor, directions: Tensor) -> None:
        """Begin where nothing is to be unlearned: standardised features in, ``base`` plus ``directions`` out.

        mean, deviation: (channels,); base, directions: (tokens, hidden).
        """
        self.mean.copy_(mean)
        self.scale.copy_(1 / deviation.clamp(min=_INIT))
        self.base.copy_(base)
        self.spread.weight.zero_()
        self.spread.weight[:, : len(directions)] = directions.T * _FIRST_STEP


@dataclass(frozen=True)
class MapSizes:
    """Sizes of a :class:`MapProjector`; written into the header of its file."""

    positions: int
    channels: int
    tokens: int
    hidden: int
    width: int = 128
    layers: int = 2
    heads: int = 4


Projector = LinearProjector | MlpProjector | MapProjector


def save_projector(projector: Projector, path: Path) -> None:
    """Write the weights as bfloat16 safetensors; the class and the token count go into the header."""
    metadata = {"class": type(projector).__name__}
    if isinstance(projector, MapProjector):
        metadata["sizes"] = json.dumps(asdict(projector.sizes))
    state = {
        key: value.detach().to("cpu", torch.bfloat16).contiguous() for key, value in projector.state_dict().items()
    }
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
            case "MlpProjector":
                projector = MlpProjector(_widths(state))
            case "MapProjector":
                projector = MapProjector(_map_sizes(metadata["sizes"], state, path.name))
            case _:
                raise BundleError(f"there is no projector named {kind!r}")
    except KeyError as error:
        raise BundleError(f"{path.name} is not a {kind}: it has no {error}") from error
    load_strictly(projector, state, path.name)
    return projector


def image_shape(projector: Projector, positions: int, channels: int) -> tuple[int, int]:
    """How many tokens an image has, and how many numbers a token, for an encoder of this shape.

    Raises:
        BundleError: the projector does not take its features.
    """
    where = next(projector.parameters()).device
    try:
        with torch.inference_mode():
            tokens = projector(torch.zeros(1, positions, channels, device=where))
    except RuntimeError as error:
        raise BundleError(f"the projector does not take the encoder's {positions} x {channels} features") from error
    return int(tokens.shape[1]), int(tokens.shape[2])


def _map_sizes(header: str, state: Mapping[str, Tensor], source: str) -> MapSizes:
    """The sizes a header tells, if the weights have them: nothing is built of numbers that nothing bears out."""
    try:
        sizes = MapSizes(**json.loads(header))
    except (ValueError, TypeError, RecursionError) as error:
        raise BundleError(f"{source}: its sizes cannot be read") from error
    held = (*state["places"].shape, *state["queries"].shape, *state["mean"].shape, *state["base"].shape)
    stated = (sizes.positions, sizes.width, sizes.tokens, sizes.width, sizes.channels, sizes.tokens, sizes.hidden)
    layers = {key.split(".")[1] for key in state if key.startswith("layers.")}
    if stated != held or sizes.layers != len(layers) or not 0 < sizes.heads <= sizes.width:
        raise BundleError(f"{source}: its weights do not have the sizes its header tells")
    return sizes


def _widths(state: Mapping[str, Tensor]) -> list[int]:
    """Widths of an :class:`MlpProjector`, from ``layers.0.weight``, ``layers.2.weight`` …"""
    matrices = [state[f"layers.{index}.weight"] for index in range(0, len(state), 2)]
    return [matrices[0].shape[1], *(len(matrix) for matrix in matrices)]
