"""Converting published weights: names, rotary order, and no pickled code."""

from pathlib import Path

import gguf
import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from xraygpt_core.errors import BundleError
from xraygpt_core.model.importing.convert import _hugging_face_name, _unpermute, convert_state_dict


def test_a_state_dict_becomes_safetensors_without_what_is_dropped(tmp_path: Path) -> None:
    torch.save(
        {"a": torch.ones(2), "_fc.weight": torch.ones(9), "n.num_batches_tracked": torch.tensor(3)}, tmp_path / "w.pth"
    )
    convert_state_dict(tmp_path / "w.pth", tmp_path / "w.safetensors", drop=("_fc.",))
    assert list(load_file(tmp_path / "w.safetensors")) == ["a"]


def test_a_pickle_with_code_in_it_is_not_run(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (Path.touch, (tmp_path / "ran",))  # type: ignore[return-value]

    torch.save({"a": Evil()}, tmp_path / "w.pth")
    with pytest.raises(BundleError, match="holds more than tensors"):
        convert_state_dict(tmp_path / "w.pth", tmp_path / "w.safetensors")
    assert not (tmp_path / "ran").exists()


def test_rotary_rows_are_put_back_as_the_public_converter_interleaved_them() -> None:
    heads, half, columns = 3, 4, 5
    original = np.arange(heads * 2 * half * columns, dtype=np.float32).reshape(-1, columns)
    interleaved = original.reshape(heads, 2, half, columns).swapaxes(1, 2).reshape(original.shape)
    assert (_unpermute(interleaved, heads) == original).all()
    assert not (interleaved == original).all()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("token_embd.weight", "model.embed_tokens.weight"),
        ("output_norm.weight", "model.norm.weight"),
        ("blk.7.attn_q.weight", "model.layers.7.self_attn.q_proj.weight"),
        ("blk.12.ffn_down.weight", "model.layers.12.mlp.down_proj.weight"),
        ("blk.0.attn_norm.weight", "model.layers.0.input_layernorm.weight"),
    ],
)
def test_tensor_names_are_hugging_faces(name: str, expected: str) -> None:
    assert _hugging_face_name(name) == expected


def test_a_foreign_tensor_is_an_error() -> None:
    with pytest.raises(BundleError, match="ssm_a"):
        _hugging_face_name("blk.0.ssm_a")


def test_another_architecture_is_refused(tmp_path: Path) -> None:
    from xraygpt_core.model.importing.convert import convert_gguf

    writer = gguf.GGUFWriter(tmp_path / "m.gguf", "gpt2")
    writer.add_tensor("token_embd.weight", np.zeros((2, 2), dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with pytest.raises(BundleError, match="holds a gpt2 model"):
        convert_gguf(tmp_path / "m.gguf", tmp_path / "llm")
