"""A language model made trainable, and written so that ours and anybody's programs load it again."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from training_jobs.language.loss import DialogueLoss
from training_jobs.language.samples import passage_of
from training_jobs.language.tuning import merge, save_adapter, save_llm, stored_dtype, trainable
from training_jobs.learning.objective import Passage
from xraygpt_core.errors import BundleError, TrainingError
from xraygpt_core.model.bundle import Bundle
from xraygpt_core.model.compose import compose_bundle
from xraygpt_core.model.llm import Llm, load_base, load_llm
from xraygpt_core.training.config import LlmTuning

CPU = torch.device("cpu")
TURNS = [(("Is it?", "It is fine."),), (("a", "b"), ("c", "Not a word more than this one."))]


def passages(llm: Llm) -> list[Passage]:
    return [passage_of(llm.tokenizer, "vicuna-v1.1", turns, 900) for turns in TURNS]


def logits(folder: Path, adapter: Path | None = None) -> torch.Tensor:
    with torch.inference_mode():
        out: torch.Tensor = load_llm(folder, adapter, CPU, torch.float32).model(torch.arange(5, 20)[None]).logits
    return out


@pytest.fixture
def adapter(tiny_base: Bundle, tmp_path: Path) -> Path:
    llm = trainable(tiny_base, LlmTuning("lora", rank=4, alpha=8))
    for name, parameter in llm.model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.3)
    save_adapter(llm.model, tmp_path / "adapter")
    return tmp_path / "adapter"


def test_lora_learns_an_adapter_of_its_rank_alone(tiny_base: Bundle) -> None:
    model = trainable(tiny_base, LlmTuning("lora", rank=4, alpha=8)).model
    learns = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert all("lora_" in name for name in learns)
    assert {min(parameter.shape) for parameter in learns.values()} == {4}


def test_full_learns_every_weight_and_none_learns_nothing(tiny_base: Bundle) -> None:
    assert all(one.requires_grad for one in trainable(tiny_base, LlmTuning("full")).model.parameters())
    assert not any(one.requires_grad for one in trainable(tiny_base, LlmTuning("none")).model.parameters())


def test_in_bfloat16_an_adapter_stays_exact_and_so_do_weights_that_learn(tiny_base: Bundle) -> None:
    lora = trainable(tiny_base, LlmTuning("lora"), precision="bfloat16").model
    assert {one.dtype for one in lora.parameters() if one.requires_grad} == {torch.float32}
    assert {one.dtype for one in lora.parameters() if not one.requires_grad} == {torch.bfloat16}
    full = trainable(tiny_base, LlmTuning("full"), precision="bfloat16").model
    assert {one.dtype for one in full.parameters()} == {torch.float32}


@pytest.mark.parametrize("tune", ["lora", "full"])
def test_checkpointed_activations_give_the_same_gradients(tiny_base: Bundle, tune: str) -> None:
    gradients = []
    for again in (False, True):
        torch.manual_seed(0)
        llm = trainable(tiny_base, LlmTuning(tune, rank=4, gradient_checkpointing=again))
        total, *_ = DialogueLoss(llm)(passages(llm))
        total.backward()
        gradients.append([one.grad for one in llm.model.parameters() if one.grad is not None])
    assert len(gradients[0]) > 4
    for plain, repeated in zip(*gradients, strict=True):
        torch.testing.assert_close(plain, repeated)


def test_a_written_model_is_the_same_for_ours_and_for_plain_transformers(tiny_base: Bundle, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model, tokenizer = load_base(tiny_base.llm)
    save_llm(model, tokenizer, tmp_path / "llm", dtype="float32")
    assert torch.equal(logits(tmp_path / "llm"), logits(tiny_base.llm))
    plain = AutoModelForCausalLM.from_pretrained(tmp_path / "llm").eval()
    with torch.inference_mode():
        torch.testing.assert_close(plain(torch.arange(5, 20)[None]).logits, logits(tiny_base.llm))
    assert plain.generation_config.eos_token_id == model.generation_config.eos_token_id
    assert AutoTokenizer.from_pretrained(tmp_path / "llm").get_vocab() == tokenizer.get_vocab()


def test_what_is_written_has_the_precision_asked_for_and_no_path(tiny_base: Bundle, tmp_path: Path) -> None:
    model, tokenizer = load_base(tiny_base.llm)
    save_llm(model, tokenizer, tmp_path / "llm")
    assert load_base(tmp_path / "llm", torch.float32)[0].config.dtype == torch.float32
    assert stored_dtype(tmp_path / "llm") == "bfloat16"
    text = "".join(file.read_text() for file in (tmp_path / "llm").glob("*.json"))
    assert str(tiny_base.path) not in text
    assert str(tmp_path) not in text


def test_large_weights_are_written_in_shards_that_a_bundle_takes(
    tiny_base: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training_jobs.language.tuning._SHARD_BYTES", 40_000)
    model, tokenizer = load_base(tiny_base.llm)
    save_llm(model, tokenizer, tmp_path / "llm", dtype="float32")
    assert len(list((tmp_path / "llm").glob("model-*.safetensors"))) > 1
    made = compose_bundle(tiny_base, tmp_path / "models", "sharded", projector=None, adapter=None, llm=tmp_path / "llm")
    assert torch.equal(logits(made.llm), logits(tiny_base.llm))


def test_a_merged_adapter_says_what_it_said_beside_the_model(tiny_base: Bundle, adapter: Path, tmp_path: Path) -> None:
    counts = merge(tiny_base, adapter, tmp_path / "merged")
    assert counts["dtype"] == "float32"
    torch.testing.assert_close(logits(tmp_path / "merged"), logits(tiny_base.llm, adapter), rtol=1e-4, atol=1e-4)
    assert not torch.allclose(logits(tmp_path / "merged"), logits(tiny_base.llm), atol=1e-3)


def test_merging_overwrites_nothing_and_needs_an_adapter(tiny_base: Bundle, adapter: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="there already"):
        merge(tiny_base, adapter, tmp_path)
    with pytest.raises(TrainingError, match="has no adapter"):
        merge(tiny_base, None, tmp_path / "merged")


def test_merging_an_adapter_of_another_model_leaves_nothing(tiny_base: Bundle, adapter: Path, tmp_path: Path) -> None:
    settings = json.loads((adapter / "adapter_config.json").read_text())
    (adapter / "adapter_config.json").write_text(json.dumps(settings | {"r": 7}))
    with pytest.raises(BundleError, match="does not fit"):
        merge(tiny_base, adapter, tmp_path / "merged")
    assert not (tmp_path / "merged").exists()


def test_a_base_with_an_adapter_goes_on_learning_it(tiny_base: Bundle, adapter: Path, tmp_path: Path) -> None:
    base = replace(tiny_base, adapter=adapter)
    model = trainable(base, LlmTuning("lora", rank=16)).model
    assert {min(one.shape) for one in model.parameters() if one.requires_grad} == {4}
    whole = trainable(base, LlmTuning("full"))
    save_llm(whole.model, whole.tokenizer, tmp_path / "llm", dtype="float32")
    torch.testing.assert_close(logits(tmp_path / "llm"), logits(tiny_base.llm, adapter), rtol=1e-4, atol=1e-4)
