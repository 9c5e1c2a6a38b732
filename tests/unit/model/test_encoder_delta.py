"""Tuned encoders as a difference: what is kept, what comes back, and which files are refused."""

import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from xraygpt_core.errors import BundleError
from xraygpt_core.model.encoders.delta import apply_delta, save_delta, state_digest
from xraygpt_core.model.encoders.efficientnet import EfficientNetLite0

OPTIONS = {"layers": ["head"], "size": 224}
KIND = "EfficientNetLite0Maps"


@pytest.fixture
def base() -> dict[str, Tensor]:
    torch.manual_seed(1)
    return {"a.weight": torch.randn(3, 4), "b.weight": torch.randn(2, 2), "b.running_var": torch.rand(2)}


@pytest.fixture
def file(base: dict[str, Tensor], tmp_path: Path) -> Path:
    save_file(base, tmp_path / "base.safetensors")
    return tmp_path / "base.safetensors"


@pytest.fixture
def delta(base: dict[str, Tensor], tmp_path: Path) -> Path:
    tuned = base | {"a.weight": base["a.weight"] + 0.01, "b.running_var": base["b.running_var"] * 100_000}
    save_delta(tmp_path / "delta.safetensors", base, tuned, kind=KIND, options=OPTIONS, made={"made": "in a test"})
    return tmp_path / "delta.safetensors"


def test_only_what_changed_is_kept_in_half_precision_and_statistics_in_full(delta: Path) -> None:
    kept = {name: value.dtype for name, value in load_file(delta).items()}
    assert kept == {"a.weight": torch.float16, "b.running_var": torch.float32}
    with safe_open(delta, framework="pt") as opened:
        assert opened.metadata()["made"] == "in a test"


def test_base_and_delta_are_the_tuned_weights(base: dict[str, Tensor], file: Path, delta: Path) -> None:
    state, options = apply_delta(file, delta)
    assert options == OPTIONS
    torch.testing.assert_close(state["a.weight"], base["a.weight"] + 0.01, atol=1e-5, rtol=0)
    torch.testing.assert_close(state["b.running_var"], base["b.running_var"] * 100_000)
    assert torch.equal(state["b.weight"], base["b.weight"])


def test_a_base_in_another_file_with_the_same_weights_is_the_same_base(
    base: dict[str, Tensor], delta: Path, tmp_path: Path
) -> None:
    turned = dict(reversed(base.items())) | {"b.num_batches_tracked": torch.tensor(7)}
    save_file(turned, tmp_path / "other.safetensors", metadata={"made": "elsewhere"})
    assert apply_delta(tmp_path / "other.safetensors", delta)[1] == OPTIONS


def test_another_base_is_refused(base: dict[str, Tensor], delta: Path, tmp_path: Path) -> None:
    save_file(base | {"b.weight": base["b.weight"] + 1e-6}, tmp_path / "other.safetensors")
    with pytest.raises(BundleError, match=r"delta.safetensors was made for another encoder: for weights \w{12}, not"):
        apply_delta(tmp_path / "other.safetensors", delta)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"c.weight": torch.zeros(2, 2)}, r"c\.weight does not fit"),
        ({"a.weight": torch.zeros(4, 3)}, r"a\.weight does not fit"),
        ({"a.weight": torch.zeros(3, 4, dtype=torch.int8)}, r"a\.weight does not fit"),
        ({"b.weight": torch.full((2, 2), torch.nan)}, r"b\.weight is not finite"),
    ],
)
def test_a_tensor_that_does_not_belong_is_refused(
    base: dict[str, Tensor], file: Path, tmp_path: Path, changes: dict[str, Tensor], said: str
) -> None:
    header = {"class": KIND, "options": json.dumps(OPTIONS), "base": state_digest(base)}
    save_file(changes, tmp_path / "delta.safetensors", metadata=header)
    with pytest.raises(BundleError, match=said):
        apply_delta(file, tmp_path / "delta.safetensors")


@pytest.mark.parametrize("options", ["", "[1]", "{", "[" * 100_000, '{"class": "Other"}', '{"delta": "0"}'])
def test_hostile_options_are_refused(file: Path, base: dict[str, Tensor], tmp_path: Path, options: str) -> None:
    header = {"class": KIND, "options": options, "base": state_digest(base)}
    save_file({}, tmp_path / "delta.safetensors", metadata=header)
    with pytest.raises(BundleError, match="options"):
        apply_delta(file, tmp_path / "delta.safetensors")


def test_a_whole_encoder_or_no_safetensors_is_no_delta(file: Path, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="no difference"):
        apply_delta(file, file)
    (tmp_path / "text").write_text("no weights")
    with pytest.raises(BundleError, match="no file of encoder weights"):
        apply_delta(file, tmp_path / "text")


@pytest.mark.parametrize("tuned", [{}, {"a.weight": torch.zeros(1)}, {"a.weight": torch.full((3, 4), 1e6)}])
def test_weights_that_no_delta_can_hold_are_refused(
    base: dict[str, Tensor], tmp_path: Path, tuned: dict[str, Tensor]
) -> None:
    whole = base | tuned if tuned else tuned
    with pytest.raises(BundleError):
        save_delta(tmp_path / "delta.safetensors", base, whole, kind=KIND, options=OPTIONS)
    assert not (tmp_path / "delta.safetensors").exists()


def test_the_last_stage_of_the_demos_encoder_is_a_small_part_of_it(tmp_path: Path) -> None:
    torch.manual_seed(0)
    net = EfficientNetLite0()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    save_file(before, tmp_path / "base.safetensors")
    with torch.no_grad():
        net._conv_head.weight += 1e-3 * torch.randn_like(net._conv_head.weight)
        net._bn1(torch.randn(2, 1280, 3, 3))  # training mode: the running statistics move
    changed = save_delta(tmp_path / "delta.safetensors", before, net.state_dict(), kind=KIND, options=OPTIONS)
    assert changed == ["_bn1.running_mean", "_bn1.running_var", "_conv_head.weight"]
    assert (tmp_path / "delta.safetensors").stat().st_size < (tmp_path / "base.safetensors").stat().st_size / 10
    state, _ = apply_delta(tmp_path / "base.safetensors", tmp_path / "delta.safetensors")
    for name in changed:
        torch.testing.assert_close(state[name], net.state_dict()[name], atol=5e-6, rtol=1e-6)
