"""Encoding a shard: in the pairs' order, only the images they name, again from where it was."""

import hashlib
import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.support.corpora import make_pair
from training_jobs.__main__ import main
from training_jobs.features.encode import encode_shard
from xraygpt_core.errors import TrainingError
from xraygpt_core.model.bundle import Bundle
from xraygpt_core.model.encoders.digest import encoder_digest
from xraygpt_core.model.encoders.encoder import load_encoder
from xraygpt_core.model.feature_shards import encode_pngs, open_features
from xraygpt_core.training.pairs import Pair, write_pairs


@pytest.fixture
def shard(tmp_path: Path) -> list[Pair]:
    """Three pairs, two of one image, in pairs.jsonl, with their images."""
    pairs = []
    (tmp_path / "images").mkdir()
    for number in (0, 1, 0):
        buffer = io.BytesIO()
        pixels = np.random.default_rng(number).integers(0, 255, (80, 70), dtype=np.uint8)
        Image.fromarray(pixels).save(buffer, "PNG")
        digest = hashlib.sha256(buffer.getvalue()).hexdigest()
        (tmp_path / f"images/{digest}.png").write_bytes(buffer.getvalue())
        pairs.append(replace(make_pair(len(pairs)), image=digest))
    write_pairs(tmp_path / "pairs.jsonl", pairs)
    return pairs


def encode(base: Bundle, tmp_path: Path) -> list[tuple[int, int]]:
    told: list[tuple[int, int]] = []
    encode_shard(
        base,
        tmp_path / "pairs.jsonl",
        tmp_path / "images",
        tmp_path / "out/features.safetensors",
        notify=lambda done, total: told.append((done, total)),
        batch=2,
        device="cpu",
    )
    return told


def test_features_stand_in_the_order_of_the_pairs(tiny_base: Bundle, shard: list[Pair], tmp_path: Path) -> None:
    assert encode(tiny_base, tmp_path) == [(3, 3)]
    encoder = load_encoder(tiny_base.encoder, tiny_base.encoder_weights, dict(tiny_base.encoder_options))
    expected = encode_pngs(encoder, [(tmp_path / f"images/{pair.image}.png").read_bytes() for pair in shard], batch=2)
    found = open_features(tmp_path / "out/features.safetensors", encoder_digest(tiny_base)).batch([0, 1, 2])
    assert np.array_equal(found.numpy().astype(np.float16), expected)


def test_a_shard_that_is_there_is_not_made_again(
    tiny_base: Bundle, shard: list[Pair], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encode(tiny_base, tmp_path)
    monkeypatch.setattr("training_jobs.features.encode.load_encoder", None)
    assert encode(tiny_base, tmp_path) == [(3, 3)]


def test_a_shard_that_was_cut_is_made_again(tiny_base: Bundle, shard: list[Pair], tmp_path: Path) -> None:
    encode(tiny_base, tmp_path)
    out = tmp_path / "out/features.safetensors"
    whole = out.read_bytes()
    out.write_bytes(whole[:-3])
    encode(tiny_base, tmp_path)
    assert out.read_bytes() == whole


def test_a_missing_image_is_named_by_its_pair(tiny_base: Bundle, shard: list[Pair], tmp_path: Path) -> None:
    (tmp_path / f"images/{shard[1].image}.png").unlink()
    with pytest.raises(TrainingError, match=rf"pair 'a-1': its image {shard[1].image[:12]} is missing"):
        encode(tiny_base, tmp_path)
    assert not (tmp_path / "out/features.safetensors").exists()


def test_an_image_that_is_another_than_was_prepared_is_refused(
    tiny_base: Bundle, shard: list[Pair], tmp_path: Path
) -> None:
    (tmp_path / f"images/{shard[1].image}.png").write_bytes((tmp_path / f"images/{shard[0].image}.png").read_bytes())
    with pytest.raises(TrainingError, match="is not the one that was prepared"):
        encode(tiny_base, tmp_path)


@pytest.mark.parametrize("image", ["../../etc/passwd", "", "A" * 64, "0" * 64 + "\n"])
def test_an_image_that_is_no_hash_is_not_looked_for(tiny_base: Bundle, tmp_path: Path, image: str) -> None:
    write_pairs(tmp_path / "pairs.jsonl", [replace(make_pair(0), image=image or "x")])
    with pytest.raises(TrainingError, match="no SHA-256"):
        encode(tiny_base, tmp_path)


def test_an_image_that_cannot_be_read_is_named_by_its_place(
    tiny_base: Bundle, shard: list[Pair], tmp_path: Path
) -> None:
    broken = replace(shard[2], image=hashlib.sha256(b"no png").hexdigest())
    (tmp_path / f"images/{broken.image}.png").write_bytes(b"no png")
    write_pairs(tmp_path / "pairs.jsonl", [*shard[:2], broken])
    with pytest.raises(TrainingError, match=r"pairs.jsonl: image 2: the image cannot be read"):
        encode(tiny_base, tmp_path)


def test_the_command_writes_the_shard(
    tiny_base: Bundle, shard: list[Pair], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = ["--base", str(tiny_base.path), "--pairs", str(tmp_path / "pairs.jsonl")]
    folder += ["--images", str(tmp_path / "images"), "--out", str(tmp_path / "f.safetensors"), "--device", "cpu"]
    assert main(["encode", *folder]) == 0
    assert len(open_features(tmp_path / "f.safetensors", encoder_digest(tiny_base))) == 3
    assert "3/3" in capsys.readouterr().err


def test_the_command_says_what_is_wrong_in_one_line(
    tiny_base: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = ["--base", str(tiny_base.path), "--pairs", str(tmp_path / "none.jsonl")]
    assert main(["encode", *folder, "--images", str(tmp_path), "--out", str(tmp_path / "f")]) == 1
    assert len(capsys.readouterr().err.splitlines()) == 1
