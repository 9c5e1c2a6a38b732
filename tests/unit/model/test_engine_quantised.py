"""Weights of eight bits: what the products are, how far from the exact ones, and that company changes nothing."""

import os
import platform
import random
import subprocess
import sys
from concurrent.futures import Future
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from tests.support.engine_tools import HIDDEN, serving, small_model
from xraygpt_core.errors import BundleError
from xraygpt_core.model.backend import Generated
from xraygpt_core.model.engine import quantised
from xraygpt_core.model.engine.arena import SlotClass
from xraygpt_core.model.engine.llama import Llama
from xraygpt_core.model.engine.quantised import Fp8Matrix, Int8Matrix, product_of
from xraygpt_core.model.engine.roofline import measure
from xraygpt_core.model.engine.weights import Matrix

KINDS = {"int8": Int8Matrix, "fp8": Fp8Matrix}
WRONG = {"int8": 0.02, "fp8": 0.05}  # of a product's norm; int8 has seven bits a number, e4m3 has four


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    """Each kind of weights that this machine multiplies."""
    chosen: str = request.param
    if chosen == "int8":
        request.getfixturevalue("int8_products")
    return chosen


def layers(*, bias: bool = False, seed: int = 1, wide: int = 64, outs: tuple[int, ...] = (32, 48)) -> list[nn.Linear]:
    torch.manual_seed(seed)
    return [nn.Linear(wide, out, bias=bias) for out in outs]


def exactly(made: list[nn.Linear], x: torch.Tensor) -> torch.Tensor:
    return torch.cat([layer(x.float()).detach() for layer in made], -1)


def by_hand(x: np.ndarray[Any, Any], w: np.ndarray[Any, Any]) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Vector-wise quantisation in plain integers; and by how much it may differ, because a number stands so close to
    the middle between two integers that the last bit of the division decides.
    """
    x_scale, w_scale = (np.maximum(np.abs(one).max(1, keepdims=True) / np.float32(127), 1e-12) for one in (x, w))
    shrunk, weights = x / x_scale, np.rint(w / w_scale).astype(np.int64)
    undecided = np.abs(shrunk - np.floor(shrunk) - 0.5) < 1e-4
    scale = w_scale.T * x_scale
    return np.rint(shrunk).astype(np.int64) @ weights.T * scale, undecided @ np.abs(weights).T * scale


@pytest.mark.parametrize("bias", [False, True], ids=["plain", "biased"])
@pytest.mark.parametrize("shape", [(1, 64), (5, 64), (3, 7, 64)], ids=str)
def test_fused_layers_of_eight_bits_are_close_to_the_exact_ones(kind: str, bias: bool, shape: tuple[int, ...]) -> None:
    made = layers(bias=bias)
    x = torch.randn(shape, generator=torch.Generator().manual_seed(2))
    found, wanted = KINDS[kind](made)(x), exactly(made, x)
    assert found.shape == wanted.shape
    assert float((found - wanted).norm() / wanted.norm()) < WRONG[kind]


@pytest.mark.parametrize("bias", [False, True], ids=["plain", "biased"])
def test_a_head_of_an_odd_number_of_outputs_is_filled_up_for_the_kernel_and_cut_again(
    bias: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, real, sides = layers(bias=bias, outs=(33,)), torch._scaled_mm, []

    def scaled_mm(rows: torch.Tensor, weight: torch.Tensor, *more: Any, **options: Any) -> torch.Tensor:
        sides.append(weight.shape)
        return real(rows, weight, *more, **options)

    monkeypatch.setattr(torch, "_scaled_mm", scaled_mm)
    x = torch.randn(5, 64, generator=torch.Generator().manual_seed(2))
    found, wanted = Fp8Matrix(made)(x), exactly(made, x)
    assert found.shape == (5, 33)
    assert sides == [(64, 48)]
    assert float((found - wanted).norm() / wanted.norm()) < WRONG["fp8"]


def test_inputs_no_kernel_takes_are_refused_for_fp8() -> None:
    with pytest.raises(BundleError, match="multiples of 16, not 40"):
        Fp8Matrix(layers(wide=40))


def test_weights_that_are_stored_by_column_are_the_same_weights(kind: str) -> None:
    made, x = layers(outs=(48,)), torch.randn(3, 64, generator=torch.Generator().manual_seed(2))
    wanted = KINDS[kind](made)(x)
    made[0].weight.data = made[0].weight.data.t().contiguous().t()
    torch.testing.assert_close(KINDS[kind](made)(x), wanted)


@pytest.mark.usefixtures("int8_products")
@given(st.integers(1, 9), st.integers(0, 10_000), st.sampled_from([1e-6, 1.0, 1e4]))
def test_int8_products_are_those_of_whole_numbers(rows: int, seed: int, size: float) -> None:
    made = layers(seed=seed)
    x = torch.randn(rows, 64, generator=torch.Generator().manual_seed(seed)) * size
    weight = torch.cat([layer.weight for layer in made]).detach().numpy()
    wanted, either_way = by_hand(x.numpy(), weight)
    wrong = np.abs(Int8Matrix(made)(x).numpy() - wanted)
    assert (wrong <= either_way + 2e-5 * np.abs(wanted) + 1e-5 * size).all()


@pytest.mark.usefixtures("int8_products")
def test_a_row_has_the_same_numbers_alone_and_in_company() -> None:
    product = Int8Matrix(layers())
    x = torch.randn(33, 64, generator=torch.Generator().manual_seed(3)) * torch.logspace(-3, 3, 33)[:, None]
    together = product(x)
    assert all(torch.equal(product(x[row : row + 1])[0], together[row]) for row in range(33))


def test_a_row_of_zeros_stays_zero_and_one_that_is_not_finite_spoils_nobody(kind: str) -> None:
    product = KINDS[kind](layers())
    good = torch.randn(1, 64, generator=torch.Generator().manual_seed(4))
    poison = [torch.full((1, 64), bad) for bad in (float("nan"), float("inf"))]
    found = product(torch.cat([good, torch.zeros(1, 64), *poison]))
    torch.testing.assert_close(found[:1], product(good))
    assert (found[1] == 0).all()
    assert not found[2].isfinite().any()
    assert not found[3].isfinite().any()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_results_come_in_the_precision_of_the_rows(kind: str, dtype: torch.dtype) -> None:
    product = KINDS[kind]([layer.to(dtype) for layer in layers(bias=True)])
    assert product(torch.ones(2, 64, dtype=dtype)).dtype == dtype


@pytest.fixture
def all_worth(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests' models are small."""
    monkeypatch.setattr(quantised, "_WORTH", 1)


@pytest.mark.usefixtures("int8_products")
def test_small_matrices_stay_as_they_are() -> None:
    make = product_of("int8")
    assert isinstance(make(layers()), Matrix)
    assert isinstance(make(layers(wide=1024, outs=(300, 300))), Int8Matrix)


@pytest.mark.usefixtures("all_worth")
def test_a_step_reads_one_byte_a_weight(kind: str) -> None:
    model = small_model()
    plain, small = Llama(small_model()), Llama(model, kind)
    assert small.bytes * 4 == plain.bytes
    assert small.flops == plain.flops


def test_the_limit_is_measured_with_the_products_that_are_used(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    used: list[int] = []
    whole = KINDS[kind].__call__
    monkeypatch.setattr(KINDS[kind], "__call__", lambda self, x: (used.append(len(x)), whole(self, x))[1])
    assert measure(torch.device("cpu"), torch.float32, kind).flops_per_second > 0
    assert set(used) == {1024}


@pytest.mark.usefixtures("all_worth", "int8_products")
def test_company_changes_no_text_of_whole_numbers() -> None:
    chance, source = random.Random(6), torch.Generator().manual_seed(6)
    work = [
        (torch.randn(chance.randint(1, 6), HIDDEN, generator=source) * 0.5, [chance.randrange(3, 61) for _ in range(3)])
        for _ in range(40)
    ]
    with serving((SlotClass(48, 8), SlotClass(80, 1)), weights="int8") as served:
        alone = [served.ask(*one).result(60).text for one in work]
        order = chance.sample(range(40), 40)
        together: dict[int, Future[Generated]] = {index: served.ask(*work[index]) for index in order}
        assert [together[index].result(60).text for index in range(40)] == alone
    assert len(set(alone)) > 20, "the texts tell the studies apart"


def test_none_keeps_the_weights_as_they_are_and_another_word_is_refused() -> None:
    assert product_of(None) is Matrix
    with pytest.raises(BundleError, match="int4"):
        product_of("int4")


def test_a_processor_whose_products_overflow_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    exact = quantised._product
    monkeypatch.setattr(quantised, "_product", lambda *given: exact(*given).clamp(max=2**15 - 1))
    with pytest.raises(BundleError, match="VNNI"):
        product_of("int8")


@pytest.mark.skipif(platform.machine() != "x86_64", reason="only x86 processors have VNNI instructions, or lack them")
def test_a_processor_without_vnni_refuses_int8_and_names_what_it_lacks() -> None:
    """oneDNN is told to use no more than AVX2, in a process of its own: it looks once."""
    code = "from xraygpt_core.model.engine.quantised import product_of; product_of('int8')"
    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | {"ONEDNN_MAX_CPU_ISA": "AVX2"}, capture_output=True, text=True
    )
    assert done.stderr.strip().splitlines()[-1].startswith("xraygpt_core.errors.BundleError: ")
    assert "VNNI" in done.stderr.splitlines()[-1]


def test_int8_is_refused_where_another_device_would_have_to_multiply_it() -> None:
    with pytest.raises(BundleError, match="fp8"):
        Int8Matrix([layer.to("meta") for layer in layers()])
