"""Features on a worker's disk: pulled once, checked, linked, and thrown out by age."""

import hashlib
import os
from pathlib import Path

import pytest

from workers.feature_cache import FeatureCache
from xraygpt_core.errors import TrainingError

ENCODER = "e" * 64


class Bucket:
    """A derived bucket that counts what is asked of it."""

    def __init__(self, objects: dict[str, bytes]) -> None:
        self.objects = objects
        self.asked = 0

    def get_file(self, key: str, path: Path) -> None:
        self.asked += 1
        path.write_bytes(self.objects[key])


def key_of(content: bytes, shard: int = 0) -> str:
    return f"training/features/{ENCODER}/{shard:064x}-{hashlib.sha256(content).hexdigest()}.safetensors"


def test_what_was_pulled_once_is_linked_from_then_on(tmp_path: Path) -> None:
    key = key_of(b"features")
    bucket, cache = Bucket({key: b"features"}), FeatureCache(tmp_path / "cache", 100)
    for number in range(3):
        cache.link(bucket, key, tmp_path / str(number))  # type: ignore[arg-type]
    assert bucket.asked == 1
    assert {(tmp_path / str(number)).read_bytes() for number in range(3)} == {b"features"}


def test_what_is_not_what_was_left_there_is_neither_kept_nor_linked(tmp_path: Path) -> None:
    key = key_of(b"features")
    cache = FeatureCache(tmp_path / "cache", 100)
    with pytest.raises(TrainingError, match="not what was left there"):
        cache.link(Bucket({key: b"others"}), key, tmp_path / "linked")  # type: ignore[arg-type]
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("key", ["training/features/x", f"training/features/{ENCODER}/../../a-{ENCODER}.safetensors"])
def test_a_key_that_is_none_of_features_leads_nowhere(tmp_path: Path, key: str) -> None:
    with pytest.raises(TrainingError, match="none of features"):
        FeatureCache(tmp_path, 100).link(Bucket({}), key, tmp_path / "linked")  # type: ignore[arg-type]


def test_above_its_bound_those_go_that_were_not_used_for_the_longest_time_and_a_run_keeps_its_own(
    tmp_path: Path,
) -> None:
    contents = [bytes([number]) * 40 for number in range(3)]
    keys = [key_of(content, number) for number, content in enumerate(contents)]
    bucket, cache = Bucket(dict(zip(keys, contents, strict=True))), FeatureCache(tmp_path / "cache", 80)
    for number, key in enumerate(keys):
        cache.link(bucket, key, tmp_path / str(number))  # type: ignore[arg-type]
        for age, path in enumerate(sorted((tmp_path / "cache").iterdir(), reverse=True)):
            os.utime(path, (1000 - age, 1000 - age))
    cache.make_room()
    assert len(list((tmp_path / "cache").iterdir())) == 2
    assert [(tmp_path / str(number)).read_bytes() for number in range(3)] == contents


def test_what_the_ledger_names_no_more_goes_once_no_run_is_about_to_use_it(tmp_path: Path) -> None:
    contents = [bytes([number]) * 40 for number in range(3)]
    keys = [key_of(content, number) for number, content in enumerate(contents)]
    bucket, cache = Bucket(dict(zip(keys, contents, strict=True))), FeatureCache(tmp_path / "cache", 1000)
    for number, key in enumerate(keys):
        cache.link(bucket, key, tmp_path / str(number))  # type: ignore[arg-type]
    for path in (tmp_path / "cache").iterdir():
        os.utime(path, (0, 0))
    cache.link(bucket, keys[1], tmp_path / "again")  # type: ignore[arg-type]
    cache.forget_all_but([keys[0]])
    assert {path.read_bytes() for path in (tmp_path / "cache").iterdir()} == {contents[0], contents[1]}
