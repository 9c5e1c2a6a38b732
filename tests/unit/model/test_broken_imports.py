"""Broken downloads: each is refused with one clear sentence, and nothing of it is left in the models directory."""

import random
import shutil
from collections import namedtuple
from pathlib import Path
from typing import Any

import pytest

from tests.support import broken_llms, broken_parts
from tests.support.broken_llms import INDEX, SHARD, safe
from tests.support.broken_parts import Break
from tests.support.published_parts import Parts, write_llama, write_parts
from xraygpt_core.errors import BundleError
from xraygpt_core.model.importing.importer import ImportRequest, import_bundle


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


BROKEN: list[tuple[Break, str]] = [
    (broken_llms.truncated_bin_shard, f"{SHARD} is truncated or damaged; download it again"),
    (
        broken_llms.truncated_safetensors_shard,
        "model-00002-of-00002.safetensors is truncated or damaged; download it again",
    ),
    (broken_parts.truncated_encoder, "pytorch_model.bin is truncated or damaged; download it again"),
    (broken_parts.truncated_legacy_projector, "checkpoint_3.pth is truncated or damaged; download it again"),
    (broken_llms.missing_shard, f"{SHARD} missing in"),
    (broken_llms.missing_index, f"has shards but no model.safetensors.index.json or {INDEX}"),
    (
        broken_llms.index_of_another_model,
        f"{SHARD} does not hold model.layers.7.mlp.up_proj.weight, which the index says",
    ),
    (broken_llms.index_without_map, f"{INDEX} has no weight_map"),
    (broken_llms.index_that_is_no_json, f"{INDEX} is not valid JSON"),
    (broken_llms.path_traversal_in_the_index, "names a shard '../outside.bin', which leads out of its folder"),
    (broken_llms.absolute_path_in_the_index, "which leads out of its folder"),
    (broken_llms.symlink_loop, "its symbolic links go round in circles"),
    (broken_llms.dangling_symlink, f"{SHARD} is missing"),
    (broken_llms.shard_with_code, f"{SHARD} holds more than tensors and is not read: it could run code"),
    (broken_parts.encoder_with_code, "pytorch_model.bin holds more than tensors and is not read: it could run code"),
    (broken_parts.projector_of_a_strange_class, "checkpoint_3.pth holds more than tensors and is not read"),
    (
        broken_llms.integers_for_weights,
        "holds int8 numbers where float32, float16 or bfloat16 are expected (a quantised model?)",
    ),
    (broken_parts.doubles_for_weights, "llama_proj.bias holds float64 numbers"),
    (broken_llms.nan_in_the_llm, "holds NaN or infinite numbers; the file is damaged"),
    (broken_llms.nan_in_linked_safetensors, "lm_head.weight holds NaN or infinite numbers"),
    (broken_parts.infinity_in_the_projector, "checkpoint_3.pth: llama_proj.weight holds NaN or infinite numbers"),
    (broken_parts.nan_in_the_encoder, "vision_model.projection_head.weight holds NaN or infinite numbers"),
    (broken_parts.wrong_llm_width, "makes 48 numbers a token, the LLM takes 32: they were not trained together"),
    (
        broken_llms.projector_of_7b_on_13b,
        "4096 numbers a token, the LLM takes 5120: a projector for a 7B LLM cannot stand before a 13B",
    ),
    (
        broken_parts.wrong_encoder_width,
        "takes 512 a token features, the encoder (MedCLIP ViT (Swin), pooled) gives 1 x 20",
    ),
    (broken_parts.encoder_and_projector_swapped, "pytorch_model.bin holds no projector"),
    (broken_parts.llm_for_encoder, "vicuna holds no encoder that is known here (MedCLIP ViT"),
    (broken_parts.encoder_for_llm, "has no config.json; is this the folder of the model itself?"),
    (broken_llms.shards_of_two_models, "is 700 x 64, a LLaMA of this config.json has 700 x 32 there"),
    (broken_llms.missing_tokenizer, "has no tokenizer: neither tokenizer.model nor tokenizer.json"),
    (broken_llms.damaged_tokenizer, "tokenizer.model is not a SentencePiece model, or damaged"),
    (broken_llms.tokenizer_of_a_larger_model, "has ids up to 700, its embedding 700 rows: they belong to two models"),
    (broken_llms.added_token_out_of_place, "added_tokens.json gives '[PAD]' the id 900"),
    (broken_llms.missing_config, "has no config.json"),
    (broken_llms.config_of_another_architecture, "config.json is of a mistral model; only LLaMA models are read here"),
    (broken_llms.config_of_another_size, "vicuna is not a whole LLaMA: model.layers.2.self_attn.q_proj.weight"),
    (broken_llms.config_with_nonsense, "config.json has no usable num_attention_heads"),
    (broken_llms.quantised_folder, "config.json says that the weights are quantised"),
    (broken_parts.git_lfs_pointer, "pytorch_model.bin is a Git LFS pointer"),
    (broken_parts.login_page, "checkpoint_3.pth is a web page, not weights"),
    (broken_parts.archive_not_unpacked, "pytorch_model.bin is an archive, not a weights file; unpack it"),
    (broken_parts.empty_file, "pytorch_model.bin is empty"),
    (broken_parts.unknown_tensor, "blocks.0.lora_A.weight, which a MedCLIP ViT (Swin) does not have"),
    (broken_llms.lora_left_in_the_llm, "q_proj.lora_B.weight, which a LLaMA does not have"),
    (broken_parts.projector_without_bias, "checkpoint_3.pth: llama_proj.bias missing"),
    (broken_parts.nothing_there, "nowhere is missing"),
    (broken_llms.damaged_gguf, "model.gguf is no GGUF file of a llama, or damaged"),
    (broken_parts.unknown_template, "there is no prompt template 'chatgpt'; there are libra,"),
    (broken_parts.unknown_dtype, "'int4' is none of float32, bfloat16, float16"),
]


def wanted(parts: Parts, changes: dict[str, Any] | None) -> ImportRequest:
    return ImportRequest(
        **{"encoder": parts.encoder, "projector": parts.projector, "llm": parts.llm, **(changes or {})}
    )


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
