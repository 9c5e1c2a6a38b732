"""Matrices of eight bits a weight: a quarter or half of the memory a step reads, and products that are faster.

Each output of a layer has a scale of its own, and so has each row that is multiplied (Dettmers et al. 2022, LLM.int8(),
section 2.1, vector-wise quantisation). A row's scale depends on that row alone, not on the rest of the batch.
"""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from xraygpt_core.errors import BundleError
from xraygpt_core.model.engine.weights import Matrix, fused

_INT8_MOST, _FP8_MOST = 127.0, 448.0  # the largest int8 used, and the largest number of float8_e4m3fn
_FP8_TILE = 16  # a GPU's kernel takes sides that are multiples of it; Vicuna's first head has 32001 outputs
_FP8_CAPABILITY = (8, 9)
_ZERO = 128  # where rows have their zero: oneDNN multiplies unsigned rows by signed weights
_LEAST = 1e-12  # scale of a row that is nothing but zeros
_WORTH = 600_000  # weights; for a smaller matrix, rows take longer to quantise than the product saves
_WORST = 1024  # products that are added up to see whether they overflow


class Int8Matrix:
    """``y = x Wᵀ + b`` in integers, which are exact in any order; for CPUs: x (…, in) to y (…, out).

    Raises:
        BundleError: the layers are on another device.
    """

    def __init__(self, layers: list[nn.Linear]) -> None:
        weight, self._bias = fused(layers)
        if weight.device.type != "cpu":
            raise BundleError("int8 weights are for CPUs; a GPU takes fp8 (xraygpt models quantise NAME fp8)")
        self.bytes, self.flops = weight.numel(), 2 * weight.numel()
        whole, scales = _shrunk(weight, _INT8_MOST)
        self._weight, self._scales = _packed(whole.round_().to(torch.int8)), scales.view(-1)
        self._none = torch.zeros(len(scales), dtype=torch.int32)
        self._half = torch.full((1, 1), _ZERO + 0.5)

    def __call__(self, x: Tensor) -> Tensor:
        rows = x.flatten(0, -2)
        scales = rows.abs().amax(-1, keepdim=True).float().div_(_INT8_MOST)
        whole = torch.addcdiv(self._half, rows.float(), scales).to(torch.uint8)  # cut off: rounded, with the half
        y = _product(whole, self._weight, self._scales, self._none)
        return _finished(y.mul_(scales), self._bias, x)


class Fp8Matrix:
    """``y = x Wᵀ + b`` in eight-bit floating point (e4m3, Micikevicius et al. 2022), as Hopper GPUs multiply it.

    Raises:
        BundleError: this GPU does not, or not rows of this length.
    """

    def __init__(self, layers: list[nn.Linear]) -> None:
        weight, self._bias = fused(layers)
        _check_fp8(weight)
        self.bytes, self.flops = weight.numel(), 2 * weight.numel()
        self._outputs = len(weight)
        weight = functional.pad(weight, (0, 0, 0, -len(weight) % _FP8_TILE))
        small, scales = _shrunk(weight, _FP8_MOST)
        self._weight, self._scales = small.to(torch.float8_e4m3fn).contiguous().t(), scales.t().contiguous()
        # a GPU's kernel for scaled rows writes nothing else
        self._made = torch.bfloat16 if weight.device.type == "cuda" else torch.float32

    def __call__(self, x: Tensor) -> Tensor:
        small, scales = _shrunk(x.flatten(0, -2), _FP8_MOST)
        rows = small.to(torch.float8_e4m3fn)
        y = torch._scaled_mm(rows, self._weight, scales, self._scales, out_dtype=self._made)[:, : self._outputs]
        return _finished(y, self._bias, x)


Product = Matrix | Int8Matrix | Fp8Matrix


def product_of(weights: str | None) -> Callable[[list[nn.Linear]], Product]:
    """What makes products of layers, for a bundle's ``weights``: None keeps them as they are, ``float32`` is not a
    bundle's choice but the machine's (:func:`~xraygpt_core.model.engine.weights.widens`).

    Raises:
        BundleError: there is no such kind, or this machine does not multiply it.
    """
    match weights:
        case None:
            return Matrix
        case "float32":
            return partial(Matrix, wide=True)
        case "int8":
            _check_integers()
            return _int8_where_worth
        case "fp8":
            return Fp8Matrix
    raise BundleError(f"llm: weights {weights!r} are neither int8 nor fp8")


def _int8_where_worth(layers: list[nn.Linear]) -> Product:
    return Int8Matrix(layers) if sum(layer.weight.numel() for layer in layers) >= _WORTH else Matrix(layers)


def _check_integers() -> None:
    """Add up the largest products there are.

    Raises:
        BundleError: they overflow on this processor, which has no VNNI instructions.
    """
    rows = torch.full((1, _WORST), 2 * _ZERO - 1, dtype=torch.uint8)
    weight = _packed(torch.full((16, _WORST), int(_INT8_MOST), dtype=torch.int8))
    found = _product(rows, weight, torch.ones(16), torch.zeros(16, dtype=torch.int32))
    if not (found == (_ZERO - 1) * _INT8_MOST * _WORST).all():
        raise BundleError("int8 weights need a processor with VNNI instructions: on this one their products overflow")


def _check_fp8(weight: Tensor) -> None:
    """
    Raises:
        BundleError: no kernel of this device multiplies it.
    """
    if weight.shape[1] % _FP8_TILE:
        raise BundleError(f"fp8 weights need inputs in multiples of {_FP8_TILE}, not {weight.shape[1]}")
    if weight.device.type == "cuda" and torch.cuda.get_device_capability(weight.device) < _FP8_CAPABILITY:
        raise BundleError("fp8 weights need a GPU of the Ada or Hopper generation, or a later one")


def _packed(weight: Tensor) -> Tensor:
    packed: Tensor = torch.ops.onednn.qlinear_prepack(weight.contiguous(), None)  # it ignores strides
    return packed


def _product(rows: Tensor, weight: Tensor, scales: Tensor, zeros: Tensor) -> Tensor:
    """(n, in) unsigned times packed (out, in), each output scaled: (n, out) float32."""
    product: Tensor = torch.ops.onednn.qlinear_pointwise(
        rows, 1.0, _ZERO, weight, scales, zeros, None, 1.0, 0, torch.float32, "none", [], ""
    )
    return product


def _shrunk(rows: Tensor, most: float) -> tuple[Tensor, Tensor]:
    """Rows (n, k) so that the largest number of each is ``most``, and what they were divided by (n, 1), in float32."""
    scales = rows.abs().amax(-1, keepdim=True).float().div_(most).clamp_(min=_LEAST)
    return rows.float() / scales, scales


def _finished(y: Tensor, bias: Tensor | None, x: Tensor) -> Tensor:
    y = y.to(x.dtype).reshape(*x.shape[:-1], -1)
    return y if bias is None else y + bias
