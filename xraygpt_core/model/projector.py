"""Projectors: frozen image features in, embeddings for the LLM out. The only trainable part of stages 1 and 2."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path

import torch
from safetensors import safe_open
from torch import Tensor, nn
from torch.nn import functional

from xraygpt_core.errors import BundleError
from xraygpt_core.model.loading import load_strictly
from xraygpt_core.model.tensor_file import save_tensors

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
    last one's output. Weights are ``layers.0``, ``layers.2`` … as in LLaVA (``mlp2x_gelu``) and MAIRA-2 (four).
    """

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        self.layers = _gelu_layers(widths)

    def forward(self, features: Tensor) -> Tensor:
        projected: Tensor = self.layers(features)
        return projected


class TemporalProjector(nn.Module):
    """Libra's temporal alignment connector (Zhang et al. 2024, arXiv 2411.19378): what is new on a film.

    Features of every layer of the encoder, (batch, layers, positions, channels), of the current film and of the prior
    one, become the tokens of one image, (batch, positions, hidden). The layers are mixed into one map by 1 x 1
    convolutions behind squeeze-and-excitation (Hu et al. 2018, arXiv 1709.01507); the more the prior map is like the
    current one, the more a learned number is added to it; each map attends to itself, then the current one to the
    prior one; an MLP of four layers follows. Without a prior the current film is its own, as in the published code
    (``libra/model/multimodal_projector/builder.py`` and ``libra/eval/run_libra.py`` of X-iZhang/Libra).
    """

    def __init__(self, layers: int, channels: int, hidden: int, heads: int) -> None:
        super().__init__()
        half, quarter = layers // 2, layers // 4
        self.heads = heads
        self.mix = nn.Sequential(
            _Excitation(layers, half),
            nn.Conv2d(layers, half, 1, bias=False),
            _Excitation(half, quarter),
            nn.Conv2d(half, quarter, 1, bias=False),
            _Excitation(quarter, 1),
            nn.Conv2d(quarter, 1, 1, bias=False),
        )
        self.prior_bias = nn.Parameter(torch.zeros(()))
        self.current_attention, self.prior_attention, self.cross_attention = (
            nn.MultiheadAttention(channels, heads, batch_first=True, add_bias_kv=True) for _ in range(3)
        )
        self.current_norm, self.prior_norm, self.cross_norm, self.joint_norm = (
            nn.LayerNorm(channels) for _ in range(4)
        )
        self.joint = _gelu_layers([channels] * 3)
        self.spread = _gelu_layers([channels, *[hidden] * 4])

    def forward(self, current: Tensor, prior: Tensor | None = None) -> Tensor:
        """Features of the current and the prior films to tokens (batch, positions, hidden)."""
        now: Tensor = self.mix(current).squeeze(1)
        before: Tensor = now if prior is None else self.mix(prior).squeeze(1)
        likeness = functional.cosine_similarity(now.flatten(1), before.flatten(1), dim=-1)
        before = before + ((likeness + 1) / 2).pow(8).view(-1, 1, 1) * self.prior_bias
        read = self.current_norm(now + _attended(self.current_attention, now, now))
        before = self.prior_norm(before + _attended(self.prior_attention, before, before))
        compared = self.cross_norm(read + _attended(self.cross_attention, read, before))
        tokens: Tensor = self.spread(self.joint_norm(now + self.joint(compared)))
        return tokens


class _Excitation(nn.Module):
    """Squeeze-and-excitation: a factor 0 … 1 for each layer, from the mean of every layer."""

    def __init__(self, layers: int, squeezed: int) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Conv2d(layers, squeezed, 1), nn.Conv2d(squeezed, layers, 1)

    def forward(self, x: Tensor) -> Tensor:
        factors: Tensor = self.fc2(functional.gelu(self.fc1(x.mean((2, 3), keepdim=True)))).sigmoid()
        return x * factors


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


Projector = LinearProjector | MlpProjector | MapProjector | TemporalProjector


def save_projector(projector: Projector, path: Path) -> None:
    """Write the weights as bfloat16 safetensors; the class, and sizes that no weight shows, go into the header."""
    metadata = {"class": type(projector).__name__}
    if isinstance(projector, MapProjector):
        metadata["sizes"] = json.dumps(asdict(projector.sizes))
    if isinstance(projector, TemporalProjector):
        metadata["heads"] = str(projector.heads)
    state = {
        key: value.detach().to("cpu", torch.bfloat16).contiguous() for key, value in projector.state_dict().items()
    }
    save_tensors(state, path, metadata)


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
            case "TemporalProjector":
                projector = TemporalProjector(*_temporal_sizes(metadata["heads"], state, path.name))
            case _:
                raise BundleError(f"there is no projector named {kind!r}")
    except KeyError as error:
        raise BundleError(f"{path.name} is not a {kind}: it has no {error}") from error
    load_strictly(projector, state, path.name)
    return projector


def image_shape(projector: Projector, *features: int) -> tuple[int, int]:
    """How many tokens an image has, and how many numbers a token, for features of this shape
    (:func:`xraygpt_core.model.encoders.encoder.feature_shape`).

    Raises:
        BundleError: the projector does not take its features.
    """
    where = next(projector.parameters()).device
    try:
        with torch.inference_mode():
            tokens = projector(torch.zeros(1, *features, device=where))
            _, length, width = tokens.shape
    except (RuntimeError, ValueError, IndexError, AssertionError) as error:
        shape = " x ".join(map(str, features))
        raise BundleError(f"the projector does not take the encoder's {shape} features") from error
    return int(length), int(width)


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


def _temporal_sizes(heads: str, state: Mapping[str, Tensor], source: str) -> tuple[int, int, int, int]:
    """Layers, channels, hidden and heads of a :class:`TemporalProjector`; only the heads are not in its weights."""
    layers, channels = state["mix.0.fc1.weight"].shape[1], len(state["joint_norm.weight"])
    if not (heads.isdecimal() and 0 < int(heads) <= channels and channels % int(heads) == 0) or layers < 4:
        raise BundleError(f"{source}: {heads[:20]} heads do not share {channels} channels of {layers} layers")
    return layers, channels, len(state["spread.0.weight"]), int(heads)


def _gelu_layers(widths: Sequence[int]) -> nn.Sequential:
    """Linear layers with GELU between them."""
    layers = nn.Sequential(nn.Linear(widths[0], widths[1]))
    for inputs, outputs in pairwise(widths[1:]):
        layers.extend([nn.GELU(), nn.Linear(inputs, outputs)])
    return layers


def _attended(attention: nn.Module, asking: Tensor, asked: Tensor) -> Tensor:
    made: Tensor = attention(asking, asked, asked, need_weights=False)[0]
    return made
