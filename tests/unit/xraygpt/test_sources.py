import os
from pathlib import Path

import pytest

from xraygpt.sources import expand, files_below, is_uri, split_uri


def test_every_regular_not_hidden_file_below_a_folder_is_found_in_order(tmp_path: Path) -> None:
    for name in ("b.dcm", "a/z.png", "a/y", ".hidden", ".folder/c.dcm", "empty.dcm"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"" if "empty" in name else b"1")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "gone").symlink_to("nowhere")
    assert [str(path.relative_to(tmp_path)) for path in files_below(tmp_path)] == [
        "b.dcm",
        "empty.dcm",
        "a/y",
        "a/z.png",
    ]


def test_arguments_keep_their_order_and_each_file_comes_once(tmp_path: Path) -> None:
    one, two = tmp_path / "1.dcm", tmp_path / "2.dcm"
    one.touch()
    two.touch()
    sources = [str(two), "s3://bucket/key", str(tmp_path), "s3://bucket/key"]
    assert expand(sources) == [str(two), "s3://bucket/key", str(one)]


def test_a_hidden_file_that_is_named_is_taken(tmp_path: Path) -> None:
    (tmp_path / ".film").touch()
    assert expand([str(tmp_path / ".film")]) == [str(tmp_path / ".film")]


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
