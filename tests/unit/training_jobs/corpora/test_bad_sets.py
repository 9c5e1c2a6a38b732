"""Twenty and more bad sets: each is reported with its file and line before anything is trained, in words."""

# ruff: noqa: E501  (a table of sets)

import json
import shutil
import tarfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from tests.support.training_sets import film, make_set, open_i_set, table_set, write
from training_jobs.__main__ import main
from training_jobs.corpora.check import check_mixture
from xraygpt_core.training.datasets import files as files_module
from xraygpt_core.training.datasets.problems import DROPS, Kind
from xraygpt_core.training.mixture import parse_mixture


def rows_of(root: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (root / "pairs.jsonl").read_text().splitlines()]


def put_rows(root: Path, rows: list[dict[str, Any]]) -> None:
    (root / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def row(number: int, **values: Any) -> Callable[[Path], None]:
    """Change a row of the table."""

    def change(root: Path) -> None:
        rows = rows_of(root)
        rows[number] |= values
        put_rows(root, rows)

    return change


def file(name: str, data: bytes | str) -> Callable[[Path], None]:
    return lambda root: write(root / name, data) and None


def line(name: str, number: int, data: bytes) -> Callable[[Path], None]:
    """Replace a line of a file; numbers begin with 1."""

    def change(root: Path) -> None:
        lines = (root / name).read_bytes().splitlines()
        lines[number - 1] = data
        (root / name).write_bytes(b"\n".join(lines) + b"\n")

    return change


def link_out(root: Path) -> None:
    secret = write(root.parent / "secret.png", film(0))
    (root / "films/2.png").unlink()
    (root / "films/2.png").symlink_to(secret)


def no_right(root: Path) -> None:
    """A film that may not be read: as root, no mode of a file says so, so the test makes opening it fail."""


def empty(root: Path) -> None:
    shutil.rmtree(root)
    root.mkdir()


def cut_archive(root: Path) -> None:
    data = (root / "reports.tgz").read_bytes()
    (root / "reports.tgz").write_bytes(data[: len(data) // 2])


def lateral_only(root: Path) -> None:
    put_rows(root, [one | {"view": "LL"} for one in rows_of(root)])


def utf16(root: Path) -> None:
    (root / "pairs.jsonl").write_bytes((root / "pairs.jsonl").read_text().encode("utf-16"))


def swapped_columns(root: Path) -> None:
    put_rows(root, [one | {"text": one["image"]} for one in rows_of(root)])


def other_mimic_name(root: Path) -> None:
    folder = root / "files/p10/p10000002"
    folder.rename(root / "files/p10/patient-2")


def wide_entity(root: Path) -> None:
    xml = '<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "b">]><x>&a;</x>'
    write(root / "ecgen-radiology/2.xml", xml.encode("utf-16"))


@dataclass(frozen=True)
class Bad:
    name: str
    reader: str
    change: Callable[[Path], None]
    kind: Kind
    where: str
    more: dict[str, Any] = field(default_factory=dict)


T, F, M, O = "table", "filter-cap", "mimic-cxr", "open-i"  # noqa: E741
CSV = {"path": "pairs.csv"}
BAD = [
    Bad("missing image", T, lambda root: (root / "films/2.png").unlink(), Kind.MISSING_IMAGE, "pairs.jsonl, line 3"),
    Bad("no image", T, file("films/2.png", "a text"), Kind.NO_IMAGE, "pairs.jsonl, line 3"),
    Bad("empty image", T, file("films/2.png", b""), Kind.NO_IMAGE, "pairs.jsonl, line 3"),
    Bad("small image", T, file("films/2.png", film(2, side=128)), Kind.SMALL_IMAGE, "pairs.jsonl, line 3"),
    Bad("truncated JPEG", T, file("films/2.png", film(2, "JPEG")[:4000]), Kind.CUT_IMAGE, "pairs.jsonl, line 3"),
    Bad("truncated PNG", T, file("films/2.png", film(2)[:9000]), Kind.CUT_IMAGE, "pairs.jsonl, line 3"),
    Bad("unreadable image", T, no_right, Kind.UNREADABLE_IMAGE, "pairs.jsonl, line 3"),
    Bad("wrong id", T, row(2, id="a\nb"), Kind.WRONG_ID, "pairs.jsonl, line 3"),
    Bad("wrong MIMIC folder", M, other_mimic_name, Kind.WRONG_ID, "files/p10/patient-2/s50000002/00000002-pa.jpg"),
    Bad("duplicate id", T, row(2, id="study-0"), Kind.DUPLICATE_ID, "pairs.jsonl, line 3"),
    Bad("patient in two splits", T, row(3, patient="patient-0"), Kind.PATIENT_IN_TWO_SPLITS, "pairs.jsonl, line 4"),
    Bad("image in two splits", T, file("films/3.png", film(0, "PNG")), Kind.IMAGE_IN_TWO_SPLITS, "pairs.jsonl, line 4"),
    Bad("unknown split", T, row(2, split="somewhere"), Kind.UNKNOWN_SPLIT, "pairs.jsonl, line 3"),
    Bad("empty text", T, row(2, text=" \n"), Kind.EMPTY_TEXT, "pairs.jsonl, line 3"),
    Bad("absurdly long text", T, row(2, text="word " * 5000), Kind.LONG_TEXT, "pairs.jsonl, line 3"),
    Bad("one word repeated", T, row(2, text="normal Normal. normal normal"), Kind.REPEATED_TEXT, "pairs.jsonl, line 3"),
    Bad("text is the file name", T, row(2, text="2.png"), Kind.NAME_AS_TEXT, "pairs.jsonl, line 3"),
    Bad("columns swapped", T, swapped_columns, Kind.MANY_BAD_TEXTS, "set"),
    Bad("latin-1", T, line("pairs.jsonl", 3, '{"text": "\xe9"}'.encode("latin-1")), Kind.ENCODING, "pairs.jsonl, line 3"),
    Bad("UTF-16", T, utf16, Kind.ENCODING, "pairs.jsonl, line 1"),
    Bad("NUL", T, line("pairs.jsonl", 3, b'{"text": "\0"}'), Kind.ENCODING, "pairs.jsonl, line 3"),
    Bad("NUL in JSON", T, row(2, text="Clear\0lungs"), Kind.ENCODING, "pairs.jsonl, line 3"),
    Bad("half a letter", T, row(2, text="Clear \ud800 lungs"), Kind.ENCODING, "pairs.jsonl, line 3"),
    Bad("broken JSON line", T, line("pairs.jsonl", 3, b'{"image": "films/2.png", "te'), Kind.BROKEN_JSON, "pairs.jsonl, line 3"),
    Bad("JSON of another shape", T, line("pairs.jsonl", 3, b"[1, 2]"), Kind.WRONG_SHAPE, "pairs.jsonl, line 3"),
    Bad("text is a number", T, row(2, text=5), Kind.WRONG_SHAPE, "pairs.jsonl, line 3"),
    Bad("broken filter_cap", F, line("filter_cap.json", 12, b'   "image_id": '), Kind.BROKEN_JSON, "filter_cap.json, line 13"),
    Bad("cut filter_cap", F, lambda root: os_truncate(root / "filter_cap.json", 900), Kind.BROKEN_JSON, "filter_cap.json, line "),
    Bad("filter_cap is a list", F, file("filter_cap.json", "\n[]"), Kind.WRONG_SHAPE, "filter_cap.json, line 2"),
    Bad("filter_cap of other names", F, file("filter_cap.json", '{"images": {}}'), Kind.WRONG_SHAPE, "filter_cap.json, line 1"),
    Bad("CSV without the column", T, line("pairs.csv", 1, b"id,patient,split,file,text,view"), Kind.MISSING_COLUMN, "pairs.csv, line 1", CSV),
    Bad("CSV with too few cells", T, line("pairs.csv", 3, b'"a","b"'), Kind.WRONG_CELLS, "pairs.csv, line 3", CSV),
    Bad("CSV with an open quote", T, line("pairs.csv", 3, b'"a","b'), Kind.WRONG_CELLS, "pairs.csv, line ", CSV),
    Bad("cut XML", O, file("ecgen-radiology/2.xml", "<eCitation>\n<uId"), Kind.BROKEN_XML, "ecgen-radiology/2.xml, line 2"),
    Bad("XML with entities", O, wide_entity, Kind.XML_ENTITIES, "ecgen-radiology/2.xml"),
    Bad("cut archive", O, cut_archive, Kind.UNREADABLE_FILE, "reports.tgz", {"path": "reports.tgz"}),
    Bad("no archive", O, file("reports.tgz", "text"), Kind.UNREADABLE_FILE, "reports.tgz", {"path": "reports.tgz"}),
    Bad("address with ..", T, row(2, image="../secret.png"), Kind.LEADS_OUT, "pairs.jsonl, line 3"),
    Bad("absolute address", T, row(2, image="/etc/passwd"), Kind.LEADS_OUT, "pairs.jsonl, line 3"),
    Bad("link that leads out", T, link_out, Kind.LEADS_OUT, "pairs.jsonl, line 3"),
    Bad("S3 on this machine", T, row(2, image="s3://bucket/a.png"), Kind.LEADS_OUT, "pairs.jsonl, line 3"),
    Bad("no table", T, lambda root: (root / "pairs.jsonl").unlink(), Kind.UNREADABLE_FILE, "pairs.jsonl"),
    Bad("empty folder", M, empty, Kind.EMPTY_SET, "set"),
    Bad("all in one split", T, lambda root: put_rows(root, [one | {"split": "train"} for one in rows_of(root)]), Kind.NOTHING_HELD_OUT, "the mixture"),
    Bad("nothing to train on", T, lambda root: put_rows(root, [one | {"split": "test"} for one in rows_of(root)]), Kind.NOTHING_TO_TRAIN, "the mixture"),
    Bad("lateral films only", T, lateral_only, Kind.EMPTY_SET, "set"),
    Bad("no patients", T, lambda root: put_rows(root, [one | {"patient": ""} for one in rows_of(root)]), Kind.NO_PATIENTS, "pairs.jsonl, line 1"),
    Bad("most images gone", T, lambda root: shutil.rmtree(root / "films"), Kind.MANY_BAD_IMAGES, "set"),
]  # fmt: skip


def os_truncate(path: Path, size: int) -> None:
    path.write_bytes(path.read_bytes()[:size])


def bad_set(bad: Bad, tmp_path: Path) -> dict[str, Any]:
    """The mixture's document with the one bad set."""
    root = tmp_path / "set"
    if bad.more == CSV:
        table_set(root, name="pairs.csv")
    elif bad.reader == O:
        open_i_set(root, archive=True)
    else:
        make_set(bad.reader, root)
    bad.change(root)
    path = root / str(bad.more.get("path", "pairs.jsonl" if bad.reader == T else ""))
    return {"sets": [{"name": "set", "reader": bad.reader, "path": str(path)}]}


def quiet(_done: int, _total: int) -> None:
    return None


@pytest.mark.parametrize("bad", BAD, ids=lambda bad: bad.name.replace(" ", "-"))
def test_a_bad_set_is_reported_with_file_and_line(bad: Bad, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    document = bad_set(bad, tmp_path)
    if bad.change is no_right:
        forbid(monkeypatch, "films/2.png")
    deep = bad.kind in (Kind.CUT_IMAGE, Kind.IMAGE_IN_TWO_SPLITS)
    lines, starts = check_mixture(parse_mixture(document), quick=not deep, workers=1, notify=quiet)
    told = "\n".join(lines)
    assert f"{bad.kind} " in told, told
    assert f"  {bad.where}" in told, told
    dropped = bad.kind in DROPS or bad.kind in (Kind.NOTHING_HELD_OUT, Kind.NO_PATIENTS)
    assert starts == (dropped and len(rows_left(lines)) > 0), told


def rows_left(lines: list[str]) -> str:
    return lines[0] if " 0 train" not in lines[0] else ""


def forbid(monkeypatch: pytest.MonkeyPatch, ending: str) -> None:
    """Opening such a file fails as it does for a user who may not."""
    real = files_module._open_unlinked

    def opened(path: Path) -> BinaryIO:
        if str(path).endswith(ending):
            raise PermissionError(13, "Permission denied")
        return real(path)

    monkeypatch.setattr(files_module, "_open_unlinked", opened)


def test_there_are_at_least_twenty_kinds_of_bad_sets() -> None:
    assert len({bad.kind for bad in BAD}) >= 20


def test_a_patient_whom_another_set_has_in_another_split_is_reported(tmp_path: Path) -> None:
    make_set("table", tmp_path / "a")
    make_set("table", tmp_path / "b", range(10, 16))
    row(0, patient="patient-3")(tmp_path / "b")
    sets = [{"name": name, "reader": "table", "path": str(tmp_path / name / "pairs.jsonl")} for name in "ab"]
    lines, starts = check_mixture(parse_mixture({"sets": sets}), quick=True, workers=1, notify=quiet)
    assert not starts
    assert any("pairs.jsonl, line 1: this patient is in train here and in val in another set" in line for line in lines)


def test_a_hundred_bad_rows_are_counted_and_the_first_are_shown(tmp_path: Path) -> None:
    make_set("table", tmp_path)
    put_rows(tmp_path, rows_of(tmp_path) + [rows_of(tmp_path)[0] | {"split": "?", "id": f"x{n}"} for n in range(100)])
    sets = [{"name": "set", "reader": "table", "path": str(tmp_path / "pairs.jsonl")}]
    lines, _ = check_mixture(parse_mixture({"sets": sets}), quick=True, workers=1, notify=quiet)
    assert "set: unknown_split 100 (stops a run)" in lines
    assert "  and 80 more" in lines


def test_the_command_says_so_and_exits_with_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_set("table", tmp_path)
    mixture = write(tmp_path / "mixture.toml", '[[sets]]\nname = "ours"\nreader = "table"\npath = "pairs.jsonl"\n')
    assert main(["check", "--mixture", str(mixture), "--quick"]) == 0
    assert "A run would start." in capsys.readouterr().out
    row(2, image="../x.png")(tmp_path)
    assert main(["check", "--mixture", str(mixture), "--quick"]) == 1
    assert "pairs.jsonl, line 3: this leads out of the folder of its set" in capsys.readouterr().out


def test_an_archive_may_hold_anything_else(tmp_path: Path) -> None:
    path = open_i_set(tmp_path / "set", archive=True)
    with tarfile.open(tmp_path / "set/odd.tar", "w") as odd:
        odd.add(path, "../../reports.tgz")
        odd.add(tmp_path / "set/ecgen-radiology/0.xml", "../../0.xml")
    sets = [{"name": "set", "reader": "open-i", "path": str(tmp_path / "set/odd.tar"), "validation": 0.0, "test": 0.0}]
    lines, starts = check_mixture(parse_mixture({"sets": sets}), quick=True, workers=1, notify=quiet)
    assert starts
    assert lines[0] == "set (open-i): 2 train, 0 val, 0 test"
