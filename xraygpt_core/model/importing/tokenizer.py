"""The tokenizer of a Hugging Face LLaMA folder, written so that every version of the libraries reads it alike."""

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from xraygpt_core.errors import BundleError
from xraygpt_core.model.importing.files import real_path
from xraygpt_core.model.importing.sentencepiece import build_tokenizer, read_pieces
from xraygpt_core.model.importing.tensors import read_json

_SPECIAL = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
_FILES = (
    "tokenizer.model", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json",
)  # fmt: skip


def convert_tokenizer(source: Path, folder: Path) -> tuple[str, dict[str, int]]:
    """Write ``tokenizer.json`` and its configuration; what was found, and the ids of the special tokens.

    ``tokenizer.model`` goes first: it is what the reference code reads. transformers 5 would build another tokenizer
    from either file, depending on a key that older folders do not have.

    Raises:
        BundleError: there is no tokenizer, or it is damaged.
    """
    if (source / "tokenizer.model").exists():
        tokenizer = made_tokenizer(source)
        found = "SentencePiece tokenizer.model"
    elif (source / "tokenizer.json").exists():
        tokenizer = published_tokenizer(source)
        found = "tokenizer.json"
    else:
        raise BundleError(f"{source} has no tokenizer: neither tokenizer.model nor tokenizer.json")
    ids, names = _special(tokenizer, source)
    tokenizer.save(str(folder / "tokenizer.json"))
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        **names,
        "clean_up_tokenization_spaces": False,
        "model_max_length": 1_000_000,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n")
    return f"{found} with {tokenizer.get_vocab_size()} tokens", ids


def made_tokenizer(source: Path) -> Any:
    """A ``tokenizers.Tokenizer`` of ``tokenizer.model`` and the added tokens.

    Raises:
        BundleError: one of the files is damaged.
    """
    pieces = read_pieces(real_path(source / "tokenizer.model"))
    tokenizer = build_tokenizer(pieces, legacy=_config(source).get("legacy") is not False)
    _add_tokens(tokenizer, source)
    return tokenizer


def published_tokenizer(source: Path) -> Any:
    """The ``tokenizers.Tokenizer`` of ``tokenizer.json``.

    Raises:
        BundleError: it is damaged, or of another kind.
    """
    from tokenizers import Tokenizer

    path = source / "tokenizer.json"
    model = read_json(path).get("model")
    if not isinstance(model, dict) or model.get("type") != "BPE" or not isinstance(model.get("vocab"), dict):
        raise BundleError(f"{path.name} is not a tokenizer of byte pairs")
    return Tokenizer.from_file(str(real_path(path)))


def copy_tokenizer(sources: Sequence[Path], target: Path) -> None:
    """The tokenizer's files of the first folder that has each."""
    for name in _FILES:
        source = next((folder / name for folder in sources if (folder / name).is_file()), None)
        if source is not None:
            shutil.copyfile(source, target / name)


def _add_tokens(tokenizer: Any, source: Path) -> None:
    """Tokens beside the SentencePiece vocabulary, as Vicuna v0's ``[PAD]`` and MAIRA-2's ``<box>``.

    Those that ``tokenizer_config.json`` calls not special stay in the text of an answer.
    """
    from tokenizers import AddedToken

    path = source / "added_tokens.json"
    added = read_json(path) if path.exists() else {}
    spoken = _spoken(source)
    for text, index in sorted(added.items(), key=lambda entry: str(entry[1]).zfill(9)):
        found = tokenizer.token_to_id(text)
        if found is None:
            token = AddedToken(text, normalized=False, special=text not in spoken)
            (tokenizer.add_tokens if text in spoken else tokenizer.add_special_tokens)([token])
        if tokenizer.token_to_id(text) != index:
            raise BundleError(
                f"added_tokens.json gives {text!r} the id {index}, the tokenizer has no place for it there"
            )


def _config(source: Path) -> dict[str, Any]:
    path = source / "tokenizer_config.json"
    return read_json(path) if path.exists() else {}


def _spoken(source: Path) -> set[str]:
    """The added tokens that are no control words: a part of the text."""
    listed = _config(source).get("added_tokens_decoder")
    entries = listed.values() if isinstance(listed, Mapping) else ()
    return {_text(entry) for entry in entries if isinstance(entry, Mapping) and entry.get("special") is False}


def _special(tokenizer: Any, source: Path) -> tuple[dict[str, int], dict[str, str]]:
    """Ids and texts of BOS, EOS and the unknown token; the folder's files name them, or else they are LLaMA's."""
    config: dict[str, Any] = {}
    for name in ("special_tokens_map.json", "tokenizer_config.json"):
        if (source / name).exists():
            config |= read_json(source / name)
    names = {role: _text(config.get(role)) or usual for role, usual in _SPECIAL.items()}
    ids = {role: tokenizer.token_to_id(text) for role, text in names.items()}
    if ids["eos_token"] is None:
        raise BundleError(f"{source} has a tokenizer without the end token {names['eos_token']!r}")
    names = {role: text for role, text in names.items() if ids[role] is not None}
    pad = _text(config.get("pad_token"))
    names["pad_token"] = pad if pad and tokenizer.token_to_id(pad) is not None else names["eos_token"]
    ids["pad_token"] = tokenizer.token_to_id(names["pad_token"])
    highest = max(tokenizer.get_vocab().values())
    return {role: index for role, index in ids.items() if index is not None} | {"highest": highest}, names


def _text(token: object) -> str:
    """A token as a string or as the mapping that transformers writes."""
    if isinstance(token, Mapping):
        token = token.get("content")
    return token if isinstance(token, str) else ""
