"""Each layout is read as it is published: images, texts, patients, splits and views."""

import hashlib
from pathlib import Path

import pytest

from tests.support.training_sets import SETS, film, make_set, open_i_set, table_set, text, write
from xraygpt_core.errors import TrainingError
from xraygpt_core.training.datasets.files import open_set
from xraygpt_core.training.datasets.problems import Kind, Problems
from xraygpt_core.training.datasets.read import read_set
from xraygpt_core.training.mixture import SetSpec, parse_mixture
from xraygpt_core.training.pairs import Pair


def read(reader: str, path: Path, **more: object) -> tuple[list[Pair], Problems]:
    document = {"name": "set", "reader": reader, "path": str(path)} | more
    (spec,) = parse_mixture({"sets": [document]}).sets
    reading = read_set(spec, *open_set(spec))
    return list(reading.pairs), reading.problems


@pytest.mark.parametrize("reader", SETS)
def test_a_whole_set_has_a_pair_for_each_film_and_nothing_that_stops(reader: str, tmp_path: Path) -> None:
    pairs, problems = read(reader, make_set(reader, tmp_path, range(6)))
    assert len(pairs) == (12 if reader == "open-i" else 6)
    assert problems.errors == 0
    assert len({pair.pair_id for pair in pairs}) == len(pairs)
    assert all(pair.text and pair.where and (tmp_path / pair.image).is_file() for pair in pairs)


@pytest.mark.parametrize("reader", SETS)
def test_patients_are_opaque_and_split_the_same_in_every_reading(reader: str, tmp_path: Path) -> None:
    path = make_set(reader, tmp_path, range(6))
    pairs, _ = read(reader, path, split="by-patient", validation=0.3, test=0.2)
    again, _ = read(reader, path, split="by-patient", validation=0.3, test=0.2)
    assert [pair.split for pair in again] == [pair.split for pair in pairs]
    assert all(len(pair.patient) == 16 and int(pair.patient, 16) >= 0 for pair in pairs)
    assert len({(pair.patient, pair.split) for pair in pairs}) == len({pair.patient for pair in pairs}) == 6


def test_mimic_gives_its_own_split_its_frontal_films_and_the_sections_of_their_report(tmp_path: Path) -> None:
    pairs, problems = read("mimic-cxr", make_set("mimic-cxr", tmp_path, range(5)))
    assert [pair.split for pair in pairs] == ["train", "train", "train", "val", "test"]
    assert [pair.view for pair in pairs] == ["PA"] * 5
    assert problems.counts == {Kind.LATERAL: 5}
    assert pairs[0].text == " ".join(text(0).split())
    assert pairs[0].indication == "Cough."
    assert pairs[0].where == pairs[0].image == "files/p10/p10000000/s50000000/00000000-pa.jpg"


def test_mimic_reports_may_lie_in_a_tree_of_their_own(tmp_path: Path) -> None:
    make_set("mimic-cxr", tmp_path / "jpg", range(3))
    for report in list((tmp_path / "jpg").rglob("*.txt")):
        write(tmp_path / "text" / report.relative_to(tmp_path / "jpg"), report.read_bytes())
        report.unlink()
    pairs, problems = read("mimic-cxr", tmp_path / "text", images=str(tmp_path / "jpg"), split="by-patient")
    assert (len(pairs), problems.errors) == (3, 0)


def test_an_open_i_archive_is_read_as_its_folder_is(tmp_path: Path) -> None:
    folder, _ = read("open-i", open_i_set(tmp_path))
    packed, problems = read("open-i", open_i_set(tmp_path, archive=True))
    told = [(pair.pair_id, pair.image, pair.text, pair.patient, pair.indication) for pair in folder]
    assert [(pair.pair_id, pair.image, pair.text, pair.patient, pair.indication) for pair in packed] == told
    assert problems.errors == 0
    assert folder[1].image == "images/2000_2.png"
    assert packed[0].where == "reports.tgz, 0.xml"


def test_xraygpts_layout_finds_an_open_i_film_by_either_of_its_names(tmp_path: Path) -> None:
    write(tmp_path / "image/CXR7_IM-1384-1001.png", film(1))
    write(tmp_path / "image/1385_2.png", film(2))
    write(
        tmp_path / "filter_cap.json",
        """{"version": 1, "annotations": [
        {"image_id": "1384_1", "caption": "Clear lungs."},
        {"image_id": "CXR8_IM-1385-2001", "caption": "Clear lungs."}]}""",
    )
    pairs, problems = read("filter-cap", tmp_path)
    assert [pair.image for pair in pairs] == ["image/CXR7_IM-1384-1001.png", "image/1385_2.png"]
    assert not problems.counts


def test_a_short_name_of_two_films_names_neither(tmp_path: Path) -> None:
    for report in (7, 8):
        write(tmp_path / f"image/CXR{report}_IM-1384-1001.png", film(report))
    write(tmp_path / "filter_cap.json", '{"annotations": [{"image_id": "1384_1", "caption": "Clear lungs."}]}')
    pairs, problems = read("filter-cap", tmp_path)
    assert not pairs
    assert problems.counts[Kind.MISSING_IMAGE] == 1


def test_xraygpts_layout_takes_subject_and_view_from_mimics_tables_beside_it(tmp_path: Path) -> None:
    write(tmp_path / "image/a.jpg", film(1, "JPEG"))
    write(tmp_path / "image/b.jpg", film(2, "JPEG"))
    write(
        tmp_path / "filter_cap.json",
        '{"annotations": [{"image_id": "a", "caption": "Clear lungs."}, {"image_id": "b", "caption": "Clear lungs."}]}',
    )
    write(tmp_path / "mimic-cxr-2.0.0-metadata.csv", "dicom_id,subject_id,ViewPosition\na,12,AP\nb,12,LL\n")
    pairs, problems = read("filter-cap", tmp_path)
    assert [(pair.pair_id, pair.view, pair.patient) for pair in pairs] == [
        ("a", "AP", hashlib.sha256(b"12").hexdigest()[:16])
    ]
    assert problems.counts == {Kind.LATERAL: 1}


def test_films_of_one_caption_stay_together_where_nothing_names_a_patient(tmp_path: Path) -> None:
    for name in "abc":
        write(tmp_path / f"image/{name}.jpg", film(1, "JPEG"))
    rows = [f'{{"image_id": "{name}", "caption": "{caption}"}}' for name, caption in zip("abc", "xxy", strict=True)]
    write(tmp_path / "filter_cap.json", f'{{"annotations": [{", ".join(rows)}]}}')
    pairs, _ = read("filter-cap", tmp_path)
    assert pairs[0].patient == pairs[1].patient != pairs[2].patient


@pytest.mark.parametrize("name", ["pairs.csv", "pairs.jsonl"])
def test_a_table_is_read_from_csv_as_from_json_lines(name: str, tmp_path: Path) -> None:
    pairs, problems = read("table", table_set(tmp_path, name=name))
    assert [pair.pair_id for pair in pairs] == [f"study-{seed}" for seed in range(6)]
    assert [pair.split for pair in pairs] == ["train", "train", "train", "val", "test", "train"]
    assert [pair.text for pair in pairs] == [text(seed) for seed in range(6)]
    assert not problems.counts


def test_a_tables_columns_may_have_other_names(tmp_path: Path) -> None:
    write(tmp_path / "a.png", film(1))
    table = 'path_to_image,section_findings,section_impression,deid_patient_id\na.png,"Clear\nlungs.",Normal.,p1\n'
    columns = {
        "image": "path_to_image",
        "findings": "section_findings",
        "impression": "section_impression",
        "patient": "deid_patient_id",
    }
    (pair,), problems = read("table", write(tmp_path / "t.csv", table), columns=columns)
    assert (pair.text, pair.pair_id, pair.where) == (
        "Findings: Clear lungs. Impression: Normal.",
        "row-1",
        "t.csv, line 2",
    )
    assert not problems.counts


def test_images_may_lie_in_another_folder_than_their_table(tmp_path: Path) -> None:
    write(tmp_path / "films/a.png", film(1))
    table = write(tmp_path / "texts/t.jsonl", '{"image": "a.png", "text": "Clear lungs.", "patient": 3}')
    (pair,), _ = read("table", table, images=str(tmp_path / "films"))
    assert pair.image == "a.png"


def test_only_takes_the_rows_of_its_folders(tmp_path: Path) -> None:
    path = make_set("manifest", tmp_path)
    pairs, _ = read("manifest", path, only=["images/nih/"])
    assert {pair.image for pair in pairs} == {f"images/nih/{seed}.png" for seed in (0, 2, 4)}


def test_rows_that_have_labels_need_no_text(tmp_path: Path) -> None:
    write(tmp_path / "images/a.png", film(1))
    row = '{"id": "a", "split": "train", "image": "images/a.png", "view": "AP supine", "labels": []}'
    write(tmp_path / "manifest.jsonl", row)
    (pair,), problems = read("manifest", tmp_path)
    assert (pair.text, pair.view, pair.labels) == (None, "AP", {"view": 1.0})
    assert not problems.counts


def test_what_is_not_read_from_files_is_named(tmp_path: Path) -> None:
    spec = SetSpec("drawn", "phantoms")
    with pytest.raises(TrainingError, match="is not read from files"):
        read_set(spec, *open_set(SetSpec("x", "table", path=str(tmp_path))))
    with pytest.raises(TrainingError, match="does not lie on this machine"):
        open_set(SetSpec("x", "table", path="s3://bucket/prefix"))
    with pytest.raises(TrainingError, match="no such file or folder"):
        open_set(SetSpec("x", "table", path=str(tmp_path / "none")))
