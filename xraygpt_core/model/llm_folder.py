"""A language model's folder as a part of a bundle: what is in it, and whether it fits. No torch here."""

import json
from pathlib import Path
from typing import Any

from xraygpt_core.errors import BundleError

_SUFFIXES = (".json", ".safetensors", ".model", ".txt", ".jinja")
_INDEX, _WHOLE = "model.safetensors.index.json", "model.safetensors"
_NEEDED = ("config.json", "tokenizer.json")


def llm_files(folder: Path, base: Path, *, same_width: bool) -> list[str]:
    """The names of the files to take from an LLM's folder; pickles and whatever is none of its files stay behind.

    Args:
        base: the folder whose place it takes: its tokenizer's words are the ones prompts are made of.
        same_width: a projector that was trained for the base's LLM is kept.

    Raises:
        BundleError: a file is missing, the vocabularies differ, or the embeddings have another width.
    """
    names = sorted(path.name for path in folder.glob("*") if path.suffix in _SUFFIXES and path.is_file())
    names = [name for name in names if not name.startswith(".")]
    if missing := sorted({*_NEEDED, *_weights(folder)} - set(names)):
        raise BundleError(f"the language model's folder is incomplete: {', '.join(missing[:5])} missing")
    own, known = _vocabulary(folder), _vocabulary(base)
    if own != known:
        raise BundleError(
            f"the language model has another vocabulary than the bundle's ({len(own)} and {len(known)} tokens, "
            f"{len(own.items() ^ known.items())} entries differ): its tokenizer must be the bundle's"
        )
    width, before = (_read(at / "config.json").get("hidden_size") for at in (folder, base))
    if same_width and width != before:
        raise BundleError(
            f"the language model's embeddings are {width} wide, those that the bundle's projector was trained for "
            f"{before}: train a projector for it"
        )
    return names


def _weights(folder: Path) -> set[str]:
    """The files that hold the weights, by the index where there are several."""
    if not (folder / _INDEX).is_file():
        return {_WHOLE}
    mapping = _read(folder / _INDEX).get("weight_map")
    if not isinstance(mapping, dict) or not mapping:
        raise BundleError(f"{_INDEX} names no weights")
    return {str(name) for name in mapping.values()}


def _vocabulary(folder: Path) -> dict[str, int]:
    """Every token of ``tokenizer.json`` and its id."""
    data = _read(folder / "tokenizer.json")
    try:
        words = data["model"]["vocab"]
        if not isinstance(words, dict):  # a unigram model: [token, score] in the order of ids
            words = {token: number for number, (token, _) in enumerate(words)}
        return words | {token["content"]: token["id"] for token in data.get("added_tokens", ())}
    except (KeyError, TypeError, ValueError) as error:
        raise BundleError(f"{folder.name}/tokenizer.json is no tokenizer: {type(error).__name__}") from error


def _read(file: Path) -> dict[str, Any]:
    try:
        data = json.loads(file.read_text())
    except (OSError, ValueError, RecursionError) as error:
        raise BundleError(f"{file.parent.name}/{file.name} is missing or no JSON: {type(error).__name__}") from error
    if not isinstance(data, dict):
        raise BundleError(f"{file.parent.name}/{file.name} is no JSON object")
    return data
