"""Loading the LLM: no missing weight goes unnoticed, and a merged adapter changes exactly what it should."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from training_jobs.language.tuning import save_adapter, trainable
from xraygpt_core.errors import BundleError
from xraygpt_core.model.bundle import Bundle
from xraygpt_core.model.llm import load_base, load_llm, pick_device, pick_dtype
from xraygpt_core.training.config import LlmTuning

CPU = torch.device("cpu")


@pytest.fixture
def adapter(tiny: Bundle, tmp_path: Path) -> Path:
    torch.manual_seed(1)
    model = trainable(tiny, LlmTuning("lora")).model
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.3)
    save_adapter(model, tmp_path / "adapter")
    return tmp_path / "adapter"


def logits(folder: Path, adapter: Path | None) -> torch.Tensor:
    llm = load_llm(folder, adapter, CPU, torch.float32)
    with torch.inference_mode():
        out: torch.Tensor = llm.model(torch.arange(5, 20)[None]).logits
    return out


def test_storing_matrices_by_column_changes_no_number(tiny: Bundle) -> None:
    model, _ = load_base(tiny.llm)
    with torch.inference_mode():
        plain = model.eval()(torch.arange(5, 20)[None]).logits
    torch.testing.assert_close(logits(tiny.llm, None), plain, rtol=1e-4, atol=1e-4)


def test_an_adapter_is_merged(tiny: Bundle, adapter: Path) -> None:
    llm = load_llm(tiny.llm, adapter, CPU, torch.float32)
    assert not any("lora" in name for name, _ in llm.model.named_parameters())
    assert not torch.allclose(logits(tiny.llm, adapter), logits(tiny.llm, None), atol=1e-2)


def test_rotary_frequencies_keep_their_precision(tiny: Bundle, adapter: Path) -> None:
    for merged in (None, adapter):
        model = load_llm(tiny.llm, merged, CPU, torch.bfloat16).model
        assert model.model.rotary_emb.inv_freq.dtype == torch.float32
        assert {parameter.dtype for parameter in model.parameters()} == {torch.bfloat16}


def test_a_saved_adapter_names_no_path_of_the_machine(adapter: Path) -> None:
    config = json.loads((adapter / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] is None
    assert sorted(path.name for path in adapter.iterdir()) == ["adapter_config.json", "adapter_model.safetensors"]


def test_an_incomplete_adapter_is_an_error(tiny: Bundle, adapter: Path) -> None:
    (adapter / "adapter_model.safetensors").unlink()
    with pytest.raises(BundleError, match=r"adapter_model\.safetensors is missing"):
        load_llm(tiny.llm, adapter, CPU, torch.float32)


def test_a_missing_weight_is_named(tiny: Bundle, tmp_path: Path) -> None:
    folder = tmp_path / "llm"
    shutil.copytree(tiny.llm, folder)
    state = load_file(folder / "model.safetensors")
    del state["model.norm.weight"]
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(BundleError, match=r"no weights for model\.norm\.weight"):
        load_base(folder)


def test_a_folder_without_a_model_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="not a language model folder"):
        load_base(tmp_path)


def test_a_pickled_model_is_not_read(tiny: Bundle, tmp_path: Path) -> None:
    folder = tmp_path / "llm"
    shutil.copytree(tiny.llm, folder)
    (folder / "model.safetensors").unlink()
    torch.save({}, folder / "pytorch_model.bin")
    with pytest.raises(BundleError, match="not a language model folder"):
        load_base(folder)


def test_the_cpu_is_taken_where_there_is_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert pick_device("auto") == CPU
    assert pick_device("cuda:1") == torch.device("cuda", 1)


@pytest.mark.parametrize(("has_bf16", "expected"), [(True, torch.bfloat16), (False, torch.float32)])
def test_a_cpu_computes_in_what_it_is_fast_at(
    monkeypatch: pytest.MonkeyPatch, has_bf16: bool, expected: torch.dtype
) -> None:
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: has_bf16)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
    assert pick_dtype(CPU) == expected
    assert pick_dtype(torch.device("cuda")) == torch.bfloat16
