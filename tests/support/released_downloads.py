"""What the authors of XrayGPT and of its parts published, as it lies on disk after download, narrow and seeded."""

import json
import shutil
import zipfile
from pathlib import Path

import torch
from torch import Tensor

from tests.support.published_parts import llama_config, llama_state, write_checkpoint, write_llama, write_medclip

PAD_ROWS = 1


def write_archive(folder: Path) -> Path:
    """MedCLIP's zip: its weights file, compressed, with a text model nobody asks for."""
    weights = write_medclip(folder / "work" / "pytorch_model.bin", projected=512)
    archive = folder / "medclip-vit-pretrained.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as zipped:
        zipped.write(weights, "pytorch_model.bin")
    shutil.rmtree(folder / "work")
    return archive


def write_projector(folder: Path, takes: int = 512) -> Path:
    """The checkpoint of stage 2."""
    return write_checkpoint(folder / "checkpoint_3.pth", takes)


def write_vicuna(folder: Path, name: str = "Vicuna_Radiology_fp16") -> Path:
    """A whole model in three shards; its norms are about one, as in every trained LLaMA."""
    target = write_llama(folder / name, shards=3)
    for path in target.glob("*.bin"):
        state = torch.load(path, weights_only=True)
        torch.save({key: tensor + 1 if "norm" in key else tensor for key, tensor in state.items()}, path)
    return target


def write_delta(folder: Path, base: Path, *, rows: int = PAD_ROWS) -> tuple[Path, dict[str, Tensor]]:
    """The difference of another model to ``base``, with a row more for [PAD]; and that other model's weights."""
    under: dict[str, Tensor] = {}
    for path in sorted(base.glob("*.bin")):
        under |= torch.load(path, weights_only=True)
    small = {name: (tensor.float() * 0.01).half() for name, tensor in llama_state().items()}
    small |= {name: tensor for name, tensor in under.items() if "inv_freq" in name}
    for name in ("model.embed_tokens.weight", "lm_head.weight"):
        small[name] = torch.cat([small[name], torch.full((rows, small[name].shape[1]), 0.25).half()])
    whole = {name: _sum(tensor, small[name]) for name, tensor in under.items() if "inv_freq" not in name}
    target = folder / "vicuna-7b-delta-v0"
    target.mkdir()
    config = llama_config(32, 2, 64)
    (target / "config.json").write_text(json.dumps(config | {"vocab_size": config["vocab_size"] + rows}))
    for name in ("tokenizer.model", "tokenizer_config.json"):
        shutil.copy(base / name, target)
    torch.save(small, target / "pytorch_model.bin")
    return target, whole


def _sum(base: Tensor, delta: Tensor) -> Tensor:
    whole = delta.clone()
    whole[: len(base)] += base
    return whole
