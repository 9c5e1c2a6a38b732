"""Readers of hostile files: pairs and problems come out, and never a traceback."""

import gzip
import io
import json
from collections.abc import Iterator
from typing import BinaryIO

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.training_sets import open_i_films, open_i_xml
from xraygpt_core.errors import TrainingError
from xraygpt_core.training.datasets.csv_rows import csv_rows
from xraygpt_core.training.datasets.json_items import BrokenJson, WrongShape, items_of
from xraygpt_core.training.datasets.problems import Kind, Problems
from xraygpt_core.training.datasets.read import read_set
from xraygpt_core.training.mixture import SetSpec
from xraygpt_core.training.pairs import SPLITS

FEW = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


class Memory:
    """Files in memory; every image exists."""

    def __init__(self, **files: bytes) -> None:
        self.files = {name.replace("__", "/").replace("_DOT_", "."): data for name, data in files.items()}

    def open(self, address: str) -> BinaryIO:
        if address not in self.files:
            raise TrainingError("there is no such file")
        return io.BytesIO(self.files[address])

    def list(self, folder: str) -> Iterator[str]:
        return iter(sorted(name for name in self.files if name.startswith(folder)))

    def exists(self, address: str) -> bool:
        return address in self.files or address.endswith((".png", ".jpg"))


def read(reader: str, path: str, files: Memory) -> Problems:
    """Read it to its end; whatever comes is a whole pair or a problem with a place."""
    reading = read_set(SetSpec("set", reader, path=path), files)
    for pair in reading.pairs:
        assert pair.pair_id
        assert pair.split in SPLITS
        assert pair.where
        assert pair.text is None or pair.text.strip()
    assert all(problem.where and problem.what for problem in reading.problems)
    return reading.problems


LINE = (
    b'{"id": "a", "image": "a.png", "text": "Clear lungs.", "patient": "p", "split": "train", "labels": ["Nodule"]}\n'
)
CAP = b'{"annotations": [\n{"image_id": "a", "caption": "Clear."},\n{"image_id": "b", "caption": "Normal."}\n]}'
TABLE = b'id,image,text,split\n1,a.png,"Clear, lungs",train\n2,b.png,"Two\nlines",val\n'
MIMIC = b"dicom_id,study_id,subject_id,split\na,1,2,train\n"


@st.composite
def broken(draw: st.DrawFn, whole: bytes) -> bytes:
    """A file with some of its bytes changed, cut out, doubled or put in."""
    data = bytearray(whole)
    for _ in range(draw(st.integers(1, 5))):
        place = draw(st.integers(0, max(len(data) - 1, 0)))
        match draw(st.integers(0, 3)):
            case 0:
                data[place : place + 1] = bytes([draw(st.integers(0, 255))])
            case 1:
                del data[place : place + draw(st.integers(1, 30))]
            case 2:
                data[place:place] = draw(
                    st.binary(max_size=10) | st.sampled_from([b'"', b"\n", b"[" * 9000, b"\xff\xfe"])
                )
            case _:
                data[place:place] = data[: draw(st.integers(0, 60))]
    return bytes(data)


@FEW
@given(broken(LINE * 3) | st.binary(max_size=200))
def test_any_bytes_are_a_table_of_json_lines_or_problems(data: bytes) -> None:
    read("table", "t.jsonl", Memory(t_DOT_jsonl=data))
    read("manifest", "", Memory(manifest_DOT_jsonl=data))


@FEW
@given(broken(TABLE) | st.binary(max_size=200))
def test_any_bytes_are_a_csv_table_or_problems(data: bytes) -> None:
    read("table", "t.csv", Memory(t_DOT_csv=data))
    read("table", "t.csv.gz", Memory(t_DOT_csv_DOT_gz=gzip.compress(data)))


@FEW
@given(broken(gzip.compress(TABLE)))
def test_a_damaged_packed_file_is_a_problem(data: bytes) -> None:
    read("table", "t.csv.gz", Memory(t_DOT_csv_DOT_gz=data))


@FEW
@given(broken(CAP) | st.binary(max_size=200))
def test_any_bytes_are_a_filter_cap_or_problems(data: bytes) -> None:
    read("filter-cap", "", Memory(filter_cap_DOT_json=data))


@FEW
@given(broken(open_i_xml(1, open_i_films(1)).encode()) | st.binary(max_size=200))
def test_any_bytes_are_an_open_i_report_or_problems(data: bytes) -> None:
    read("open-i", "", Memory(a_DOT_xml=data))
    read("open-i", "r.tgz", Memory(r_DOT_tgz=data))


@pytest.mark.parametrize("data", [b"\x1f\x8b\x08", b"\xfd7zXZ\x00", b"BZh9", b"", b"\0" * 1024])
def test_the_beginning_of_an_archive_is_none(data: bytes) -> None:
    assert read("open-i", "r.tgz", Memory(r_DOT_tgz=data)).errors


@FEW
@given(broken(MIMIC), st.binary(max_size=100))
def test_any_bytes_are_mimics_tables_and_reports_or_problems(table: bytes, report: bytes) -> None:
    files = Memory()
    study = "files/p10/p10000001/s50000001"
    files.files = {"mimic-cxr-2.0.0-split.csv": table, f"{study}/a.jpg": b"", f"{study}.txt": report}
    read("mimic-cxr", "", files)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)


@FEW
@given(
    st.lists(json_values, max_size=8), st.dictionaries(st.text(max_size=4), json_values, max_size=3), st.integers(0, 3)
)
def test_the_items_of_a_list_are_those_that_json_reads(
    items: list[object], before: dict[str, object], indent: int
) -> None:
    document = {name: value for name, value in before.items() if name != "list"} | {"list": items}
    data = json.dumps(document, indent=indent or None).encode()
    assert [value for _, value in items_of(io.BytesIO(data), "list")] == json.loads(data)["list"]


def test_items_are_read_over_the_edges_of_what_is_read_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("xraygpt_core.training.datasets.json_items._CHUNK", 3)
    data = '{"a": 12.5, "list": [{"é": "ü\\n"}, 1234567, "x"]}'.encode()
    assert [value for _, value in items_of(io.BytesIO(data), "list")] == [{"é": "ü\n"}, 1234567, "x"]


def test_an_item_knows_its_line() -> None:
    assert [line for line, _ in items_of(io.BytesIO(CAP), "annotations")] == [2, 3]
    with pytest.raises(BrokenJson) as broken_at:
        list(items_of(io.BytesIO(CAP[:-20]), "annotations"))
    assert broken_at.value.line == 3
    with pytest.raises(WrongShape, match="the object has no list of other"):
        list(items_of(io.BytesIO(CAP), "other"))


cells = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0\r"), max_size=12)


@FEW
@given(st.lists(st.tuples(cells, cells), max_size=6))
def test_what_a_spreadsheet_writes_is_read_back(rows: list[tuple[str, str]]) -> None:
    quoted = ["a,b", *(",".join('"' + cell.replace('"', '""') + '"' for cell in row) for row in rows)]
    problems = Problems()
    found = csv_rows(Memory(t_DOT_csv="\r\n".join(quoted).encode()), "t.csv", ["a"], problems)
    assert [(row["a"], row["b"]) for _, row in found] == rows
    assert not problems.counts


def test_an_endless_line_is_not_held_in_memory() -> None:
    problems = read("table", "t.jsonl", Memory(t_DOT_jsonl=b"x" * 3 * 2**20))
    assert problems.counts[Kind.LONG_LINE] == 1


def test_a_packed_bomb_of_one_line_is_not_unpacked() -> None:
    problems = read("table", "t.jsonl.gz", Memory(t_DOT_jsonl_DOT_gz=gzip.compress(b" " * 10**8)))
    assert problems.counts[Kind.LONG_LINE] == 1


def test_many_problems_are_counted_and_a_thousand_are_kept() -> None:
    problems = read("table", "t.jsonl", Memory(t_DOT_jsonl=b"[]\n" * 5000))
    assert problems.counts[Kind.WRONG_SHAPE] == 5000
    assert sum(problem.kind is Kind.WRONG_SHAPE for problem in problems) == 1000
