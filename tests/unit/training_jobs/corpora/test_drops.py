"""What a corpus leaves out, and what stops it: bad pictures, bad sets, a killed process, a damaged cache."""

import io
import multiprocessing
import shutil
from pathlib import Path

import pytest
from PIL import Image

from tests.support.training_corpora import build, encodings, mixture, pairs_of, problems_of, table
from tests.support.training_sets import film, table_set, write
from training_jobs.corpora.build import local_corpus
from xraygpt_core.dicom.write import phantom_dicom
from xraygpt_core.errors import TrainingError
from xraygpt_core.model.bundle import Bundle
from xraygpt_core.phantoms.draw import draw_phantom
from xraygpt_core.training.mixture import Mixture, SetSpec


def test_dicom_is_normalised_as_ingest_does(sandboxed: None, tiny_base: Bundle, tmp_path: Path) -> None:
    path = table_set(tmp_path, range(4))
    phantom = draw_phantom(2, side=256)
    names = {"view": "AP", "patient_id": "1", "study_uid": "1.2.3", "sop_uid": "1.2.3.4", "accession": ""}
    data = phantom_dicom(phantom.pixels, **names, bits_stored=phantom.bits_stored)
    write(tmp_path / "films/2.png", data)
    write(tmp_path / "films/1.png", data[: len(data) // 2])
    path.write_text(path.read_text().replace('"view": "PA"', '"view": ""'))
    corpus = build(tiny_base, mixture(table(path)), tmp_path / "c")
    assert [(pair.pair_id, pair.view) for pair in pairs_of(corpus)] == [
        ("study-0", None),
        ("study-2", "AP"),
        ("study-3", None),
    ]
    assert problems_of(corpus)[0]["kind"] == "cut_image"


def test_one_bad_picture_is_dropped_and_told(tiny_base: Bundle, tmp_path: Path) -> None:
    path = table_set(tmp_path)
    write(tmp_path / "films/1.png", film(1)[:9000])
    corpus = build(tiny_base, mixture(table(path)), tmp_path / "c")
    assert [pair.pair_id for pair in pairs_of(corpus)] == ["study-0", "study-2", "study-3", "study-4", "study-5"]
    told, counts = problems_of(corpus)
    assert (told["set"], told["where"], told["kind"]) == ("ours", "pairs.jsonl, line 2", "cut_image")
    assert counts == {"set": "ours", "counts": {"cut_image": 1}}


def test_many_bad_pictures_stop_the_run(tiny_base: Bundle, tmp_path: Path) -> None:
    path = table_set(tmp_path)
    for seed in (1, 2):
        write(tmp_path / f"films/{seed}.png", film(seed)[:9000])
    with pytest.raises(TrainingError, match="2 of 6 pictures cannot be used; a run goes on with at most 5%"):
        build(tiny_base, mixture(table(path)), tmp_path / "c")


def test_who_has_only_some_of_a_sets_pictures_says_so(tiny_base: Bundle, tmp_path: Path) -> None:
    path = table_set(tmp_path)
    for seed in (1, 2, 4, 5):
        (tmp_path / f"films/{seed}.png").unlink()
    corpus = build(tiny_base, mixture(table(path, bad_images=0.9)), tmp_path / "c")
    assert [pair.pair_id for pair in pairs_of(corpus)] == ["study-0", "study-3"]


def test_a_picture_in_two_splits_stops_the_run_however_it_is_packed(tiny_base: Bundle, tmp_path: Path) -> None:
    path = table_set(tmp_path)
    with Image.open(io.BytesIO(film(0))) as image:
        image.save(tmp_path / "films/3.png", compress_level=0)
    assert (tmp_path / "films/3.png").read_bytes() != film(0)
    with pytest.raises(TrainingError, match="line 4: this picture is in val here and in train before"):
        build(tiny_base, mixture(table(path)), tmp_path / "c")


def test_problems_of_all_sets_are_raised_before_a_picture_is_encoded(
    tiny_base: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = table_set(tmp_path, range(40))
    path.write_text(path.read_text().replace('"train"', '"?"'))
    seen = encodings(monkeypatch)
    with pytest.raises(TrainingError) as raised:
        build(tiny_base, mixture(table(path)), tmp_path / "c")
    lines = str(raised.value).splitlines()
    assert lines[0] == "the sets cannot be trained on, 25 problems:"
    assert lines[1] == "pairs.jsonl, line 1: its split is none of train, val and test"
    assert lines[-1] == "and 5 more"
    assert len(lines) == 22
    assert seen == []


def test_a_killed_worker_is_the_machines_fault(sandboxed: None, tiny_base: Bundle, tmp_path: Path) -> None:
    def kill(_done: int, _total: int) -> None:
        for child in multiprocessing.active_children():
            child.kill()

    with pytest.raises(BrokenPipeError, match="a process that prepares pictures was killed"):
        local_corpus(tiny_base, mixture(table(table_set(tmp_path, range(40)))), tmp_path / "c", 2, kill)


def test_what_lies_elsewhere_goes_through_the_queue(tiny_base: Bundle, tmp_path: Path) -> None:
    for spec in (SetSpec("a", "ledger", select="x"), SetSpec("a", "table", path="s3://b/t.jsonl")):
        with pytest.raises(TrainingError, match="through the queue"):
            build(tiny_base, Mixture((spec,)), tmp_path)


def test_a_damaged_cache_says_what_to_do(tiny_base: Bundle, tmp_path: Path) -> None:
    sets = mixture(table(table_set(tmp_path)))
    build(tiny_base, sets, tmp_path / "c")
    (entry,) = (tmp_path / "c/shards").iterdir()
    (entry / "pictures.jsonl").write_text("{")
    with pytest.raises(TrainingError, match="is damaged; delete this folder and start again"):
        build(tiny_base, sets, tmp_path / "c")
    shutil.rmtree(entry)
    assert len(pairs_of(build(tiny_base, sets, tmp_path / "c"))) == 6
