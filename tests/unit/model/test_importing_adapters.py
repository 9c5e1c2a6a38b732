"""LLaVA-Rad's adapter: merged into its base exactly, or refused by what is wrong with it."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from tests.support.published_parts import quiet
from tests.support.whole_models import change, imported, write_all_of_llava_rad
from xraygpt_core.errors import BundleError
from xraygpt_core.model.importing.lora import merge
from xraygpt_core.model.importing.tensors import TensorFiles
from xraygpt_core.model.llm import quiet_peft


@pytest.fixture
def rad(tmp_path: Path) -> Path:
    write_all_of_llava_rad(tmp_path / "downloads")
    return tmp_path / "downloads"


def test_the_merged_weights_are_base_and_product_added_in_float32_and_rounded_once(rad: Path, tmp_path: Path) -> None:
    merge(rad / "vicuna-7b-v1.5", rad / "llava-rad", tmp_path / "merged", quiet)
    base, merged = TensorFiles(rad / "vicuna-7b-v1.5"), TensorFiles(tmp_path / "merged")
    adapter = torch.load(rad / "llava-rad" / "adapter_model.bin", weights_only=True)
    changed = 0
    for name in base:
        stem = f"base_model.model.{name.removesuffix('.weight')}"
        expected = base.get(name)
        if f"{stem}.lora_A.weight" in adapter:
            product = adapter[f"{stem}.lora_B.weight"].double() @ adapter[f"{stem}.lora_A.weight"].double()
            expected, before = (base.get(name).double() + 2 * product).half(), expected
            changed += not torch.equal(expected, before)
        torch.testing.assert_close(merged.get(name), expected, rtol=1e-3, atol=0)
    assert changed == 14


def test_the_merged_model_says_what_peft_makes_of_base_and_adapter(rad: Path, tmp_path: Path) -> None:
    from peft import PeftModel
    from transformers import LlamaForCausalLM

    merge(rad / "vicuna-7b-v1.5", rad / "llava-rad", tmp_path / "merged", quiet, torch.float32)
    state: dict[str, Tensor] = {}
    for file in (rad / "vicuna-7b-v1.5").glob("*.bin"):
        state |= {name: one for name, one in torch.load(file, weights_only=True).items() if "rotary" not in name}
    (tmp_path / "base").mkdir()
    save_file(state, tmp_path / "base" / "model.safetensors", metadata={"format": "pt"})
    shutil.copy(rad / "vicuna-7b-v1.5" / "config.json", tmp_path / "base")
    base = LlamaForCausalLM.from_pretrained(tmp_path / "base", dtype=torch.float32)
    with quiet_peft():
        theirs = PeftModel.from_pretrained(base, str(rad / "llava-rad")).merge_and_unload()
    ours = LlamaForCausalLM.from_pretrained(tmp_path / "merged", dtype=torch.float32)
    ids = torch.tensor([[1, 5, 9, 200, 33]])
    with torch.inference_mode():
        torch.testing.assert_close(ours(ids).logits, theirs(ids).logits, rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"use_dora": True}, "asks for more than plain LoRA: use_dora"),
        ({"bias": "all", "modules_to_save": ["embed_tokens"]}, "more than plain LoRA: bias, modules_to_save"),
        ({"r": 0}, "has no usable r and lora_alpha"),
        ({"lora_alpha": "much"}, "has no usable r and lora_alpha"),
        ({"r": 8}, "at rank 8: they are not of one model"),
    ],
)
def test_an_adapter_of_another_kind_is_refused(rad: Path, tmp_path: Path, changed: dict[str, Any], says: str) -> None:
    change(rad / "llava-rad" / "adapter_config.json", **changed)
    with pytest.raises(BundleError, match=says):
        imported(rad, tmp_path / "models")
    assert list((tmp_path / "models").iterdir()) == []


def spoil(path: Path, edit: Callable[[dict[str, Tensor]], Any]) -> None:
    state = torch.load(path, weights_only=True)
    edit(state)
    torch.save(state, path)


FIRST = "base_model.model.model.layers.0.self_attn.q_proj"


def not_a_number(state: dict[str, Tensor]) -> None:
    state[f"{FIRST}.lora_A.weight"][0, 0] = torch.nan


@pytest.mark.parametrize(
    ("file", "edit", "says"),
    [
        ("adapter_model.bin", lambda s: s.pop(f"{FIRST}.lora_B.weight"), r"not in pairs of A and B: .*q_proj"),
        ("adapter_model.bin", lambda s: s.update(x=torch.ones(2)), "not in pairs of A and B: x"),
        (
            "adapter_model.bin",
            lambda s: s.update({f"base_model.model.model.norm.lora_{one}.weight": torch.ones(4) for one in "AB"}),
            r"has 4 and 4 for model\.norm\.weight, which is 32 in the base",
        ),
        ("adapter_model.bin", not_a_number, r"q_proj\.lora_A\.weight holds NaN or infinite numbers"),
        (
            "adapter_model.bin",
            lambda s: s.update({name.replace("layers.0", "layers.7"): one for name, one in list(s.items())}),
            r"changes model\.layers\.7.*which vicuna-7b-v1\.5 does not have",
        ),
        (
            "non_lora_trainables.bin",
            lambda s: s.update({"base_model.model.model.embed_tokens.weight": torch.ones(2, 2)}),
            r"non_lora_trainables\.bin has .*embed_tokens\.weight, which LLaVA-Rad does not have",
        ),
    ],
)
def test_a_spoilt_adapter_is_refused_by_its_tensor(
    rad: Path, tmp_path: Path, file: str, edit: Callable[[dict[str, Tensor]], Any], says: str
) -> None:
    spoil(rad / "llava-rad" / file, edit)
    with pytest.raises(BundleError, match=says):
        imported(rad, tmp_path / "models")
    assert list((tmp_path / "models").iterdir()) == []


def test_the_base_may_lie_elsewhere(rad: Path, tmp_path: Path) -> None:
    base = Path(shutil.move(rad / "vicuna-7b-v1.5", tmp_path / "elsewhere"))
    with pytest.raises(BundleError, match=r"lacks: .*lmsys/vicuna-7b-v1\.5"):
        imported(rad, tmp_path / "models")
    assert imported(rad / "llava-rad", tmp_path / "models", base=base)[0].encoder == "BiomedClipCxr"
