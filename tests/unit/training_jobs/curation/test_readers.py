"""Every layout of reports is read the same from a folder and from an archive, whoever packed it."""

import gzip
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.report_archives import LONG, folder_of, open_i_xml, small_collection, tar_of, zip_of
from training_jobs.curation.mimic import read_mimic
from training_jobs.curation.open_i import parse_open_i, read_open_i
from training_jobs.curation.records import Record
from training_jobs.curation.sources import read_reports, reader_of
from training_jobs.curation.tables import read_csv, read_jsonl
from xraygpt_core.errors import TrainingError

REPORT = b"""                                 FINAL REPORT
 EXAMINATION:  CHEST (PA AND LAT)

 INDICATION:  Cough.

 FINDINGS:

 The lungs are clear.  There is no
 pleural effusion.

 IMPRESSION:  No acute disease.
"""


def test_an_archive_and_its_folder_give_the_same_reports_in_the_same_order(tmp_path: Path) -> None:
    files = small_collection(12)
    expected = [f"CXR{number}" for number in range(12)]
    sources = [
        folder_of(tmp_path / "folder", files),
        tar_of(tmp_path / "a.tgz", files),
        tar_of(tmp_path / "a.tar", files, "w"),
        tar_of(tmp_path / "a.tar.xz", files, "w:xz"),
        tar_of(tmp_path / "a.tar.bz2", files, "w:bz2"),
        zip_of(tmp_path / "a.zip", files),
    ]
    read = [list(read_open_i(source)) for source in sources]
    assert [one.uid for one in read[0]] == expected
    assert all(reports == read[0] for reports in read)


def test_reports_are_found_at_any_depth_beside_other_files(tmp_path: Path) -> None:
    files = {"a/b/c/1.XML": open_i_xml(LONG, "Normal chest."), "a/README": b"x", "a/figure.png": b"\x89PNG"}
    assert [one.where for one in read_open_i(folder_of(tmp_path, files))] == ["a/b/c/1.XML"]


def test_an_open_i_report_has_its_sections_films_and_indication() -> None:
    report = parse_open_i(open_i_xml("One\n   two", "x y", "CXR3", ["CXR3_IM-1384-1001", "CXR3_IM-1384-2001"]), "3.xml")
    images = ("CXR3_IM-1384-1001.png", "CXR3_IM-1384-2001.png")
    assert report == Record("CXR3", "One two", "x y", "Cough", "", images, "3.xml")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"<eCitation>",
        b"not xml",
        b'<!DOCTYPE a [<!ENTITY b "boom">]><a>&b;</a>',
        '<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "boom">]><a>&b;</a>'.encode("utf-16"),
        b'<?xml version="1.0" encoding="utf-7"?><a/>',
        b'<?xml version="1.0" encoding="no-such-thing"?><a/>',
        b"<a>" * 20_000,
        b"<a>\xff\xfe</a>",
    ],
)
def test_a_broken_or_hostile_xml_file_is_one_broken_report(data: bytes) -> None:
    report = parse_open_i(data, "1.xml")
    assert report.broken is not None or not report.findings
    assert "boom" not in repr(report)


@given(st.binary(max_size=300))
def test_no_bytes_end_the_xml_reader(data: bytes) -> None:
    parse_open_i(data)
    parse_open_i(b"<?xml version='1.0'?>" + data)


def test_mimic_reports_are_read_by_their_sections(tmp_path: Path) -> None:
    files = {"files/p10/p10000032/s50414267.txt": REPORT, "files/p10/p10000032/index.html": b"x"}
    for source in (
        folder_of(tmp_path / "in", files),
        tar_of(tmp_path / "a.tgz", files),
        zip_of(tmp_path / "a.zip", files),
    ):
        (report,) = read_mimic(source)
        assert report.findings == "The lungs are clear. There is no pleural effusion."
        assert (report.impression, report.indication) == ("No acute disease.", "Cough.")
        assert (report.uid, report.patient) == ("s50414267", "p10000032")


def test_a_mimic_report_names_the_films_of_its_study(tmp_path: Path) -> None:
    study = "files/p10/p10000032/s50414267"
    folder_of(tmp_path / "text", {f"{study}.txt": REPORT})
    folder_of(tmp_path / "jpg", {f"{study}/b.jpg": b"", f"{study}/a.jpg": b"", f"{study}/index.html": b""})
    (report,) = read_mimic(tmp_path / "text", tmp_path / "jpg")
    assert report.images == (f"{study}/a.jpg", f"{study}/b.jpg")


def test_a_mimic_report_that_is_no_text_is_one_broken_report(tmp_path: Path) -> None:
    files = {"p10/p1/s1.txt": b"\xff\xfe", "p10/p1/s2.txt": REPORT}
    first, second = read_mimic(folder_of(tmp_path, files))
    assert first.broken == "the file is no UTF-8"
    assert second.uid == "s2"


CSV = """path_to_image,deid_patient_id,section_findings,section_impression
train/p1/s1/view1.jpg,p1,"Lungs are clear,
heart too","No ""acute"" disease"
train/p2/s1/view1.jpg,p2,,Normal
short,row
train/p3/s1/view1.jpg,p3,Clear,Normal
"""


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz"])
def test_a_csv_like_chexpert_plus_is_read_with_its_lines(tmp_path: Path, name: str) -> None:
    data = CSV.encode()
    (tmp_path / name).write_bytes(gzip.compress(data) if name.endswith("gz") else data)
    first, second, third, fourth = read_csv(tmp_path / name, {})
    assert first.findings == "Lungs are clear, heart too"
    assert first.impression == 'No "acute" disease'
    assert (first.uid, first.patient, first.where) == ("train/p1/s1/view1.jpg", "p1", f"{name}, line 2")
    assert (second.findings, second.where) == ("", f"{name}, line 4")
    assert third.broken == "it has not as many cells as the first row"
    assert fourth.images == ("train/p3/s1/view1.jpg",)


def test_columns_can_be_named(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("nr,befund,urteil\n7,clear,normal\n")
    (report,) = read_csv(tmp_path / "a.csv", {"uid": "nr", "findings": "befund", "impression": "urteil"})
    assert (report.uid, report.findings, report.impression) == ("7", "clear", "normal")


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({}, "no column for findings, impression"),
        ({"findings": "nowhere"}, "no column for findings .nowhere., impression"),
        ({"colour": "a"}, "none of uid, findings"),
    ],
)
def test_a_missing_column_is_an_error_that_says_how_to_name_it(
    tmp_path: Path, columns: dict[str, str], message: str
) -> None:
    (tmp_path / "a.csv").write_text("a,b\n1,2\n")
    with pytest.raises(TrainingError, match=message):
        list(read_csv(tmp_path / "a.csv", columns))


@pytest.mark.parametrize("data", [b"\xff\xfe\x00", b"findings,impression\n\xff,b\n"])
def test_a_csv_of_another_encoding_is_an_error(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.csv").write_bytes(data)
    with pytest.raises(TrainingError, match="is no UTF-8"):
        list(read_csv(tmp_path / "a.csv", {}))


def test_an_empty_csv_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"")
    with pytest.raises(TrainingError, match="no column"):
        list(read_csv(tmp_path / "a.csv", {}))


def test_a_csv_that_is_no_gzip_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.csv.gz").write_bytes(b"findings,impression\n")
    with pytest.raises(TrainingError, match="cannot be read"):
        list(read_csv(tmp_path / "a.csv.gz", {}))


def test_json_lines_are_read_and_a_broken_line_is_one_broken_report(tmp_path: Path) -> None:
    rows = [
        json.dumps({"id": 7, "findings": "a\nb", "impression": "c", "images": ["1.png", "2.png"]}),
        "{",
        "[1]",
        "",
        json.dumps({"findings": None, "impression": ["x"]}),
        "[" * 100_000,
    ]
    (tmp_path / "a.jsonl").write_text("\n".join(rows))
    first, second, third, fourth, fifth = read_jsonl(tmp_path / "a.jsonl", {})
    assert first == Record("7", "a b", "c", "", "", ("1.png", "2.png"), "a.jsonl, line 1")
    assert (second.broken, third.broken) == ("this is no JSON", "this is no object")
    assert (fourth.uid, fourth.findings, fourth.impression) == ("a.jsonl, line 5", "", "")
    assert fifth.broken == "this is no JSON"


def test_a_line_without_end_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training_jobs.curation.tables._MAX_LINE", 100)
    (tmp_path / "a.jsonl").write_text('{"findings": "' + "a" * 200)
    with pytest.raises(TrainingError, match="line 1 is longer than 100 letters"):
        list(read_jsonl(tmp_path / "a.jsonl", {}))


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)


@given(st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=6))
def test_json_lines_of_any_texts_come_back_with_their_white_space_folded(rows: list[tuple[str, str]]) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.jsonl"
        path.write_text("".join(json.dumps({"findings": a, "impression": b}) + "\n" for a, b in rows))
        read = [(one.findings, one.impression) for one in read_jsonl(path, {})]
    assert read == [(" ".join(a.split()), " ".join(b.split())) for a, b in rows]


@pytest.mark.parametrize(
    ("name", "reader"),
    [
        ("a.csv", "csv"),
        ("a.csv.gz", "csv"),
        ("A.CSV", "csv"),
        ("a.jsonl", "jsonl"),
        ("mimic-cxr-reports.zip", "mimic-cxr"),
        ("ecgen-radiology.tgz", "open-i"),
    ],
)
def test_the_reader_is_told_from_the_name(tmp_path: Path, name: str, reader: str) -> None:
    (tmp_path / name).touch()
    assert reader_of(tmp_path / name) == reader


def test_a_folder_of_mimic_reports_is_known_by_its_files(tmp_path: Path) -> None:
    assert reader_of(folder_of(tmp_path / "x", {"files/p10/p10000032/s50414267.txt": REPORT})) == "mimic-cxr"
    assert reader_of(folder_of(tmp_path / "y", {"1.xml": b""})) == "open-i"


def test_a_source_that_is_not_there_and_a_reader_that_is_not_there_are_errors(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="there is no"):
        reader_of(tmp_path / "nowhere")
    with pytest.raises(TrainingError, match="there is no reader 'dicom'"):
        read_reports(tmp_path, "dicom", {}, None)
