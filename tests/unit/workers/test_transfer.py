"""What the derived bucket holds lands below the folder it is pulled into, unchanged, or not at all."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.transfer import inside, pull, push
from xraygpt_core.errors import ObjectMissing, TrainingError


@dataclass
class Bucket:
    """A bucket that takes any key, as Amazon's does."""

    objects: dict[str, bytes] = field(default_factory=dict)
    derived_bucket: str = "derived"

    def list(self, bucket: str, prefix: str) -> Iterator[Any]:
        return iter([SimpleNamespace(key=key) for key in sorted(self.objects) if key.startswith(prefix)])

    def get_file(self, key: str, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(self.objects[key])

    def put_file(self, key: str, path: Path) -> None:
        self.objects[key] = path.read_bytes()


def a_result(folder: Path) -> Path:
    (folder / "adapter").mkdir(parents=True)
    (folder / "projector.safetensors").write_bytes(b"projector")
    (folder / "adapter" / "config.json").write_bytes(b"{}")
    return folder


def pushed(folder: Path) -> tuple[Bucket, str]:
    bucket = Bucket()
    return bucket, push(bucket, a_result(folder), "runs/1/1/result", lambda: None)  # type: ignore[arg-type]


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_what_was_pushed_is_pulled(tmp_path: Path) -> None:
    bucket, prefix = pushed(tmp_path / "a")
    pull(bucket, prefix, tmp_path / "b")  # type: ignore[arg-type]
    assert files(tmp_path / "b") == files(tmp_path / "a")


@pytest.mark.parametrize("change", ["other bytes", "one more", "one less"])
def test_what_changed_in_the_bucket_is_refused(tmp_path: Path, change: str) -> None:
    bucket, prefix = pushed(tmp_path / "a")
    if change == "one less":
        del bucket.objects[f"{prefix}/projector.safetensors"]
    else:
        bucket.objects[f"{prefix}/{'projector.safetensors' if change == 'other bytes' else 'z'}"] = b"evil"
    with pytest.raises(TrainingError, match="not what the run left"):
        pull(bucket, prefix, tmp_path / "b")  # type: ignore[arg-type]


def test_a_prefix_of_an_older_version_has_no_hash_and_is_pulled(tmp_path: Path) -> None:
    pull(Bucket({"runs/1/1/result/w": b"w"}), "runs/1/1/result", tmp_path)  # type: ignore[arg-type]
    assert files(tmp_path) == {"w": b"w"}


def test_nothing_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(ObjectMissing):
        pull(Bucket(), "runs/1/1/result", tmp_path)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "name", ["../evil", "a/../../evil", "/etc/evil", "", "a//b", "./a", "a\nb", "a\x00b", "a/", "‮a"]
)
def test_a_key_that_is_no_name_of_a_file_writes_nothing(tmp_path: Path, name: str) -> None:
    target = tmp_path / "target"
    target.mkdir()
    with pytest.raises(TrainingError, match="no name of a file") as told:
        pull(Bucket({f"runs/1/{name}": b"evil"}), "runs/1", target)  # type: ignore[arg-type]
    assert "evil" not in str(told.value)
    assert files(tmp_path) == {}


@pytest.mark.parametrize("name", ["link/evil", "evil"])
def test_a_link_in_the_folder_is_no_way_out(tmp_path: Path, name: str) -> None:
    target, outside = tmp_path / "target", tmp_path / "outside"
    target.mkdir()
    outside.mkdir()
    (target / "link").symlink_to(outside)
    (target / "evil").symlink_to(outside / "evil")
    with pytest.raises(TrainingError, match="leads out"):
        pull(Bucket({f"runs/1/{name}": b"evil"}), "runs/1", target)  # type: ignore[arg-type]
    assert files(outside) == {}


_PARTS = st.sampled_from(["..", ".", "", "a", "b", "\n", "\x1b", "~", "..a", "a..", "\\", "%2e%2e", "-", "link"])


@pytest.fixture(scope="module")
def linked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a link out of it."""
    root = tmp_path_factory.mktemp("transfer") / "target"
    root.mkdir()
    (root / "link").symlink_to(root.parent)
    return root.resolve()


@given(name=st.lists(_PARTS, min_size=1, max_size=6).map("/".join) | st.text(max_size=20))
def test_no_name_leads_out_of_the_folder(linked: Path, name: str) -> None:
    try:
        path = inside(linked, name)
    except TrainingError:
        return
    assert linked in path.resolve().parents
