"""Files and directories that are whole when they have their name, also after a power failure."""

import os
from pathlib import Path

import pytest

from xraygpt_core.durable import complete_directory, complete_file, flush_tree


def test_a_directory_half_written_never_has_its_name(tmp_path: Path) -> None:
    def fail_half_way() -> None:
        with complete_directory(tmp_path / "step-000001") as work:
            (work / "weights").write_text("half")
            raise RuntimeError("power")

    with pytest.raises(RuntimeError, match="power"):
        fail_half_way()
    assert list(tmp_path.iterdir()) == []


def test_a_complete_directory_replaces_the_former_one(tmp_path: Path) -> None:
    for text in ("old", "new"):
        with complete_directory(tmp_path / "result") as work:
            (work / text).write_text(text)
    assert [path.name for path in (tmp_path / "result").iterdir()] == ["new"]


def test_everything_is_on_the_disk_before_a_directory_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed: list[str] = []
    target = tmp_path / "result"

    def fsync(handle: int) -> None:
        flushed.append(Path(os.readlink(f"/proc/self/fd/{handle}")).name)
        assert target.exists() == (flushed[-1] == tmp_path.name)

    monkeypatch.setattr(os, "fsync", fsync)
    with complete_directory(target) as work:
        (work / "adapter").mkdir()
        (work / "adapter/weights").write_text("whole")
    assert flushed[-1] == tmp_path.name
    assert set(flushed[:-1]) == {".result.tmp", "adapter", "weights"}


def test_a_disk_that_does_not_answer_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fsync(_handle: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(OSError, match="Input/output"):
        flush_tree(tmp_path)
    assert not [name for name in os.listdir("/proc/self/fd") if _leads_to(name, tmp_path)]


def _leads_to(handle: str, path: Path) -> bool:
    try:
        return os.readlink(f"/proc/self/fd/{handle}") == str(path)
    except FileNotFoundError:  # the handle of the listing itself
        return False


def test_a_file_half_written_never_has_its_name(tmp_path: Path) -> None:
    def fail_half_way() -> None:
        with complete_file(tmp_path / "x.csv") as work:
            work.write_text("half")
            raise RuntimeError("power")

    (tmp_path / "x.csv").write_text("former")
    with pytest.raises(RuntimeError, match="power"):
        fail_half_way()
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("x.csv", "former")]


def test_a_file_is_its_owners_alone_and_a_link_to_it_stays_one(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "x.csv")
    for text in ("first", "second"):
        with complete_file(tmp_path / "link") as work:
            work.write_text(text)
    assert (tmp_path / "link").is_symlink()
    assert ((tmp_path / "x.csv").read_text(), (tmp_path / "x.csv").stat().st_mode & 0o777) == ("second", 0o600)


@pytest.mark.parametrize("name", ["/dev/null", "/proc/self", "none/x.csv"])
def test_what_cannot_become_a_file_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(OSError, match=r"is no regular file|there is no folder"), complete_file(tmp_path / name):
        raise AssertionError
