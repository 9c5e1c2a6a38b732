"""The model step for LLaMA-family weights: many new prompts at once, then one token for every row at once.

Rows live in slots of a static :class:`Cache`. A prompt's common beginning is computed once and copied into each slot;
a long prompt can be read piece by piece.
The arithmetic is transformers' ``LlamaForCausalLM``, with q, k, v and gate, up as one matrix each.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from xraygpt_core.errors import BundleError
from xraygpt_core.model.engine.cache import IDLE, Cache, Shape, Span, zeros
from xraygpt_core.model.engine.quantised import Product, product_of
from xraygpt_core.model.engine.weights import Matrix, sent


@dataclass(frozen=True)
class Layer:
    """One transformer block."""

    before_attention: Tensor
    qkv: Product
    out: Product
    before_mlp: Tensor
    gate_up: Product
    down: Product


class Llama:
    """The weights on their device.

    Takes the transformers model apart: the memory of its layers is given back while ours are built. ``weights`` is
    ``int8``, ``fp8``, ``float32``, or None for the model's own precision.

    Raises:
        BundleError: another architecture than LLaMA's, or weights this machine does not multiply.
    """

    def __init__(self, model: Any, weights: str | None = None) -> None:
        config = model.config
        if config.model_type != "llama" or config.hidden_act != "silu":
            raise BundleError(f"the engine runs LLaMA models, not {config.model_type} with {config.hidden_act}")
        width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        self.shape = Shape(
            config.num_hidden_layers,
            config.num_attention_heads,
            config.num_key_value_heads,
            width,
            config.rms_norm_eps,
        )
        self.embedding: Tensor = model.get_input_embeddings().weight.detach()
        self.device, self.dtype = self.embedding.device, self.embedding.dtype
        rotary = model.model.rotary_emb
        self._frequencies, self._scale = rotary.inv_freq.detach().float().to(self.device), rotary.attention_scaling
        self._angles: dict[int, tuple[Tensor, Tensor]] = {}
        product = product_of(weights)
        self.layers = [_take(layer, product) for layer in model.model.layers]
        self._norm: Tensor = model.model.norm.weight.detach()
        shared = model.lm_head.weight is model.get_input_embeddings().weight and weights is None
        self._head = Matrix([model.lm_head], shared=True) if shared else product([model.lm_head])
        model.lm_head.to("meta")
        matrices = [m for one in self.layers for m in (one.qkv, one.out, one.gate_up, one.down)] + [self._head]
        self.bytes = sum(matrix.bytes for matrix in matrices)  # read by every step
        self.flops = sum(matrix.flops for matrix in matrices)  # of one token
        self._prefix: Tensor | None = None
        self.prefix_tokens = 0

    @property
    def token_bytes(self) -> int:
        """What one token takes in a cache."""
        return self.shape.token_values * self.embedding.element_size()

    def cache(self, slots: int, length: int) -> Cache:
        """An empty cache."""
        return self.caches(slots * length, [length])[0]

    @property
    def pair_flops(self) -> int:
        """What one token costs for each token that it looks back on, all layers."""
        return 4 * self.shape.layers * self.shape.heads * self.shape.width

    def caches(self, tokens: int, lengths: Sequence[int]) -> list[Cache]:
        """A cache for each of these lengths, all in the same memory."""
        memory = zeros(self.shape, tokens, self.device, self.dtype)
        return [Cache(memory, length) for length in lengths]

    def embed(self, ids: Sequence[int]) -> Tensor:
        """Token ids to embeddings (tokens, hidden)."""
        return self.embedding[sent(ids, self.device)]

    @torch.inference_mode()
    def share(self, ids: Sequence[int]) -> None:
        """Every prompt begins with these ids: compute their keys and values once."""
        self._prefix, self.prefix_tokens = None, 0
        if ids:
            scratch = self.cache(1, len(ids))
            self.prefill(scratch, [0], [self.embed(ids)])
            self._prefix, self.prefix_tokens = scratch.kv[:, 0].clone(), len(ids)

    @torch.inference_mode()
    def prefill(
        self, cache: Cache, slots: Sequence[int], prompts: Sequence[Tensor], start: int | None = None
    ) -> Tensor:
        """Read prompts (tokens_i, hidden), without the shared beginning, into their slots.

        Args:
            start: tokens of these prompts that are in their slots already; None: none are, so the shared beginning
                is copied before them.

        Returns:
            Logits (prompts, vocabulary) of each prompt's next token.
        """
        lengths = [len(prompt) for prompt in prompts]
        longest = max(lengths)
        x = prompts[0].new_zeros(len(prompts), longest, prompts[0].shape[-1])
        for row, prompt in enumerate(prompts):
            x[row, : len(prompt)] = prompt
        where = sent(slots, self.device)
        if start is None:
            start = self.prefix_tokens
            if self._prefix is not None:
                cache.kv[:, where, :start] = self._prefix[:, None]
        sizes = sent(lengths, self.device)
        cache.lengths[where] = sizes + start
        for slot in slots:
            cache.read[slot] = max(cache.read[slot], start + longest)
        visible = torch.ones(longest, start + longest, dtype=torch.bool, device=self.device).tril(start)
        cos, sin = (table[start : start + longest, None] for table in self._rotation(cache.length))
        for layer, kv in zip(self.layers, cache.kv, strict=True):
            x = self._read(layer, kv, where, x, start, visible, cos, sin)
        return self._logits(x[torch.arange(len(prompts), device=self.device), sizes - 1])

    def decode(self, cache: Cache, first: int, last: int, longest: int) -> Tensor:
        """One more token for the rows in slots ``first`` … ``last`` - 1, of which none is longer than ``longest``."""
        return self.decode_all([Span(cache, first, last, longest)])

    @torch.inference_mode()
    def decode_all(self, spans: Sequence[Span]) -> Tensor:
        """One more token for rows of several caches: each weight is read once for all of them.

        Reads ``cache.ids``, and adds 1 to ``cache.lengths``, but to idle rows; the caller chooses the next ids.
        Repeating it with the old lengths writes the same values into the same positions.

        Returns:
            Logits (rows, vocabulary).
        """
        steps = [self._attending(span) for span in spans]
        ids = _joined([span.cache.ids[span.first : span.last] for span in spans])
        cos, sin = (_joined([step.turned[which] for step in steps]) for which in (0, 1))
        x = self.embedding[ids.clamp(min=0)]
        for index, layer in enumerate(self.layers):
            x = self._step(layer, index, x, steps, cos, sin)
        for span in spans:
            lengths = span.cache.lengths[span.first : span.last]
            lengths += lengths != IDLE
        return self._logits(x)

    def _attending(self, span: Span) -> "_Attending":
        """What the attention of these rows needs in every layer."""
        cache, rows = span.cache, slice(span.first, span.last)
        lengths = cache.lengths[rows]
        at = lengths.clamp(min=0)
        position = torch.where(lengths == IDLE, cache.spare, cache.rows[rows] * cache.length + at)
        cos, sin = (table[at][:, None] for table in self._rotation(cache.length))
        hidden = torch.arange(span.longest + 1, device=self.device) > at[:, None]
        bias = torch.zeros(hidden.shape, device=self.device, dtype=self.dtype).masked_fill_(hidden, float("-inf"))
        return _Attending(cache, rows, position, bias[:, None, None], (cos, sin))

    def _read(
        self, layer: Layer, kv: Tensor, where: Tensor, x: Tensor, start: int, visible: Tensor, cos: Tensor, sin: Tensor
    ) -> Tensor:
        """One block over whole prompts: x (rows, tokens, hidden)."""
        shape, (rows, tokens, _) = self.shape, x.shape
        qkv = layer.qkv(self._normed(x, layer.before_attention)).view(rows, tokens, -1, shape.width)
        _rotate(qkv[:, :, : shape.heads + shape.groups], cos, sin)
        kv[where, start : start + tokens] = qkv[:, :, shape.heads :]
        seen = kv[where, : start + tokens].transpose(1, 2)
        attended = functional.scaled_dot_product_attention(
            qkv[:, :, : shape.heads].transpose(1, 2),
            seen[:, : shape.groups],
            seen[:, shape.groups :],
            attn_mask=visible,
            enable_gqa=shape.heads != shape.groups,
        )
        return self._mlp(layer, x + layer.out(attended.transpose(1, 2).reshape(rows, tokens, -1)))

    def _step(
        self, layer: Layer, index: int, x: Tensor, steps: Sequence["_Attending"], cos: Tensor, sin: Tensor
    ) -> Tensor:
        """One block over one token of each row: x (rows, hidden)."""
        shape = self.shape
        qkv = layer.qkv(self._normed(x, layer.before_attention)).view(len(x), -1, shape.width)
        _rotate(qkv[:, : shape.heads + shape.groups], cos, sin)
        each = torch.split(qkv, [len(step.position) for step in steps])
        attended = _joined([self._attend(index, one, step) for one, step in zip(each, steps, strict=True)])
        return self._mlp(layer, x + layer.out(attended))

    def _attend(self, index: int, qkv: Tensor, step: "_Attending") -> Tensor:
        """Rows of one cache, each to its own keys and values. The heads of a group are queries side by side."""
        shape, longest = self.shape, step.bias.shape[-1]
        step.cache.memory[index].index_copy_(0, step.position, qkv[:, shape.heads :])
        seen = step.cache.kv[index, step.rows, :longest].transpose(1, 2)
        attended = functional.scaled_dot_product_attention(
            qkv[:, : shape.heads].reshape(len(qkv), shape.groups, -1, shape.width),
            seen[:, : shape.groups],
            seen[:, shape.groups :],
            attn_mask=step.bias,
        )
        return attended.reshape(len(qkv), -1)

    def _mlp(self, layer: Layer, x: Tensor) -> Tensor:
        gate, up = layer.gate_up(self._normed(x, layer.before_mlp)).chunk(2, -1)
        return x + layer.down(functional.silu(gate) * up)

    def _normed(self, x: Tensor, weight: Tensor) -> Tensor:
        return functional.rms_norm(x, (x.shape[-1],), weight, self.shape.eps)

    def _logits(self, x: Tensor) -> Tensor:
        return self._head(self._normed(x, self._norm))

    def _rotation(self, length: int) -> tuple[Tensor, Tensor]:
        """Cosine and signed sine (positions, width) of rotary position embedding (Su et al. 2021, section 3.4)."""
        if length not in self._angles:
            angles = torch.outer(torch.arange(length, device=self.device).float(), self._frequencies)
            cos, sin = angles.cos() * self._scale, angles.sin() * self._scale
            tables = torch.cat([cos, cos], -1), torch.cat([-sin, sin], -1)
            self._angles[length] = (tables[0].to(self.dtype), tables[1].to(self.dtype))
        return self._angles[length]


@dataclass(frozen=True)
class _Attending:
    """Rows of one cache in a step: where they write, what they see, and cosine and sine of their positions."""

    cache: Cache
    rows: slice
    position: Tensor
    bias: Tensor
    turned: tuple[Tensor, Tensor]


def _joined(parts: list[Tensor]) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def _rotate(heads: Tensor, cos: Tensor, sin: Tensor) -> None:
    """Rotate (…, heads, width) in place: each value with its partner half a width away."""
    partner = heads.roll(heads.shape[-1] // 2, -1)
    heads.mul_(cos).addcmul_(partner, sin)


def _take(layer: Any, product: Callable[[list[nn.Linear]], Product]) -> Layer:
    """One of transformers' layers as ours; its own memory is given back."""
    attention, mlp = layer.self_attn, layer.mlp
    taken = Layer(
        layer.input_layernorm.weight.detach(),
        product([attention.q_proj, attention.k_proj, attention.v_proj]),
        product([attention.o_proj]),
        layer.post_attention_layernorm.weight.detach(),
        product([mlp.gate_proj, mlp.up_proj]),
        product([mlp.down_proj]),
    )
    layer.to("meta")
    return taken
