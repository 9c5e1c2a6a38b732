"""The LLM: a Hugging Face LLaMA folder, with the adapter of our tuning merged in."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from xraygpt_core.errors import BundleError


@dataclass(frozen=True)
class Llm:
    """A causal LM in eval mode with its tokenizer."""

    model: Any  # transformers.LlamaForCausalLM
    tokenizer: Any  # transformers.PreTrainedTokenizerFast
    device: torch.device

    @property
    def hidden(self) -> int:
        """Width of an embedding."""
        return int(self.model.config.hidden_size)

    @property
    def context(self) -> int:
        """Tokens it can look back on: more than it was made for where positions are stretched (linear scaling)."""
        config = self.model.config
        scaling = config.rope_parameters
        stretched = scaling["factor"] if scaling["rope_type"] == "linear" else 1
        return int(config.max_position_embeddings * stretched)

    @property
    def ends(self) -> list[int]:
        """The tokens that end an answer."""
        end = self.model.generation_config.eos_token_id
        return [] if end is None else [end] if isinstance(end, int) else list(end)

    def embed(self, ids: list[int]) -> Tensor:
        """Token ids to embeddings (tokens, hidden)."""
        embedded: Tensor = self.model.get_input_embeddings()(torch.tensor(ids, dtype=torch.long, device=self.device))
        return embedded


def pick_device(name: str) -> torch.device:
    """``auto`` is this process's CUDA device (the first, unless it chose another), or else the CPU."""
    if name == "auto":
        return torch.device("cuda", torch.cuda.current_device()) if torch.cuda.is_available() else torch.device("cpu")
    return torch.device(name)


_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def pick_dtype(device: torch.device, wanted: str | None = None) -> torch.dtype:
    """What the bundle wants; or bfloat16 where the hardware multiplies it, and float32 on a CPU that does not.

    Raises:
        BundleError: there is no such precision.
    """
    if wanted is not None:
        if wanted not in _DTYPES:
            raise BundleError(f"llm: dtype {wanted!r} is none of {', '.join(_DTYPES)}")
        return _DTYPES[wanted]
    return torch.bfloat16 if device.type != "cpu" or cpu_multiplies_bfloat16() else torch.float32


def cpu_multiplies_bfloat16() -> bool:
    """Does this processor have instructions for it? Without them it computes five times slower than in float32."""
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()


def load_llm(folder: Path, adapter: Path | None, device: torch.device, dtype: torch.dtype) -> Llm:
    """Load in ``dtype``; with an adapter, load in float32, merge and then cast the parameters.

    Buffers keep their precision, as transformers has it: in bfloat16 the rotary frequencies would turn a token at
    position 250 by a third of a radian too much or too little.

    Raises:
        BundleError: the folder is not a causal LM, or the adapter is not one for it.
    """
    model, tokenizer = load_merged(folder, adapter, dtype)
    return Llm(model.to(device).eval().requires_grad_(False), tokenizer, device)


def load_merged(folder: Path, adapter: Path | None, dtype: torch.dtype) -> tuple[Any, Any]:
    """The same model on the CPU, and its tokenizer."""
    model, tokenizer = load_base(folder, dtype if adapter is None else torch.float32)
    if adapter is not None:
        with quiet_peft():
            model = attach_adapter(model, adapter).merge_and_unload()
        for parameter in model.parameters():
            parameter.data = parameter.data.to(dtype)
    return model, tokenizer


def load_base(folder: Path, dtype: torch.dtype = torch.float32) -> tuple[Any, Any]:
    """The folder's model on the CPU, and its tokenizer. Only safetensors are read, never pickles."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        model, report = AutoModelForCausalLM.from_pretrained(
            folder, local_files_only=True, use_safetensors=True, dtype=dtype, output_loading_info=True
        )
    except (OSError, ValueError) as error:
        raise BundleError(f"{folder} is not a language model folder: {error}") from error
    if missing := sorted(report["missing_keys"]):
        raise BundleError(f"{folder} has no weights for {', '.join(missing[:5])}")
    return model, tokenizer


@contextmanager
def quiet_peft() -> Iterator[None]:
    """peft 0.21 asks transformers 5.23 for a property under its old name, and transformers warns about that."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".is_gradient_checkpointing. is deprecated", category=FutureWarning)
        yield


def attach_adapter(model: Any, adapter: Path, *, trainable: bool = False) -> Any:
    """The model with a PEFT adapter on it.

    Raises:
        BundleError: the adapter is incomplete or fits another model.
    """
    from peft import PeftModel

    for name in ("adapter_config.json", "adapter_model.safetensors"):
        if not (adapter / name).is_file():
            raise BundleError(f"{adapter / name} is missing")
    try:
        with quiet_peft():
            return PeftModel.from_pretrained(model, str(adapter), is_trainable=trainable)
    except (RuntimeError, ValueError, KeyError) as error:
        raise BundleError(f"the adapter in {adapter} does not fit this language model: {error}") from error
