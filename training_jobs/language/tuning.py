"""A bundle's language model made trainable, and written again: as a LoRA adapter, or as a whole Hugging Face folder."""

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from xraygpt_core.durable import complete_directory
from xraygpt_core.errors import TrainingError
from xraygpt_core.model.bundle import Bundle
from xraygpt_core.model.llm import Llm, attach_adapter, load_base, load_merged, quiet_peft
from xraygpt_core.training.config import LlmTuning

_TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj"]
_ADAPTER_CONFIG = "adapter_config.json"
_SHARD_BYTES = 5 * 10**9
_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
_CPU = torch.device("cpu")


def trainable(base: Bundle, tuning: LlmTuning, device: torch.device = _CPU, precision: str = "float32") -> Llm:
    """The base's LLM, in training mode, with what ``tuning`` says to be learned.

    ``lora`` learns a float32 adapter, the base's own or a new one, over weights in ``precision``. ``full`` learns every
    weight, the base's adapter merged in, in float32: an update is too small for bfloat16 (a step of 1e-5 is lost in a
    weight of 0.01); the loop computes in ``precision``. ``none`` learns nothing.

    Raises:
        BundleError: the base's LLM or adapter cannot be read.
    """
    frozen = _DTYPES[precision if tuning.tune == "lora" else "float32"]
    if tuning.tune == "lora":
        model, tokenizer = load_base(base.llm, frozen)
        model = _with_adapter(model, base.adapter, tuning)
    else:
        model, tokenizer = load_merged(base.llm, base.adapter, frozen)
        model.requires_grad_(tuning.tune == "full")
    if tuning.gradient_checkpointing:
        checkpoint_activations(model)
    return Llm(model.to(device).train(), tokenizer, device)


def _with_adapter(model: Any, adapter: Path | None, tuning: LlmTuning) -> Any:
    from peft import LoraConfig, get_peft_model

    if adapter is not None:
        return attach_adapter(model, adapter, trainable=True)
    lora = LoraConfig(
        r=tuning.rank, lora_alpha=tuning.alpha, target_modules=_TARGETS, lora_dropout=0.0, task_type="CAUSAL_LM"
    )
    with quiet_peft():
        return get_peft_model(model, lora)


def checkpoint_activations(model: Any) -> None:
    """Keep each layer's input alone and compute the rest again going back: a third slower, in a fraction of memory."""
    inner = model.get_base_model() if hasattr(model, "get_base_model") else model
    inner.activation_checkpointing_enable({"use_reentrant": False})


def save_adapter(model: Any, folder: Path, state: dict[str, Tensor] | None = None) -> None:
    """PEFT's files, weights in bfloat16, and no path of this machine in the configuration.

    Args:
        state: the model's weights, where the model itself holds only parts of them.
    """
    state = {name: value.bfloat16() for name, value in (state or model.state_dict()).items()}
    model.save_pretrained(str(folder), state_dict=state)
    settings = json.loads((folder / _ADAPTER_CONFIG).read_text()) | {"base_model_name_or_path": None}
    (folder / _ADAPTER_CONFIG).write_text(json.dumps(settings, indent=2, sort_keys=True) + "\n")
    (folder / "README.md").unlink(missing_ok=True)


def save_llm(
    model: Any, tokenizer: Any, folder: Path, *, dtype: str = "bfloat16", state: dict[str, Tensor] | None = None
) -> None:
    """A Hugging Face folder: safetensors in shards of at most 5 GB, configuration, generation settings, tokenizer.

    An adapter on the model is merged into it first, in place.

    Args:
        dtype: what the weights are stored in.
        state: the model's weights, where the model itself holds only parts of them.
    """
    if hasattr(model, "merge_and_unload"):
        with quiet_peft():
            model = model.merge_and_unload()
    weights = {name: _stored(tensor, _DTYPES[dtype]) for name, tensor in (state or own_weights(model)).items()}
    model.save_pretrained(folder, state_dict=weights, max_shard_size=_SHARD_BYTES)
    tokenizer.save_pretrained(folder)
    for file in folder.iterdir():
        file.chmod(0o644)  # safetensors' own are for one user alone
    for name in ("config.json", "tokenizer_config.json", "generation_config.json"):
        _forget_paths(folder / name)
    settings = json.loads((folder / "config.json").read_text())  # says what the model in memory has
    (folder / "config.json").write_text(json.dumps(settings | {"dtype": dtype}, indent=2, sort_keys=True) + "\n")


def own_weights(model: Any) -> dict[str, Tensor]:
    """The model's state with each tensor once, where two names share one."""
    once, all_names = dict(model.named_parameters()), dict(model.named_parameters(remove_duplicate=False))
    state: dict[str, Tensor] = model.state_dict()
    return {name: tensor for name, tensor in state.items() if name in once or name not in all_names}


def _stored(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    return tensor.detach().to(_CPU, dtype) if tensor.is_floating_point() else tensor.detach().to(_CPU)


def _forget_paths(file: Path) -> None:
    """Leave out where the base lay on this machine."""
    if file.is_file():
        settings = json.loads(file.read_text())
        kept = {key: value for key, value in settings.items() if key not in ("_name_or_path", "name_or_path")}
        if kept != settings:
            file.write_text(json.dumps(kept, indent=2, sort_keys=True) + "\n")


def stored_dtype(folder: Path) -> str:
    """The precision an LLM folder says its weights have; bfloat16 where it says nothing we know."""
    settings = json.loads((folder / "config.json").read_text())
    said = settings.get("dtype") or settings.get("torch_dtype")
    return said if said in _DTYPES else "bfloat16"


def merge(base: Bundle, adapter: Path | None, out: Path) -> dict[str, Any]:
    """The base's LLM with an adapter merged in, as a Hugging Face folder in the precision the base is stored in.

    Merged in float32, rounded once.

    Args:
        adapter: None: the base's own.

    Raises:
        BundleError: the LLM cannot be read, or the adapter does not fit it.
        TrainingError: there is no adapter, or ``out`` is there already.
    """
    if (adapter := adapter or base.adapter) is None:
        raise TrainingError(f"bundle {base.name!r} has no adapter; name one with --adapter")
    if out.exists():
        raise TrainingError(f"{out} is there already; name a new folder")
    model, tokenizer = load_merged(base.llm, adapter, torch.float32)
    dtype = stored_dtype(base.llm)
    with complete_directory(out) as work:
        save_llm(model, tokenizer, work, dtype=dtype)
    return {"parameters": sum(parameter.numel() for parameter in model.parameters()), "dtype": dtype}
