"""Ways in which a published encoder or projector, or a request to import them, can be broken."""

import json
import os
import pickle
import zipfile
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from tests.support.published_parts import Parts, write_checkpoint

Break = Callable[[Parts], dict[str, Any] | None]  # what of the request it changes


def cut(path: Path, share: float) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])


def edit_json(path: Path, **changes: Any) -> None:
    content = json.loads(path.read_text())
    path.write_text(json.dumps({key: value for key, value in (content | changes).items() if value is not None}))


def edit_pickle(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    state = torch.load(path, weights_only=True)
    change(state)
    torch.save(state, path)


class Harmful:
    """Would leave a file behind if anybody unpickled it."""

    def __reduce__(self) -> tuple[Any, tuple[str, str]]:
        return os.system, (f"touch {Path.cwd() / 'code-was-run'}",)  # type: ignore[return-value]


def truncated_encoder(parts: Parts) -> None:
    cut(parts.encoder, 0.3)


def truncated_legacy_projector(parts: Parts) -> None:
    write_checkpoint(parts.projector, legacy=True)
    cut(parts.projector, 0.7)


def encoder_with_code(parts: Parts) -> None:
    parts.encoder.write_bytes(pickle.dumps({"a": Harmful()}))


def projector_of_a_strange_class(parts: Parts) -> None:
    strange = namedtuple("strange", "a")
    globals()["strange"] = strange
    torch.save({"model": {"llama_proj.weight": strange(1)}}, parts.projector)


def doubles_for_weights(parts: Parts) -> None:
    edit_pickle(parts.projector, lambda state: state["model"].update({"llama_proj.bias": torch.zeros(32).double()}))


def infinity_in_the_projector(parts: Parts) -> None:
    edit_pickle(parts.projector, lambda state: state["model"]["llama_proj.weight"][0].fill_(float("inf")))


def nan_in_the_encoder(parts: Parts) -> None:
    name = "vision_model.projection_head.weight"
    edit_pickle(parts.encoder, lambda state: state[name][0].fill_(float("nan")))


def wrong_llm_width(parts: Parts) -> None:
    write_checkpoint(parts.projector, gives=48)


def wrong_encoder_width(parts: Parts) -> None:
    write_checkpoint(parts.projector, takes=512)


def encoder_and_projector_swapped(parts: Parts) -> dict[str, Any]:
    return {"encoder": parts.projector, "projector": parts.encoder}


def llm_for_encoder(parts: Parts) -> dict[str, Any]:
    return {"encoder": parts.llm}


def encoder_for_llm(parts: Parts) -> dict[str, Any]:
    return {"llm": parts.encoder.parent}


def git_lfs_pointer(parts: Parts) -> None:
    parts.encoder.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n")


def login_page(parts: Parts) -> None:
    parts.projector.write_text("<!DOCTYPE html><html><body>Sign in</body></html>")


def archive_not_unpacked(parts: Parts) -> None:
    with zipfile.ZipFile(parts.encoder, "w") as archive:
        archive.writestr("medclip-vit/pytorch_model.bin", b"x" * 100)


def empty_file(parts: Parts) -> None:
    parts.encoder.write_bytes(b"")


def unknown_tensor(parts: Parts) -> None:
    name = "vision_model.model.encoder.layers.0.blocks.0.lora_A.weight"
    edit_pickle(parts.encoder, lambda state: state.update({name: torch.zeros(2)}))


def projector_without_bias(parts: Parts) -> None:
    edit_pickle(parts.projector, lambda state: state["model"].pop("llama_proj.bias"))


def nothing_there(parts: Parts) -> dict[str, Any]:
    return {"llm": parts.llm.parent / "nowhere"}


def unknown_template(parts: Parts) -> dict[str, Any]:
    return {"template": "chatgpt"}


def unknown_dtype(parts: Parts) -> dict[str, Any]:
    return {"dtype": "int4"}
