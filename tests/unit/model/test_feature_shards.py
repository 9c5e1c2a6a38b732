"""Shards of features: written whole, read by row, refused where they are another encoder's or damaged."""

import io
import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from safetensors.numpy import load_file

from tests.support.corpora import ENCODER
from tests.support.tiny_bundle import make_tiny_bundle
from xraygpt_core.errors import InvalidRequest, TrainingError
from xraygpt_core.model.encoders.encoder import Encoder, load_encoder
from xraygpt_core.model.encoders.raddino import RadDino
from xraygpt_core.model.feature_shards import encode_pngs, open_features, write_features

VALUES = np.random.default_rng(0).normal(size=(70, 4, 5)).astype(np.float16)


@pytest.fixture
def shard(tmp_path: Path) -> Path:
    write_features(tmp_path / "features.safetensors", VALUES, ENCODER)
    return tmp_path / "features.safetensors"


def test_rows_come_back_as_they_were_written_in_the_order_asked_for(shard: Path) -> None:
    opened = open_features(shard, ENCODER)
    asked = [69, 0, 3, 3]
    assert (len(opened), opened.positions, opened.channels) == VALUES.shape
    assert torch.equal(opened.batch(asked), torch.from_numpy(VALUES[asked]).float())


def test_a_shard_is_a_safetensors_file_for_everybody(shard: Path) -> None:
    assert np.array_equal(load_file(shard)["features"], VALUES)


def test_equal_features_are_equal_bytes(shard: Path, tmp_path: Path) -> None:
    write_features(tmp_path / "again.safetensors", VALUES.astype(np.float32), ENCODER)
    assert shard.read_bytes() == (tmp_path / "again.safetensors").read_bytes()


def test_an_empty_shard_is_a_shard(tmp_path: Path) -> None:
    write_features(tmp_path / "none", VALUES[:0], ENCODER)
    assert open_features(tmp_path / "none", ENCODER).batch([]).shape == (0, 4, 5)


def test_the_features_of_another_encoder_are_refused(shard: Path) -> None:
    with pytest.raises(TrainingError, match=r"another encoder.*encode the images again"):
        open_features(shard, "f" * 64)


def test_what_each_layer_makes_is_refused_before_a_picture_is_read() -> None:
    encoder = RadDino(None, size=28, width=32, layers=2, heads=4, inner=128, all_layers=True)
    with pytest.raises(TrainingError, match="each of its layers makes"):
        encode_pngs(encoder, [b"never read"])


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e6])
def test_what_is_no_finite_float16_number_is_refused_with_its_position(tmp_path: Path, value: float) -> None:
    values = VALUES.astype(np.float32)
    values[66, 2, 3] = value
    with pytest.raises(TrainingError, match=r"image 66 are no finite float16 numbers.*position 2, channel 3"):
        write_features(tmp_path / "f", values, ENCODER)
    assert list(tmp_path.iterdir()) == []


def test_features_of_another_shape_are_refused(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="must be"):
        write_features(tmp_path / "f", VALUES[0], ENCODER)


@pytest.mark.parametrize("length", [0, 7, 8, 100, -1, -2 * 4 * 5])
def test_a_shard_that_is_cut_is_refused(shard: Path, length: int) -> None:
    os.truncate(shard, length if length >= 0 else shard.stat().st_size + length)
    with pytest.raises(TrainingError, match=r"is no shard|is cut"):
        open_features(shard, ENCODER)


def test_a_shard_that_is_cut_while_it_is_read_gives_an_error_and_no_crash(shard: Path) -> None:
    opened = open_features(shard, ENCODER)
    os.truncate(shard, shard.stat().st_size - 1)
    with pytest.raises(TrainingError, match="image 69 is not whole"):
        opened.batch([69])


def test_an_image_that_is_not_there_is_an_index_error(shard: Path) -> None:
    with pytest.raises(IndexError, match="none at 70"):
        open_features(shard, ENCODER).batch([70])


def test_a_missing_shard_is_named(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="cannot be read: No such file"):
        open_features(tmp_path / "nothing", ENCODER)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"count":"70"', '"count":"71"'),
        ('"dtype":"F16"', '"dtype":"F32"'),
        ('"version":"1"', '"version":"9"'),
        ('"shape":[70,', '"shape":[71,'),
        ('"shape":[70,4,5]', '"shape":[70,5,4,1]'),
        ('"shape":[70,', '"shape":[7e1,'),
        ('"data_offsets":[0', '"data_offsets":[2'),
        ('"features"', '"featured"'),
    ],
)
def test_a_header_that_says_something_else_is_refused(shard: Path, old: str, new: str) -> None:
    raw = shard.read_bytes()
    length = int.from_bytes(raw[:8], "little")
    text = raw[8 : 8 + length].decode().rstrip()
    assert old in text
    header = text.replace(old, new).encode()
    shard.write_bytes(len(header).to_bytes(8, "little") + header + raw[8 + length :])
    with pytest.raises(TrainingError, match=r"is no shard|is cut"):
        open_features(shard, ENCODER)


@settings(max_examples=50)
@given(st.binary(max_size=300))
def test_no_bytes_are_mistaken_for_a_shard(raw: bytes) -> None:
    file = Path(f"/dev/shm/features-{os.getpid()}")
    file.write_bytes(raw)
    try:
        with pytest.raises(TrainingError):
            open_features(file, ENCODER)
    finally:
        file.unlink()


WORDS = st.sampled_from(["features", "__metadata__", "shape", "dtype", "F16", "encoder", "count", "version"])


@settings(max_examples=50)
@given(st.recursive(st.none() | st.integers() | WORDS, lambda inner: st.dictionaries(WORDS, inner), max_leaves=8))
def test_no_json_is_mistaken_for_a_header(data: object) -> None:
    file, text = Path(f"/dev/shm/header-{os.getpid()}"), json.dumps(data).encode()
    file.write_bytes(len(text).to_bytes(8, "little") + text)
    try:
        with pytest.raises(TrainingError):
            open_features(file, ENCODER)
    finally:
        file.unlink()


def test_a_full_disk_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_features(tmp_path / "f", VALUES, ENCODER)
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_process_left_is_removed_when_it_is_old(tmp_path: Path) -> None:
    old, fresh = tmp_path / ".f-killed", tmp_path / ".f-at-work"
    for file in (old, fresh):
        file.write_bytes(b"half")
    os.utime(old, (0, 0))
    write_features(tmp_path / "f", VALUES, ENCODER)
    assert sorted(file.name for file in tmp_path.iterdir()) == [".f-at-work", "f"]


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Encoder:
    base = make_tiny_bundle(tmp_path_factory.mktemp("models"), projector=False)
    return load_encoder(base.encoder, base.encoder_weights, dict(base.encoder_options))


def test_an_encoder_gives_the_same_features_in_any_batch(encoder: Encoder) -> None:
    pngs = [png_of(seed) for seed in range(5)]
    values = encode_pngs(encoder, pngs)
    assert values.shape == (5, encoder.positions, encoder.channels)
    assert values.dtype == np.float16
    assert np.allclose(values, encode_pngs(encoder, iter(pngs), batch=2, workers=2), atol=1e-2)
    assert encode_pngs(encoder, []).shape == (0, encoder.positions, encoder.channels)


def test_an_image_that_cannot_be_read_is_named_by_its_place(encoder: Encoder) -> None:
    with pytest.raises(InvalidRequest, match="image 1: the image cannot be read"):
        encode_pngs(encoder, [png_of(0), b"no png", png_of(1)])


def png_of(seed: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 255, (64, 64), dtype=np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()
