import os
from pathlib import Path

import pytest

from xraygpt.inputs import InputFile, NothingThere, expand, files_below, is_uri, opened, split_uri


def test_every_regular_not_hidden_file_below_a_folder_is_found_in_order(tmp_path: Path) -> None:
    for name in ("b.dcm", "a/z.png", "a/y", ".hidden", ".folder/c.dcm", "empty.dcm"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"" if "empty" in name else b"1")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "gone").symlink_to("nowhere")
    (tmp_path / "again").symlink_to("b.dcm")
    (tmp_path / "out").symlink_to("/etc/hostname")
    (tmp_path / "etc").symlink_to("/etc")
    said: list[str] = []
    assert [os.path.relpath(path, tmp_path) for path in files_below(tmp_path, said.append)] == [
        "b.dcm",
        "empty.dcm",
        "a/y",
        "a/z.png",
    ]
    assert said == [
        f"passed over, for these links lead nowhere: {tmp_path}/gone",
        f"{tmp_path}: 4 links or other things that are no files were passed over",
    ]


def test_of_many_broken_links_the_first_are_named(tmp_path: Path) -> None:
    for number in range(8):
        (tmp_path / f"{number}.dcm").symlink_to("nowhere")
    said: list[str] = []
    assert list(files_below(tmp_path, said.append)) == []
    assert said[0].endswith("4.dcm, and 3 more")
    with pytest.raises(FileNotFoundError, match=r"/0\.dcm is a link that leads nowhere$"):
        expand([str(tmp_path / "0.dcm")])


def test_arguments_keep_their_order_and_each_file_comes_once(tmp_path: Path) -> None:
    one, two = tmp_path / "1.dcm", tmp_path / "2.dcm"
    one.touch()
    two.touch()
    sources = [str(two), "s3://bucket/key", str(tmp_path), "s3://bucket/key"]
    assert expand(sources) == [str(two), "s3://bucket/key", str(one)]


def test_a_hidden_file_that_is_named_is_taken(tmp_path: Path) -> None:
    (tmp_path / ".film").touch()
    assert expand([str(tmp_path / ".film")]) == [str(tmp_path / ".film")]


@pytest.mark.parametrize("source", ["", " "])
def test_an_empty_argument_is_not_the_folder_we_are_in(
    source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "film.png").touch()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(NothingThere, match="empty"):
        expand(["film.png", source])
    assert len(expand(["."])) == 1


def test_what_is_not_there_is_named() -> None:
    with pytest.raises(FileNotFoundError, match="no/such/file"):
        expand(["no/such/file"])


@pytest.mark.parametrize(
    ("uri", "parts"),
    [
        ("s3://bucket/in/a.dcm", ("bucket", "in/a.dcm")),
        ("s3://bucket", ("bucket", "")),
        ("s3://bucket/in/a%2Fb c?#.dcm", ("bucket", "in/a%2Fb c?#.dcm")),
    ],
)
def test_a_uri_is_bucket_and_key(uri: str, parts: tuple[str, str]) -> None:
    assert is_uri(uri)
    assert split_uri(uri) == parts


@pytest.mark.parametrize("uri", ["s3:///key", "http://bucket/key", "film.dcm"])
def test_anything_else_is_no_uri_of_an_object(uri: str) -> None:
    with pytest.raises(ValueError, match="is not s3://bucket/key"):
        split_uri(uri)


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "elsewhere" / "secret"
    path.parent.mkdir()
    path.write_bytes(b"secret")
    return path


def read(source: str) -> bytes:
    with opened(source) as file:
        return file.read()


def test_a_link_that_is_named_is_followed_within_its_folder(tmp_path: Path) -> None:
    (tmp_path / "film").write_bytes(b"film")
    (tmp_path / "latest").symlink_to("film")
    assert read(str(tmp_path / "latest")) == b"film"


def test_a_link_that_is_named_is_not_followed_out_of_its_folder(tmp_path: Path, secret: Path) -> None:
    (tmp_path / "films").mkdir()
    (tmp_path / "films" / "film").symlink_to(secret)
    with pytest.raises(OSError, match="out of its folder"):
        read(str(tmp_path / "films" / "film"))


def test_a_folder_may_itself_be_a_link(tmp_path: Path, secret: Path) -> None:
    (tmp_path / "films").symlink_to(secret.parent)
    assert [read(file) for file in expand([str(tmp_path / "films")])] == [b"secret"]
    assert read(str(tmp_path / "films" / "secret")) == b"secret"


@pytest.mark.parametrize("swapped", ["a/film", "a"])
def test_what_takes_a_files_name_after_the_look_is_not_read(tmp_path: Path, secret: Path, swapped: str) -> None:
    films = tmp_path / "films"
    (films / "a").mkdir(parents=True)
    (films / "a" / "film").write_bytes(b"film")
    (secret.parent / "film").write_bytes(b"secret")
    (found,) = expand([str(films)])
    assert isinstance(found, InputFile)
    (films / swapped).rename(tmp_path / "away")
    (films / swapped).symlink_to(secret.parent / "film" if swapped == "a/film" else secret.parent)
    with pytest.raises(OSError, match="out of its folder"):
        read(found)


@pytest.mark.parametrize("what", ["pipe", "device"])
def test_what_is_no_file_is_not_waited_for(tmp_path: Path, what: str) -> None:
    path = "/dev/zero"
    if what == "pipe":
        path = str(tmp_path / "pipe")
        os.mkfifo(path)
    with pytest.raises(OSError, match="no regular file"):
        read(path)
