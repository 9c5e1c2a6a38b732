"""Broken downloads: each is refused with one clear sentence, and nothing of it is left in the models directory."""

import json
import os
import pickle
import random
import shutil
import zipfile
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.published_parts import Parts, write_checkpoint, write_llama, write_parts
from xraygpt_core.errors import BundleError
from xraygpt_core.model.importing.importer import Wanted, import_bundle

Break = Callable[[Parts], dict[str, Any] | None]  # what of the request it changes
SHARD = "pytorch_model-00002-of-00002.bin"
INDEX = "pytorch_model.bin.index.json"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("downloads")
    write_parts(folder)
    write_llama(folder / "safe", safetensors=True)
    return folder


@pytest.fixture
def parts(whole: Path, tmp_path: Path) -> Parts:
    folder = tmp_path / "downloads"
    shutil.copytree(whole, folder)
    return Parts(folder / "medclip-vit" / "pytorch_model.bin", folder / "checkpoint_3.pth", folder / "vicuna")


def safe(parts: Parts) -> Path:
    return parts.llm.parent / "safe"


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


def truncated_bin_shard(parts: Parts) -> None:
    cut(parts.llm / SHARD, 0.6)


def truncated_safetensors_shard(parts: Parts) -> dict[str, Any]:
    cut(safe(parts) / "model-00002-of-00002.safetensors", 0.6)
    return {"llm": safe(parts)}


def truncated_encoder(parts: Parts) -> None:
    cut(parts.encoder, 0.3)


def truncated_legacy_projector(parts: Parts) -> None:
    write_checkpoint(parts.projector, legacy=True)
    cut(parts.projector, 0.7)


def missing_shard(parts: Parts) -> None:
    (parts.llm / SHARD).unlink()


def missing_index(parts: Parts) -> None:
    (parts.llm / INDEX).unlink()


def index_of_another_model(parts: Parts) -> None:
    content = json.loads((parts.llm / INDEX).read_text())
    content["weight_map"]["model.layers.7.mlp.up_proj.weight"] = SHARD
    (parts.llm / INDEX).write_text(json.dumps(content))


def index_without_map(parts: Parts) -> None:
    edit_json(parts.llm / INDEX, weight_map=None)


def index_that_is_no_json(parts: Parts) -> None:
    cut(parts.llm / INDEX, 0.5)


def path_traversal_in_the_index(parts: Parts) -> None:
    shutil.copy(parts.llm / SHARD, parts.llm.parent / "outside.bin")
    content = json.loads((parts.llm / INDEX).read_text())
    content["weight_map"]["lm_head.weight"] = "../outside.bin"
    (parts.llm / INDEX).write_text(json.dumps(content))


def absolute_path_in_the_index(parts: Parts) -> None:
    content = json.loads((parts.llm / INDEX).read_text())
    content["weight_map"]["lm_head.weight"] = str(parts.encoder)
    (parts.llm / INDEX).write_text(json.dumps(content))


def symlink_loop(parts: Parts) -> None:
    (parts.llm / SHARD).unlink()
    (parts.llm / SHARD).symlink_to("loop")
    (parts.llm / "loop").symlink_to(SHARD)


def dangling_symlink(parts: Parts) -> None:
    (parts.llm / SHARD).unlink()
    (parts.llm / SHARD).symlink_to("../blobs/gone")


def shard_with_code(parts: Parts) -> None:
    torch.save({"lm_head.weight": Harmful()}, parts.llm / SHARD)


def encoder_with_code(parts: Parts) -> None:
    parts.encoder.write_bytes(pickle.dumps({"a": Harmful()}))


def projector_of_a_strange_class(parts: Parts) -> None:
    strange = namedtuple("strange", "a")
    globals()["strange"] = strange
    torch.save({"model": {"llama_proj.weight": strange(1)}}, parts.projector)


def integers_for_weights(parts: Parts) -> None:
    edit_pickle(parts.llm / SHARD, lambda state: state.update({n: v.to(torch.int8) for n, v in state.items()}))


def doubles_for_weights(parts: Parts) -> None:
    edit_pickle(parts.projector, lambda state: state["model"].update({"llama_proj.bias": torch.zeros(32).double()}))


def nan_in_the_llm(parts: Parts) -> None:
    edit_pickle(parts.llm / SHARD, lambda state: next(iter(state.values())).view(-1)[3:4].fill_(float("nan")))


def nan_in_linked_safetensors(parts: Parts) -> dict[str, Any]:
    path = safe(parts) / "model-00001-of-00002.safetensors"
    state = load_file(path)
    state[sorted(state)[0]].view(-1)[0] = float("nan")
    save_file(state, path, metadata={"format": "pt"})
    return {"llm": safe(parts)}


def infinity_in_the_projector(parts: Parts) -> None:
    edit_pickle(parts.projector, lambda state: state["model"]["llama_proj.weight"][0].fill_(float("inf")))


def nan_in_the_encoder(parts: Parts) -> None:
    name = "vision_model.projection_head.weight"
    edit_pickle(parts.encoder, lambda state: state[name][0].fill_(float("nan")))


def wrong_llm_width(parts: Parts) -> None:
    write_checkpoint(parts.projector, gives=48)


def projector_of_7b_on_13b(parts: Parts) -> None:
    write_checkpoint(parts.projector, gives=4096)
    config = json.loads((parts.llm / "config.json").read_text())
    for path in parts.llm.glob("pytorch_model*"):
        path.unlink()
    (parts.llm / "config.json").write_text(json.dumps(config | WIDE))
    torch.save(_wide_llama(5120), parts.llm / "pytorch_model.bin")


WIDE = {
    "hidden_size": 5120,
    "intermediate_size": 8,
    "num_hidden_layers": 1,
    "num_attention_heads": 5120 // 8,
    "num_key_value_heads": 1,
    "vocab_size": 4,
}


def _wide_llama(hidden: int) -> dict[str, torch.Tensor]:
    """A LLaMA of another size, whose tensors take no room: one number seen everywhere."""
    from xraygpt_core.model.importing.llm import _expected

    shapes = _expected({"model_type": "llama", **WIDE, "hidden_size": hidden})
    return {name: torch.zeros(1).half().expand(shape) for name, shape in shapes.items()}


def wrong_encoder_width(parts: Parts) -> None:
    write_checkpoint(parts.projector, takes=512)


def encoder_and_projector_swapped(parts: Parts) -> dict[str, Any]:
    return {"encoder": parts.projector, "projector": parts.encoder}


def llm_for_encoder(parts: Parts) -> dict[str, Any]:
    return {"encoder": parts.llm}


def encoder_for_llm(parts: Parts) -> dict[str, Any]:
    return {"llm": parts.encoder.parent}


def shards_of_two_models(parts: Parts) -> None:
    write_llama(parts.llm.parent / "other", hidden=64)
    shutil.copy(parts.llm.parent / "other" / SHARD, parts.llm / SHARD)


def missing_tokenizer(parts: Parts) -> None:
    (parts.llm / "tokenizer.model").unlink()


def damaged_tokenizer(parts: Parts) -> None:
    cut(parts.llm / "tokenizer.model", 0.5)


def tokenizer_of_a_larger_model(parts: Parts) -> None:
    (parts.llm / "added_tokens.json").write_text('{"[PAD]": 700}')


def added_token_out_of_place(parts: Parts) -> None:
    (parts.llm / "added_tokens.json").write_text('{"[PAD]": 900}')


def missing_config(parts: Parts) -> None:
    (parts.llm / "config.json").unlink()


def config_of_another_architecture(parts: Parts) -> None:
    edit_json(parts.llm / "config.json", model_type="mistral")


def config_of_another_size(parts: Parts) -> None:
    edit_json(parts.llm / "config.json", num_hidden_layers=5)


def config_with_nonsense(parts: Parts) -> None:
    edit_json(parts.llm / "config.json", num_attention_heads=0)


def quantised_folder(parts: Parts) -> None:
    edit_json(parts.llm / "config.json", quantization_config={"bits": 4})


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


def lora_left_in_the_llm(parts: Parts) -> None:
    name = "model.layers.0.self_attn.q_proj.lora_B.weight"
    edit_pickle(parts.llm / SHARD, lambda state: state.update({name: torch.zeros(2)}))


def projector_without_bias(parts: Parts) -> None:
    edit_pickle(parts.projector, lambda state: state["model"].pop("llama_proj.bias"))


def nothing_there(parts: Parts) -> dict[str, Any]:
    return {"llm": parts.llm.parent / "nowhere"}


def damaged_gguf(parts: Parts) -> dict[str, Any]:
    path = parts.llm.parent / "model.gguf"
    path.write_bytes(b"GGUF" + bytes(60))
    return {"llm": path}


def unknown_template(parts: Parts) -> dict[str, Any]:
    return {"template": "chatgpt"}


def unknown_dtype(parts: Parts) -> dict[str, Any]:
    return {"dtype": "int4"}


BROKEN: list[tuple[Break, str]] = [
    (truncated_bin_shard, f"{SHARD} is truncated or damaged; download it again"),
    (truncated_safetensors_shard, "model-00002-of-00002.safetensors is truncated or damaged; download it again"),
    (truncated_encoder, "pytorch_model.bin is truncated or damaged; download it again"),
    (truncated_legacy_projector, "checkpoint_3.pth is truncated or damaged; download it again"),
    (missing_shard, f"{SHARD} missing in"),
    (missing_index, f"has shards but no model.safetensors.index.json or {INDEX}"),
    (index_of_another_model, f"{SHARD} does not hold model.layers.7.mlp.up_proj.weight, which the index says"),
    (index_without_map, f"{INDEX} has no weight_map"),
    (index_that_is_no_json, f"{INDEX} is not valid JSON"),
    (path_traversal_in_the_index, "names a shard '../outside.bin', which leads out of its folder"),
    (absolute_path_in_the_index, "which leads out of its folder"),
    (symlink_loop, "its symbolic links go round in circles"),
    (dangling_symlink, f"{SHARD} is missing"),
    (shard_with_code, f"{SHARD} holds more than tensors and is not read: it could run code"),
    (encoder_with_code, "pytorch_model.bin holds more than tensors and is not read: it could run code"),
    (projector_of_a_strange_class, "checkpoint_3.pth holds more than tensors and is not read"),
    (integers_for_weights, "holds int8 numbers where float32, float16 or bfloat16 are expected (a quantised model?)"),
    (doubles_for_weights, "llama_proj.bias holds float64 numbers"),
    (nan_in_the_llm, "holds NaN or infinite numbers; the file is damaged"),
    (nan_in_linked_safetensors, "lm_head.weight holds NaN or infinite numbers"),
    (infinity_in_the_projector, "checkpoint_3.pth: llama_proj.weight holds NaN or infinite numbers"),
    (nan_in_the_encoder, "vision_model.projection_head.weight holds NaN or infinite numbers"),
    (wrong_llm_width, "makes 48 numbers a token, the LLM takes 32: they were not trained together"),
    (
        projector_of_7b_on_13b,
        "4096 numbers a token, the LLM takes 5120: a projector for a 7B LLM cannot stand before a 13B",
    ),
    (wrong_encoder_width, "takes 512 a token features, the encoder (MedCLIP ViT (Swin), pooled) gives 1 x 20"),
    (encoder_and_projector_swapped, "pytorch_model.bin holds no projector"),
    (llm_for_encoder, "vicuna holds no encoder that is known here (MedCLIP ViT"),
    (encoder_for_llm, "has no config.json; is this the folder of the model itself?"),
    (shards_of_two_models, "is 700 x 64, a LLaMA of this config.json has 700 x 32 there"),
    (missing_tokenizer, "has no tokenizer: neither tokenizer.model nor tokenizer.json"),
    (damaged_tokenizer, "tokenizer.model is not a SentencePiece model, or damaged"),
    (tokenizer_of_a_larger_model, "has ids up to 700, its embedding 700 rows: they belong to two models"),
    (added_token_out_of_place, "added_tokens.json gives '[PAD]' the id 900"),
    (missing_config, "has no config.json"),
    (config_of_another_architecture, "config.json is of a mistral model; only LLaMA models are read here"),
    (config_of_another_size, "vicuna is not a whole LLaMA: model.layers.2.self_attn.q_proj.weight"),
    (config_with_nonsense, "config.json has no usable num_attention_heads"),
    (quantised_folder, "config.json says that the weights are quantised"),
    (git_lfs_pointer, "pytorch_model.bin is a Git LFS pointer"),
    (login_page, "checkpoint_3.pth is a web page, not weights"),
    (archive_not_unpacked, "pytorch_model.bin is an archive, not a weights file; unpack it"),
    (empty_file, "pytorch_model.bin is empty"),
    (unknown_tensor, "blocks.0.lora_A.weight, which a MedCLIP ViT (Swin) does not have"),
    (lora_left_in_the_llm, "q_proj.lora_B.weight, which a LLaMA does not have"),
    (projector_without_bias, "checkpoint_3.pth: llama_proj.bias missing"),
    (nothing_there, "nowhere is missing"),
    (damaged_gguf, "model.gguf is no GGUF file of a llama, or damaged"),
    (unknown_template, "there is no prompt template 'chatgpt'; there are maira-1"),
    (unknown_dtype, "'int4' is none of float32, bfloat16, float16"),
]


def wanted(parts: Parts, changes: dict[str, Any] | None) -> Wanted:
    return Wanted(**{"encoder": parts.encoder, "projector": parts.projector, "llm": parts.llm, **(changes or {})})


@pytest.mark.parametrize(("spoil", "sentence"), BROKEN, ids=[spoil.__name__ for spoil, _ in BROKEN])
def test_a_broken_download_is_refused_in_one_sentence(
    parts: Parts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spoil: Break, sentence: str
) -> None:
    monkeypatch.chdir(tmp_path)
    request = wanted(parts, spoil(parts))
    models = tmp_path / "models"
    with pytest.raises(BundleError) as caught:
        import_bundle(models, "broken", request, lambda *_: None)
    said = str(caught.value)
    assert sentence in said
    assert "\n" not in said
    assert not models.exists() or list(models.iterdir()) == []
    assert not (tmp_path / "code-was-run").exists()


def test_what_these_tests_break_is_whole_before(parts: Parts, tmp_path: Path) -> None:
    for name, llm in (("one", parts.llm), ("two", safe(parts))):
        assert import_bundle(tmp_path / "models", name, wanted(parts, {"llm": llm}), lambda *_: None)[0].name == name


@pytest.mark.parametrize("name", ["", ".hidden", "../up", "a/b", "a b", "x" * 101])
def test_a_name_that_is_none_is_refused(parts: Parts, tmp_path: Path, name: str) -> None:
    with pytest.raises(BundleError, match="is no bundle name"):
        import_bundle(tmp_path / "models", name, wanted(parts, None), lambda *_: None)


def test_a_name_in_use_is_refused_before_anything_is_read(parts: Parts, tmp_path: Path) -> None:
    first, _ = import_bundle(tmp_path / "models", "taken", wanted(parts, None), lambda *_: None)
    before = (first.path / "bundle.toml").read_bytes()
    with pytest.raises(BundleError, match="there is a bundle 'taken' already"):
        import_bundle(tmp_path / "models", "taken", wanted(parts, None), lambda *_: None)
    assert (first.path / "bundle.toml").read_bytes() == before


def test_a_full_disk_is_noticed_before_anything_is_written(
    parts: Parts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10**9, 10**9 - 1000, 1000))
    with pytest.raises(BundleError, match=r"has 0 MiB free, and this import needs \d+ MiB"):
        import_bundle(tmp_path / "models", "b", wanted(parts, None), lambda *_: None)
    assert list((tmp_path / "models").iterdir()) == []


def test_an_interrupted_import_leaves_nothing(parts: Parts, tmp_path: Path) -> None:
    def interrupt(done: int, total: int, words: str) -> None:
        if words.startswith("checking"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        import_bundle(tmp_path / "models", "b", wanted(parts, None), interrupt)
    assert list((tmp_path / "models").iterdir()) == []


@pytest.mark.parametrize("seed", range(8))
def test_random_damage_is_refused_in_one_sentence_or_changes_numbers_only(
    whole: Path, tmp_path: Path, seed: int
) -> None:
    """Truncated anywhere, or a few bytes changed: never another exception, never a half bundle."""
    chance = random.Random(seed)
    for _ in range(5):
        folder, models = tmp_path / "downloads", tmp_path / "models"
        for old in (folder, models):
            shutil.rmtree(old, ignore_errors=True)
        shutil.copytree(whole, folder)
        llm = folder / chance.choice(["vicuna", "safe"])
        parts = Parts(folder / "medclip-vit" / "pytorch_model.bin", folder / "checkpoint_3.pth", llm)
        file = chance.choice([parts.encoder, parts.projector, *sorted(llm.iterdir())])
        data = bytearray(file.read_bytes())
        if chance.random() < 0.4:
            del data[chance.randrange(len(data)) :]
        else:
            for _ in range(chance.randrange(1, 6)):
                data[chance.randrange(chance.choice([len(data), min(len(data), 3000)]))] = chance.randrange(256)
        file.write_bytes(data)
        said = refusal(models, parts)
        assert "\n" not in said
        assert not said or not models.exists() or list(models.iterdir()) == []


def refusal(models: Path, parts: Parts) -> str:
    """Why the import was refused; empty if it was not."""
    try:
        import_bundle(models, "b", wanted(parts, None), lambda *_: None)
    except BundleError as error:
        return str(error)
    return ""
