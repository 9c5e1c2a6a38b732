"""A folder's files by address: nothing outside it, whatever names and links say."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.support.training_sets import write
from xraygpt_core.errors import TrainingError
from xraygpt_core.training.datasets.files import FolderFiles, LeadsOut, Unlisted


@pytest.mark.parametrize(
    "address",
    [
        "",
        "../a",
        "a/../../b",
        "/etc/passwd",
        "~/a",
        "a\0b",
        "a\nb",
        "x" * 2000,
        "C:/a",
        "s3://b/k",
        "a\\b",
        "..",
        "link/a",
    ],
)
def test_an_address_never_leads_out(address: str, tmp_path: Path) -> None:
    write(tmp_path / "b", "secret")
    (tmp_path / "set").mkdir()
    (tmp_path / "set/link").symlink_to(tmp_path)
    files = FolderFiles(tmp_path / "set")
    for act in (files.exists, files.open, files.path):
        with pytest.raises(LeadsOut):
            act(address)


def test_a_link_inside_the_folder_is_followed(tmp_path: Path) -> None:
    write(tmp_path / "a/film", "1")
    (tmp_path / "b").symlink_to(tmp_path / "a/film")
    with FolderFiles(tmp_path).open("b") as film:
        assert film.read() == b"1"


def test_a_circle_of_links_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    assert not FolderFiles(tmp_path).exists("a")


def test_a_door_may_lie_on_another_disk_and_what_is_in_it_stays_in_it(tmp_path: Path) -> None:
    write(tmp_path / "disk/1.png", "1")
    write(tmp_path / "set/covid/2.png", "2")
    (tmp_path / "set/nih").symlink_to(tmp_path / "disk")
    (tmp_path / "disk/link").symlink_to(tmp_path / "set/covid")
    files = FolderFiles(tmp_path / "set", ["nih"])
    assert files.exists("nih/1.png")
    for address in ("nih/link/2.png", "nih/../covid/2.png"):
        with pytest.raises(LeadsOut):
            files.exists(address)


def test_a_door_is_a_whole_folder(tmp_path: Path) -> None:
    write(tmp_path / "set/nihilist/1.png", "1")
    (tmp_path / "set/nih").mkdir()
    assert FolderFiles(tmp_path / "set", ["nih"]).exists("nihilist/1.png")


def test_files_are_listed_by_name_without_what_links_lead_to(tmp_path: Path) -> None:
    for name in ("b/2", "b/1", "a", "c"):
        write(tmp_path / name, "x")
    (tmp_path / "b/up").symlink_to(tmp_path)
    assert list(FolderFiles(tmp_path).list("")) == ["a", "c", "b/1", "b/2"]
    assert list(FolderFiles(tmp_path).list("b")) == ["b/1", "b/2"]
    assert list(FolderFiles(tmp_path).list("none")) == []


def test_folders_may_lie_as_deep_as_a_path_can_be_long(tmp_path: Path) -> None:
    here = os.getcwd()
    try:
        os.chdir(tmp_path)
        for _ in range(1100):
            os.mkdir("d")
            os.chdir("d")
        Path("film").touch()
        found = list(FolderFiles(tmp_path).list(""))
    finally:
        os.chdir(here)
        subprocess.run(["rm", "-rf", str(tmp_path / "d")], check=True)  # too deep for Python's own
    assert found == ["d/" * 1100 + "film"]


def test_a_pipe_is_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert not FolderFiles(tmp_path).exists("pipe")
    with pytest.raises(TrainingError, match="there is no such file"):
        FolderFiles(tmp_path).open("pipe")


def test_a_folder_that_may_not_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "a/b/1", "x")
    real = os.scandir

    def scandir(path: Path) -> object:
        if path.name == "b":
            raise PermissionError(13, "Permission denied")
        return real(path)

    monkeypatch.setattr("xraygpt_core.training.datasets.files.os.scandir", scandir)
    with pytest.raises(Unlisted, match="Permission denied") as unlisted:
        list(FolderFiles(tmp_path).list(""))
    assert unlisted.value.address == "a/b/"


def test_a_link_that_takes_the_place_of_a_folder_after_the_look_is_not_followed(tmp_path: Path) -> None:
    class Swapped(FolderFiles):
        def path(self, address: str) -> Path:
            found = super().path(address)
            (tmp_path / "set/a").rename(tmp_path / "set/former")
            (tmp_path / "set/a").symlink_to(tmp_path / "secret")
            return found

    write(tmp_path / "secret/film", "secret")
    write(tmp_path / "set/a/film", "1")
    with pytest.raises(TrainingError, match="cannot be read"):
        Swapped(tmp_path / "set").open("a/film")


def test_a_file_in_a_folder_that_may_be_entered_but_not_listed_is_read(tmp_path: Path) -> None:
    write(tmp_path / "a/film", "1")
    (tmp_path / "a").chmod(0o100)
    try:
        with FolderFiles(tmp_path).open("a/film") as film:
            assert film.read() == b"1"
    finally:
        (tmp_path / "a").chmod(0o700)
