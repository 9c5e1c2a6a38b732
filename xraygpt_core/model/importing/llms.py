"""A LLaMA folder from Hugging Face, or a GGUF file, into the ``llm`` folder of a bundle: safetensors only."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from xraygpt_core.errors import BundleError
from xraygpt_core.model.importing.files import DAMAGE, FileKind, Progress, gib, kind_of, links_into, place, real_path
from xraygpt_core.model.importing.findings import ImportedPart
from xraygpt_core.model.importing.tensor_names import TensorLayout, check_shapes, match, sizes
from xraygpt_core.model.importing.tensors import TensorFiles, read_json, separate
from xraygpt_core.model.importing.tokenizer import convert_tokenizer
from xraygpt_core.model.loading import uninitialised

_LAYOUT = TensorLayout((), {}, (r"rotary_emb\.inv_freq$",))  # a buffer that old files carry and new code computes
_PRIVATE = ("_name_or_path", "auto_map", "torch_dtype", "dtype", "transformers_version")
_IDS = ("bos_token_id", "eos_token_id", "pad_token_id")  # the tokenizer knows better
_INDEX, _SINGLE = "model.safetensors.index.json", "model.safetensors"
_MOST_LAYERS = 1000  # the largest LLaMA has 126; each is made, without its weights, to compare with
_PIECE_BYTES = 2 * 2**30  # of a pickle, that are in memory at a time


@dataclass(frozen=True)
class ReadLlm:
    """A folder that was looked at: nothing is read of its weights but names and shapes."""

    source: Path
    config: dict[str, Any]
    files: TensorFiles
    shapes: Mapping[str, tuple[int, ...]]
    part: ImportedPart

    @property
    def hidden(self) -> int:
        """Width of an embedding."""
        return int(self.config["hidden_size"])

    def bytes_to_write(self, folder: Path) -> int:
        """What the folder of the bundle will take: nothing for files that can be linked."""
        safe = [path for path in self.files.paths if kind_of(path) is FileKind.SAFETENSORS]
        paths = self.files.paths if len(safe) < len(self.files.paths) else []
        paths = paths or [path for path in safe if not links_into(path, folder)]
        return sum(real_path(path).stat().st_size for path in paths)

    def write(self, folder: Path, progress: Progress) -> None:
        """Check every number, then link safetensors and convert pickles, one shard at a time."""
        folder.mkdir(parents=True)
        found, ids = convert_tokenizer(self.source, folder)
        rows = self.shapes["model.embed_tokens.weight"][0]
        if ids["highest"] >= rows:
            raise BundleError(
                f"the tokenizer of {self.source.name} has ids up to {ids['highest']}, its embedding {rows} rows: "
                "they belong to two models"
            )
        self.part.notes.insert(0, found)
        _write_config(folder, self.config, ids)
        _Shards(self, folder, progress).write()


class _Shards:
    """The weights of one folder on their way into the bundle."""

    def __init__(self, llm: ReadLlm, folder: Path, progress: Progress) -> None:
        self._llm, self._folder, self._progress = llm, folder, progress
        self._places: dict[str, str] = {}
        self._done = 0
        self._total = sum(real_path(path).stat().st_size for path in llm.files.paths)

    def write(self) -> None:
        for path in self._llm.files.paths:
            held = [name for name in self._llm.files if self._llm.files.file_of(name) == path]
            used = [name for name in held if name in self._llm.shapes]
            if kind_of(path) is FileKind.SAFETENSORS:
                self._check(path, used)
            else:
                self._convert(path, used)
        if set(self._places.values()) != {_SINGLE}:
            index = {"metadata": {"total_size": self._total}, "weight_map": self._places}
            (self._folder / _INDEX).write_text(json.dumps(index, indent=2) + "\n")

    def _check(self, path: Path, names: list[str]) -> None:
        for name in names:
            self._count(self._llm.files.get(name), path)
        self._llm.part.notes.append(f"{path.name} {place(path, self._folder / path.name)}")
        self._places |= dict.fromkeys(names, path.name)

    def _convert(self, path: Path, names: list[str]) -> None:
        """A pickle in pieces that fit into memory, each a file of its own."""
        base = re.sub(r"^pytorch_model", "model", path.stem)
        waiting: dict[str, Tensor] = {}
        pieces = 0
        for name in names:
            waiting[name] = self._llm.files.get(name)
            self._count(waiting[name], path)
            if name == names[-1] or sum(tensor.nbytes for tensor in waiting.values()) >= _PIECE_BYTES:
                target = f"{base}-{pieces}.safetensors" if pieces else f"{base}.safetensors"
                save_file(separate(waiting), self._folder / target, metadata={"format": "pt"})
                self._places |= dict.fromkeys(waiting, target)
                waiting, pieces = {}, pieces + 1
        self._llm.part.notes.append(f"{path.name} converted to safetensors")

    def _count(self, tensor: Tensor, path: Path) -> None:
        self._done = min(self._done + tensor.numel() * tensor.element_size(), self._total)
        self._progress(self._done, self._total, f"checking {path.name}")


def read_llm(source: Path) -> ReadLlm:
    """Look at a folder: its configuration, and whether every tensor is there in the right shape.

    Raises:
        BundleError: naming what is missing, foreign or of another shape.
    """
    if not real_path(source).is_dir():
        raise BundleError(f"{source} is neither a folder with a language model nor a GGUF file")
    if not (source / "config.json").exists():
        raise BundleError(f"{source} has no config.json; is this the folder of the model itself?")
    config = read_json(source / "config.json")
    _check_config(config)
    wanted = _expected(config)
    files = TensorFiles(source)
    if config.get("tie_word_embeddings") and "lm_head.weight" not in files:
        wanted.pop("lm_head.weight")
    matched = match(wanted, files, _LAYOUT, "LLaMA")
    check_shapes(wanted, files, matched, "LLaMA of this config.json")
    size = sum(real_path(path).stat().st_size for path in files.paths)
    hidden, layers = config["hidden_size"], config["num_hidden_layers"]
    rows = wanted["model.embed_tokens.weight"][0]
    part = ImportedPart("llm", f"LLaMA, {layers} layers", f"hidden {hidden}, {rows} tokens, {gib(size)}", len(wanted))
    part.ignored = matched.ignored
    part.notes = [_version(rows, config)]
    return ReadLlm(source, config, files, wanted, part)


def _check_config(config: Mapping[str, Any]) -> None:
    if config.get("model_type") != "llama":
        raise BundleError(f"config.json is of a {config.get('model_type')} model; only LLaMA models are read here")
    if "quantization_config" in config:
        raise BundleError(
            "config.json says that the weights are quantised; take the unquantised folder, or a GGUF file"
        )
    for name in ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "vocab_size"):
        if not isinstance(config.get(name), int) or isinstance(config[name], bool) or config[name] < 1:
            raise BundleError(f"config.json has no usable {name}")
    if config["num_hidden_layers"] > _MOST_LAYERS:
        raise BundleError(f"config.json has no usable num_hidden_layers: more than {_MOST_LAYERS}")


def _expected(config: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """Name and shape of every tensor of this configuration."""
    from huggingface_hub.errors import StrictDataclassError
    from transformers import LlamaConfig, LlamaForCausalLM

    try:
        settings = LlamaConfig(**{key: value for key, value in config.items() if key not in _PRIVATE + _IDS})
        with torch.device("meta"), uninitialised():
            model = LlamaForCausalLM(settings)
    except (StrictDataclassError, *DAMAGE) as error:
        reason = " ".join(str(error).split())
        raise BundleError(f"config.json does not describe a LLaMA: {reason}") from error
    return {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}


def _version(rows: int, config: Mapping[str, Any]) -> str:
    """Which Vicuna this looks like: a projector trained on one says nothing sensible on another."""
    if rows == 32001:
        return "32001 tokens: a LLaMA-1 with [PAD], as Vicuna v0 (### prompts)"
    if rows == 32000 and config.get("max_position_embeddings", 2048) > 2048:
        return "32000 tokens, long context: Llama 2, as Vicuna v1.5 (USER/ASSISTANT prompts)"
    if rows == 32000:
        return "32000 tokens: LLaMA-1 without [PAD], as Vicuna v1.1 and v1.3, or a v0 that was saved so"
    return f"{rows} tokens: none of the published Vicunas"


def _write_config(folder: Path, config: Mapping[str, Any], ids: Mapping[str, int]) -> None:
    special: dict[str, Any] = {name: ids.get(name.removesuffix("_id")) for name in _IDS}
    ends = config.get("eos_token_id")
    if isinstance(ends, list) and special["eos_token_id"] in ends and all(type(end) is int for end in ends):
        special["eos_token_id"] = ends  # Llama 3 ends a turn and a text with different tokens
    kept = {key: value for key, value in config.items() if key not in _PRIVATE}
    (folder / "config.json").write_text(json.dumps(kept | special, indent=2) + "\n")
    (folder / "generation_config.json").write_text(json.dumps(special, indent=2) + "\n")


def describe_gguf(folder: Path) -> ImportedPart:
    """What a converted GGUF file holds."""
    config = read_json(folder / "config.json")
    files = TensorFiles(folder)
    shape = sizes(files.shape("model.embed_tokens.weight"))
    part = ImportedPart("llm", f"LLaMA from GGUF, {config['num_hidden_layers']} layers", f"embedding {shape}, bfloat16")
    part.tensors = len(list(files))
    return part
