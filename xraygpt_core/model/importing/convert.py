"""One-time conversion of published weights to safetensors: a GGUF LLaMA, and a state dict read without pickled code."""

import pickle
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor

from xraygpt_core.errors import BundleError
from xraygpt_core.model.importing.files import DAMAGE
from xraygpt_core.model.importing.gguf_header import check_header
from xraygpt_core.model.importing.sentencepiece import Piece, build_tokenizer
from xraygpt_core.model.loading import weights_of

_LAYER_NAMES = {
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
    "attn_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
}
_OUTER_NAMES = {
    "token_embd.weight": "model.embed_tokens.weight",
    "output_norm.weight": "model.norm.weight",
    "output.weight": "lm_head.weight",
}


def convert_state_dict(source: Path, target: Path, *, drop: tuple[str, ...] = ()) -> None:
    """A ``torch.save`` file of tensors to safetensors, without the entries that begin with ``drop``.

    Raises:
        BundleError: the file holds anything but tensors.
    """
    try:
        state = torch.load(source, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise BundleError(f"{source.name} holds more than tensors and is not read") from error
    kept = {key: value.contiguous() for key, value in state.items() if not key.startswith(drop)}
    save_file(weights_of(kept), target)


def convert_gguf(source: Path, folder: Path) -> None:
    """A GGUF file of the LLaMA architecture to a Hugging Face folder: bfloat16 safetensors, config and tokenizer.

    Raises:
        BundleError: the file holds another architecture, or is damaged.
    """
    with _readable(source):
        _convert_gguf(_reader(source), source, folder)


def _convert_gguf(reader: Any, source: Path, folder: Path) -> None:
    from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM

    fields = {name: field.contents() for name, field in reader.fields.items() if not name.startswith("tokenizer.")}
    if fields.get("general.architecture") != "llama":
        raise BundleError(f"{source.name} holds a {fields.get('general.architecture')} model, not a llama")
    tokenizer = _tokenizer(reader, source)
    state = _state(reader, fields)
    if not 0 < int(fields["llama.block_count"]) <= len(state):
        raise BundleError(f"{source.name} has not as many layers as it says")
    config = LlamaConfig(
        **_config(fields, state), bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id
    )
    with torch.device("meta"):
        model = LlamaForCausalLM(config)
    tied = {"lm_head.weight": state["model.embed_tokens.weight"]} if config.tie_word_embeddings else {}
    model.load_state_dict(state | tied, strict=True, assign=True)
    model.tie_weights()
    model.generation_config = GenerationConfig(
        bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id
    )
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _tokenizer(reader: Any, source: Path) -> Any:
    """LLaMA's own kind from its SentencePiece vocabulary, exactly; any other kind as transformers reads it."""
    from transformers import AutoTokenizer, PreTrainedTokenizerFast

    def value(name: str) -> Any:
        field = reader.fields.get(f"tokenizer.ggml.{name}")
        return None if field is None else field.contents()

    if value("model") != "llama":
        return AutoTokenizer.from_pretrained(source.parent, gguf_file=source.name, local_files_only=True)
    pieces = [Piece(*entry) for entry in zip(value("tokens"), value("scores"), value("token_type"), strict=True)]
    special = {role: pieces[index].text for role in ("bos", "eos") if (index := value(f"{role}_token_id")) is not None}
    names = {f"{role}_token": text for role, text in special.items()} | {"pad_token": special["eos"]}
    return PreTrainedTokenizerFast(tokenizer_object=build_tokenizer(pieces), **names)


def gguf_hidden(source: Path) -> int:
    """Width of the embeddings in a GGUF file, from its header.

    Raises:
        BundleError: the file holds no llama, or is damaged.
    """
    with _readable(source):
        return int(_reader(source).fields["llama.embedding_length"].contents())


def _reader(source: Path) -> Any:
    """The public reader, on a file whose every length lies within it."""
    check_header(source)
    from gguf import GGUFReader

    return GGUFReader(str(source))


@contextmanager
def _readable(source: Path) -> Iterator[None]:
    """Whatever else the public reader and the conversion find wrong, it is the file."""
    try:
        yield
    except DAMAGE as error:
        raise BundleError(f"{source.name} is no GGUF file of a llama, or damaged") from error


def _config(fields: dict[str, Any], state: dict[str, Tensor]) -> dict[str, Any]:
    heads = int(fields["llama.attention.head_count"])
    vocabulary, hidden = state["model.embed_tokens.weight"].shape
    return {
        "vocab_size": vocabulary,
        "hidden_size": hidden,
        "intermediate_size": int(fields["llama.feed_forward_length"]),
        "num_hidden_layers": int(fields["llama.block_count"]),
        "num_attention_heads": heads,
        "num_key_value_heads": int(fields.get("llama.attention.head_count_kv", heads)),
        "max_position_embeddings": int(fields["llama.context_length"]),
        "rms_norm_eps": float(fields["llama.attention.layer_norm_rms_epsilon"]),
        "rope_parameters": {"rope_type": "default", "rope_theta": float(fields.get("llama.rope.freq_base", 10000.0))},
        "tie_word_embeddings": "lm_head.weight" not in state,
        "dtype": "bfloat16",
    }


def _state(reader: Any, fields: dict[str, Any]) -> dict[str, Tensor]:
    from gguf import dequantize

    heads = int(fields["llama.attention.head_count"])
    groups = int(fields.get("llama.attention.head_count_kv", heads))
    state: dict[str, Tensor] = {}
    for tensor in reader.tensors:
        weights = dequantize(tensor.data, tensor.tensor_type).astype(np.float32, copy=False)
        if tensor.name.endswith(("attn_q.weight", "attn_k.weight")):
            weights = _unpermute(weights, heads if "attn_q" in tensor.name else groups)
        state[_hugging_face_name(tensor.name)] = torch.tensor(weights).bfloat16()
    return state


def _unpermute(weights: NDArray[np.float32], heads: int) -> NDArray[np.float32]:
    """GGUF interleaves the two halves of each rotary head; Hugging Face keeps them apart."""
    rows, columns = weights.shape
    return weights.reshape(heads, rows // heads // 2, 2, columns).swapaxes(1, 2).reshape(rows, columns)


def _hugging_face_name(name: str) -> str:
    if name in _OUTER_NAMES:
        return _OUTER_NAMES[name]
    match = re.fullmatch(r"blk\.(\d+)\.(\w+)\.weight", name)
    if match is None or match[2] not in _LAYER_NAMES:
        raise BundleError(f"a tensor named {name} does not belong into a llama")
    return f"model.layers.{match[1]}.{_LAYER_NAMES[match[2]]}.weight"
