"""Curation by the paper's rules, on archives built here."""

import io
import json
import tarfile
from pathlib import Path

import pytest

from training_jobs.curate import RawReport, clean, curate, parse_open_i, reason_to_drop
from xraygpt_core.errors import TrainingError

LONG = "The heart is normal in size and the lungs are clear without effusion."


def xml(findings: str | None, impression: str | None, uid: str = "CXR1") -> bytes:
    texts = [("COMPARISON", "None."), ("FINDINGS", findings), ("IMPRESSION", impression)]
    abstract = "".join(f'<AbstractText Label="{label}">{text or ""}</AbstractText>' for label, text in texts)
    report = f'<eCitation><uId id="{uid}"/><Abstract>{abstract}</Abstract></eCitation>'
    return f'<?xml version="1.0" encoding="utf-8"?>{report}'.encode()


def archive(path: Path, *files: bytes) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        for index, data in enumerate(files):
            info = tarfile.TarInfo(f"reports/{index}.xml")
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
        readme = tarfile.TarInfo("reports/README")
        tar.addfile(readme, io.BytesIO(b""))
    return path


def test_each_report_is_counted_once(tmp_path: Path) -> None:
    source = archive(
        tmp_path / "a.tgz",
        xml(LONG, "No acute disease."),
        xml(None, "No acute disease."),
        xml(LONG, None),
        xml("Clear lungs.", "No acute disease."),
        xml(LONG, "Normal."),
    )
    assert curate(source, None, rules_only=True) == {
        "read": 5,
        "kept": 1,
        "dropped": {"no_findings": 1, "no_impression": 1, "short_findings": 1, "short_impression": 1},
    }


@pytest.mark.parametrize(
    ("words", "impression", "reason"),
    [(10, "two words", None), (9, "two words", "short_findings"), (10, "one", "short_impression")],
)
def test_the_limits_are_the_papers(words: int, impression: str, reason: str | None) -> None:
    assert reason_to_drop(RawReport("x", " ".join(["word"] * words), impression)) == reason


def test_kept_reports_are_written_unchanged_by_rules_only(tmp_path: Path) -> None:
    text = f"{LONG} Unchanged from XXXX."
    curate(
        archive(tmp_path / "a.tgz", xml(text, "No acute disease.", "CXR7")),
        tmp_path / "out/kept.jsonl",
        rules_only=True,
    )
    (line,) = (tmp_path / "out/kept.jsonl").read_text().splitlines()
    assert json.loads(line) == {"uid": "CXR7", "findings": text, "impression": "No acute disease."}


def test_cleaning_removes_comparisons_views_and_marks() -> None:
    report = RawReport(
        "x",
        f"PA and lateral views of the chest. {LONG} Unchanged since XXXX. Nodule in the XXXX lobe.",
        "Stable chest. No nodule.",
    )
    cleaned = clean(report)
    assert cleaned.findings == f"{LONG} Nodule in the lobe."
    assert cleaned.impression == "No nodule."


def test_a_report_emptied_by_cleaning_is_dropped_with_its_reason(tmp_path: Path) -> None:
    source = archive(tmp_path / "a.tgz", xml(LONG, "Stable chest radiograph."))
    assert curate(source, None, rules_only=False)["dropped"] == {"no_impression_after_cleaning": 1}


def test_line_breaks_inside_a_section_are_blanks() -> None:
    assert parse_open_i(xml("One\n   two", "x y")).findings == "One two"


def test_an_entity_bomb_is_refused() -> None:
    bomb = b'<!DOCTYPE a [<!ENTITY b "boom">]><a>&b;</a>'
    with pytest.raises(TrainingError, match="document type"):
        parse_open_i(bomb)


@pytest.mark.parametrize("data", [b"", b"not an archive"])
def test_a_file_that_is_no_archive_is_an_error(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.tgz").write_bytes(data)
    with pytest.raises(TrainingError, match="not a readable archive"):
        curate(tmp_path / "a.tgz", None, rules_only=True)


def test_broken_xml_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="not a readable archive"):
        curate(archive(tmp_path / "a.tgz", b"<eCitation>"), None, rules_only=True)
