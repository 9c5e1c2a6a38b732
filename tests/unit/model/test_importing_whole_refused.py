"""A published model that is spoilt, not whole, or used in a way that is not done here: one sentence, nothing left."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from tests.support.published_layouts import write_libra, write_maira2
from tests.support.published_parts import quiet
from tests.support.whole_models import (
    LAYOUTS,
    NOTHING,
    change,
    imported,
    write_all_of_libra,
    write_all_of_llava_rad,
)
from xraygpt_core.errors import BundleError
from xraygpt_core.model.importing.release import choose, look, unpacked


@pytest.mark.parametrize(
    ("layout", "folder", "changed", "says"),
    [
        ("maira-2", "maira-2", {"vision_feature_layer": -2}, "has vision_feature_layer -2, and only -1 is read here"),
        ("llava-rad", "llava-rad", {"mm_use_im_start_end": True}, "has mm_use_im_start_end True"),
        ("libra", "libra-v1.0-7b", {"mm_vision_select_feature": "cls_patch"}, "mm_vision_select_feature 'cls_patch'"),
        ("libra", "libra-v1.0-7b", {"mm_vision_select_layer": 3}, "3, which is neither 'all' nor below zero"),
        ("libra", "libra-v1.0-7b", {"mm_vision_select_layer": -1}, "takes those of 12 layers of the encoder's"),
        ("libra", "libra-v1.0-7b", {"image_aspect_ratio": "anyres"}, "image_aspect_ratio 'anyres'"),
    ],
)
def test_a_model_that_uses_its_parts_otherwise_is_refused(
    tmp_path: Path, layout: str, folder: str, changed: dict[str, Any], says: str
) -> None:
    LAYOUTS[layout](tmp_path / "downloads")
    change(tmp_path / "downloads" / folder / "config.json", **changed)
    with pytest.raises(BundleError, match=says):
        imported(tmp_path / "downloads", tmp_path / "models")
    assert list((tmp_path / "models").iterdir()) == []


@pytest.mark.parametrize(
    ("edit", "says"),
    [
        (lambda s: s.pop("language_model.model.norm.weight"), r"not a whole LLaMA: model\.norm\.weight missing"),
        (lambda s: s.pop("vision_tower.layernorm.bias"), r"not a whole RAD-DINO .*layernorm\.bias missing"),
        (lambda s: s.update(qformer=torch.ones(2)), "has qformer, which MAIRA-2 does not have"),
        (lambda s: s.update({"vision_tower.x": torch.ones(2)}), r"has x, which a RAD-DINO .* does not have"),
        (lambda s: s["vision_tower.layernorm.bias"].fill_(torch.inf), "layernorm.bias holds NaN or infinite"),
        (
            lambda s: [s.pop(name) for name in list(s) if name.startswith("multi_modal")],
            "is no whole MAIRA-2: it has no projector",
        ),
    ],
)
def test_a_spoilt_tensor_is_named_and_nothing_is_left(
    tmp_path: Path, edit: Callable[[dict[str, Tensor]], Any], says: str
) -> None:
    folder = write_maira2(tmp_path / "downloads", shards=1)
    state = load_file(folder / "model-00001-of-00001.safetensors")
    edit(state)
    save_file(state, folder / "model-00001-of-00001.safetensors")
    names = dict.fromkeys(state, "model-00001-of-00001.safetensors")
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": names}))
    with pytest.raises(BundleError, match=says):
        imported(folder, tmp_path / "models")
    assert list((tmp_path / "models").iterdir()) == []


def test_two_models_in_one_folder_are_for_the_person_to_choose_from(tmp_path: Path) -> None:
    write_maira2(tmp_path)
    write_libra(tmp_path)
    with pytest.raises(BundleError, match=r"more than one model is here: .*libra-v1\.0-7b, .*maira-2; name the"):
        choose(look(tmp_path), {})


@pytest.mark.parametrize(
    ("write", "lost", "address"),
    [
        (write_all_of_libra, "rad-dino", "Hugging Face microsoft/rad-dino"),
        (write_all_of_llava_rad, "llava-rad/biomedclipcxr_518_checkpoint.pt", "biomedclipcxr_518_checkpoint.pt of Hug"),
        (write_all_of_llava_rad, "llava-rad/non_lora_trainables.bin", "non_lora_trainables.bin, its projector"),
        (write_all_of_llava_rad, "llava-rad/adapter_model.bin", "neither adapter_model.safetensors nor adapter_model"),
    ],
)
def test_what_a_whole_model_lacks_is_named_with_where_it_is_published(
    tmp_path: Path, write: Callable[[Path], Any], lost: str, address: str
) -> None:
    write(tmp_path)
    shutil.rmtree(tmp_path / lost) if (tmp_path / lost).is_dir() else (tmp_path / lost).unlink()
    with pytest.raises(BundleError, match=address):
        choose(look(tmp_path), {})


def test_a_projector_of_ones_own_is_not_mixed_into_a_whole_model(tmp_path: Path) -> None:
    folder = write_maira2(tmp_path)
    with pytest.raises(BundleError, match="has its own projector and language model"):
        choose(look(folder), {"projector": folder / "p.pth"})


def test_a_template_that_is_not_there_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    folder = write_maira2(tmp_path / "downloads")
    parts = unpacked(choose(look(folder), {}, "maira-9"), NOTHING, tmp_path / "models", quiet)
    with pytest.raises(BundleError, match="there is no prompt template 'maira-9'"), parts:
        pass
    assert list((tmp_path / "models").iterdir()) == []
