"""Records of JSON files of any size and shape: the same values whatever the chunks, and broken files end clearly."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training_jobs.language import json_records
from training_jobs.language.json_records import read_record, records

LETTERS = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**9), 10**9) | LETTERS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(LETTERS, inner, max_size=3),
    max_leaves=6,
)
OBJECTS = st.lists(st.dictionaries(LETTERS, VALUES, max_size=3), max_size=5)


def written(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


@given(rows=OBJECTS, indent=st.sampled_from([None, 1]), ascii_only=st.booleans(), chunk=st.integers(1, 9))
@settings(max_examples=60, deadline=None)
def test_an_array_gives_its_elements_and_where_they_stand(
    tmp_path_factory: pytest.TempPathFactory, rows: list[Any], indent: int | None, ascii_only: bool, chunk: int
) -> None:
    file = tmp_path_factory.mktemp("f") / "a.json"
    file.write_bytes(json.dumps(rows, indent=indent, ensure_ascii=ascii_only).encode())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_records, "_CHUNK", chunk)
        found = list(records(file))
    assert [record.value for record in found] == rows
    assert all(record.problem is None for record in found)
    with file.open("rb") as opened:
        assert [read_record(opened, record.offset, record.length) for record in found] == rows


@given(rows=OBJECTS, blank=st.booleans())
@settings(max_examples=40, deadline=None)
def test_lines_give_the_same(tmp_path_factory: pytest.TempPathFactory, rows: list[Any], blank: bool) -> None:
    file = tmp_path_factory.mktemp("f") / "a.jsonl"
    file.write_bytes(b"".join(json.dumps(row).encode() + (b"\n\n" if blank else b"\n") for row in rows))
    found = list(records(file))
    assert [record.value for record in found] == rows
    with file.open("rb") as opened:
        assert [read_record(opened, record.offset, record.length) for record in found] == rows


@given(data=st.binary(max_size=200) | st.text(alphabet='[]{},:"\\ \n1aé', max_size=60).map(str.encode))
@settings(max_examples=150, deadline=None)
def test_no_bytes_whatever_end_otherwise_than_in_records_and_problems(
    tmp_path_factory: pytest.TempPathFactory, data: bytes
) -> None:
    for record in records(written(tmp_path_factory.mktemp("f") / "x", data)):
        assert record.line >= 1
        assert record.problem is None or record.problem.isprintable()


def test_a_record_knows_its_line(tmp_path: Path) -> None:
    file = written(tmp_path / "a", b'[\n {"a": 1},\n\n {"a":\n 2}\n]')
    assert [record.line for record in records(file)] == [2, 4]


def test_a_byte_order_mark_is_no_letter(tmp_path: Path) -> None:
    assert [record.value for record in records(written(tmp_path / "a", b"\xef\xbb\xbf[1]"))] == [1]
    assert [record.value for record in records(written(tmp_path / "b", b'\xef\xbb\xbf{"a": 1}\n'))] == [{"a": 1}]


def test_a_broken_line_is_one_problem_and_the_next_is_read(tmp_path: Path) -> None:
    found = list(records(written(tmp_path / "a", b'{"a": 1}\n{"a": \n{"a": 2}\n\xff{}\n')))
    assert [record.value for record in found] == [{"a": 1}, None, {"a": 2}, None]
    assert [record.line for record in found if record.problem] == [2, 4]
    assert "UTF-8" in str(found[3].problem)


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b'[{"a": 1}', "cut off"),
        (b'[{"a": 1},', "cut off"),
        (b'[{"a": 1} {"a": 2}]', "no comma"),
        (b'[{"a": 1}, {"a": ]', "nothing behind it was read"),
        (b'[{"a": 1}] and more', "behind the end"),
        (b"[" + b"[" * 100_000, "nested too deeply"),
        (b"[" + b"1" * 5000 + b"]", "too many digits"),
    ],
)
def test_a_broken_array_is_told(tmp_path: Path, data: bytes, told: str) -> None:
    assert told in str(list(records(written(tmp_path / "a", data)))[-1].problem)


def test_a_record_without_an_end_is_given_up_instead_of_read_into_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(json_records, "_MOST", 1000)
    monkeypatch.setattr(json_records, "_CHUNK", 100)
    for start in (b'["', b'{"a": "'):
        (record,) = records(written(tmp_path / "a", start + b"x" * 100_000))
        assert record.problem is not None
        assert "longer" in record.problem


def test_after_a_line_that_is_too_long_the_next_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_records, "_MOST", 50)
    file = written(tmp_path / "a", b'{"a": "' + b"x" * 500 + b'"}\n{"b": 1}\n')
    first, second = records(file)
    assert first.problem is not None
    assert second.value == {"b": 1}
    with file.open("rb") as opened:
        assert read_record(opened, second.offset, second.length) == {"b": 1}
