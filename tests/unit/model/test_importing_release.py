"""The released model is found in the folder it was downloaded into, and what is missing is named with its address."""

import hashlib
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.support.published_parts import quiet
from tests.support.released_downloads import write_archive, write_delta, write_projector, write_vicuna
from xraygpt_core.errors import BundleError
from xraygpt_core.model.bundle import read_bundle
from xraygpt_core.model.importing.delta import apply_delta
from xraygpt_core.model.importing.hashes import check_hashes
from xraygpt_core.model.importing.importer import ImportRequest, import_bundle
from xraygpt_core.model.importing.release import choose, look, unpacked
from xraygpt_core.model.smoke_test import phantom_png, summarise_once

NOTHING = ImportRequest(Path(), Path(), Path(), max_new_tokens=4, dtype="float32")


@pytest.fixture(scope="module")
def downloads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("downloads")
    write_archive(folder)
    write_projector(folder)
    write_vicuna(folder)
    return folder


@pytest.fixture
def mine(downloads: Path, tmp_path: Path) -> Path:
    """A copy to spoil."""
    return Path(shutil.copytree(downloads, tmp_path / "downloads"))


def test_the_three_downloads_become_a_bundle_that_serves_and_nothing_else_is_left(downloads: Path, tmp_path: Path):
    models = tmp_path / "models"
    with unpacked(choose(look(downloads), {}), NOTHING, models, quiet) as request:
        bundle, _ = import_bundle(models, "xraygpt", request, quiet)
    assert bundle.template == "xraygpt-paper"
    assert bundle.encoder == "MedClipSwin"
    assert bundle.encoder_options["mode"] == "pooled"
    assert summarise_once(read_bundle(bundle.path), phantom_png()).tokens > 0
    assert [path.name for path in models.iterdir()] == ["xraygpt"]


@pytest.mark.parametrize(
    ("lost", "address"),
    [
        ("medclip-vit-pretrained.zip", "medclip_vit_weight.txt of github.com/RyanWangZf/MedCLIP"),
        ("checkpoint_3.pth", "README of github.com/mbzuai-oryx/XrayGPT"),
        ("Vicuna_Radiology_fp16", "'vicuna_weights' in the README of github.com/mbzuai-oryx/XrayGPT"),
    ],
)
def test_what_is_missing_is_named_with_where_it_is_published(mine: Path, lost: str, address: str):
    path = mine / lost
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    with pytest.raises(BundleError, match="lacks: ") as refused:
        choose(look(mine), {})
    assert address in str(refused.value)


def test_an_empty_folder_lacks_all_three(tmp_path: Path):
    with pytest.raises(BundleError) as refused:
        choose(look(tmp_path), {})
    assert str(refused.value).count("github.com") == 3


def test_a_projector_of_the_public_code_is_not_put_behind_medclip(mine: Path):
    write_projector(mine, 768)
    with pytest.raises(BundleError, match=r"blip2-flan-t5-xxl.*MedCLIP is here, but this projector was not trained on"):
        choose(look(mine), {})


def test_the_checkpoint_is_taken_and_not_the_one_it_started_from(mine: Path):
    shutil.copy(mine / "checkpoint_3.pth", mine / "pretrained_minigpt4_7b.pth")
    chosen = choose(look(mine), {})
    assert chosen.projector.name == "checkpoint_3.pth"
    assert any("pretrained_minigpt4_7b.pth" in line for line in chosen.lines())


def test_two_checkpoints_are_for_the_person_to_choose_from(mine: Path):
    shutil.copy(mine / "checkpoint_3.pth", mine / "checkpoint_2.pth")
    with pytest.raises(BundleError, match=r"checkpoint_2\.pth.*checkpoint_3\.pth; name the one you mean with --proj"):
        choose(look(mine), {})
    assert choose(look(mine), {"projector": mine / "checkpoint_2.pth"}).projector.name == "checkpoint_2.pth"


def test_a_delta_alone_asks_for_its_base(mine: Path, tmp_path: Path):
    base = mine / "Vicuna_Radiology_fp16"
    write_delta(mine, base)
    shutil.move(base, tmp_path / "llama-7b")
    with pytest.raises(BundleError, match="LLaMA 7B in Hugging Face's format"):
        choose(look(mine), {})
    chosen = choose(look(mine), {"base": tmp_path / "llama-7b"})
    assert (chosen.llm.name, chosen.base) == ("vicuna-7b-delta-v0", tmp_path / "llama-7b")


def test_base_and_delta_are_the_model_they_are_the_difference_of(tmp_path: Path):
    base = write_vicuna(tmp_path, "llama-7b")
    delta, whole = write_delta(tmp_path, base)
    apply_delta(base, delta, tmp_path / "vicuna", quiet)
    made = load_file(tmp_path / "vicuna" / "model-00000.safetensors")
    assert made.keys() == whole.keys()
    assert all(torch.equal(made[name], whole[name]) for name in whole)
    assert len(made["lm_head.weight"]) == 701


def test_a_delta_becomes_a_bundle_beside_its_base(mine: Path, tmp_path: Path):
    base = Path(shutil.move(mine / "Vicuna_Radiology_fp16", tmp_path / "llama-7b"))
    write_delta(mine, base)
    models = tmp_path / "models"
    with unpacked(choose(look(mine), {"base": base}), NOTHING, models, quiet) as request:
        bundle, _ = import_bundle(models, "xraygpt", request, quiet)
    assert summarise_once(bundle, phantom_png()).tokens > 0
    assert [path.name for path in models.iterdir()] == ["xraygpt"]


def test_a_delta_of_another_size_is_refused(tmp_path: Path):
    base = write_vicuna(tmp_path, "llama-7b")
    delta, _ = write_delta(tmp_path, base)
    state = torch.load(delta / "pytorch_model.bin", weights_only=True)
    state["model.norm.weight"] = torch.zeros(16).half()
    torch.save(state, delta / "pytorch_model.bin")
    with pytest.raises(BundleError, match=r"model\.norm\.weight is 32 in the base and 16 in the delta"):
        apply_delta(base, delta, tmp_path / "vicuna", quiet)


def test_a_cut_archive_is_to_be_downloaded_again(mine: Path, tmp_path: Path):
    archive = mine / "medclip-vit-pretrained.zip"
    data = bytearray(archive.read_bytes())
    data[len(data) // 2] ^= 255
    archive.write_bytes(data)
    request = unpacked(choose(look(mine), {}), NOTHING, tmp_path / "models", quiet)
    with pytest.raises(BundleError, match=r"medclip-vit-pretrained\.zip is truncated or damaged"), request:
        pass
    assert list((tmp_path / "models").iterdir()) == []


def note(path: Path, digest: str) -> None:
    """What Hugging Face's downloader leaves beside a file."""
    file = path.parent / ".cache" / "huggingface" / "download" / f"{path.name}.metadata"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"0123456789012345678901234567890123456789\n{digest}\n1700000000.0\n")


def git_hash(data: bytes) -> str:
    return hashlib.sha1(f"blob {len(data)}\0".encode() + data, usedforsecurity=False).hexdigest()


@pytest.mark.parametrize("digest", [lambda data: hashlib.sha256(data).hexdigest(), git_hash], ids=["large", "small"])
def test_a_file_with_the_hash_of_its_download_is_confirmed_and_a_changed_one_refused(tmp_path: Path, digest):
    file = tmp_path / "model.safetensors"
    file.write_bytes(b"weights")
    note(file, digest(b"weights"))
    assert check_hashes([file], str).confirmed == ["model.safetensors"]
    file.write_bytes(b"Weights")
    with pytest.raises(BundleError, match=r"model\.safetensors is not the file its download says"):
        check_hashes([file], str)


def test_a_list_of_sha256sum_and_a_cache_of_blobs_say_it_too(tmp_path: Path):
    listed, blob = tmp_path / "checkpoint_3.pth", tmp_path / "blobs" / hashlib.sha256(b"two").hexdigest()
    listed.write_bytes(b"one")
    (tmp_path / "SHA256SUMS").write_text(f"{hashlib.sha256(b'one').hexdigest()}  ./checkpoint_3.pth\n")
    blob.parent.mkdir()
    blob.write_bytes(b"two")
    (tmp_path / "linked").symlink_to(blob)
    assert check_hashes([listed, tmp_path / "linked"], str).confirmed == ["checkpoint_3.pth", "linked"]


def test_of_a_file_nobody_knows_the_hash_is_told(tmp_path: Path):
    (tmp_path / "a.pth").write_bytes(b"one")
    assert check_hashes([tmp_path / "a.pth"], str).unknown == {"a.pth": hashlib.sha256(b"one").hexdigest()}


def test_a_folder_of_other_things_is_looked_through_without_a_word(tmp_path: Path, downloads: Path):
    (tmp_path / "notes.zip").write_bytes(b"no archive")
    (tmp_path / "broken.pth").write_bytes(b"\x80\x02")
    (tmp_path / "config.json").write_text("[" * 100_000)
    found = look(tmp_path)
    assert (found.medclip, found.projectors, found.llms) == ([], [], [])
    assert found.unreadable == ["broken.pth is truncated or damaged; download it again"]
