"""Folders, files and selections as sets of a mixture: each recognised by its look, and read before anything trains."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from xraygpt.training_check import checked
from xraygpt.training_data import sets_of
from xraygpt_core.errors import TrainingError
from xraygpt_core.training.mixture import parse_mixture


def film(path: Path, shade: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.linear_gradient("L").resize((256, 256 + shade)).save(path)


def filter_cap(root: Path) -> None:
    rows = [{"image_id": f"film{number}", "caption": f"Findings: {number} clear lungs."} for number in range(3)]
    (root / "filter_cap.json").write_text(json.dumps({"annotations": rows}))
    for number in range(3):
        film(root / "image" / f"film{number}.png", number)


def mimic(root: Path) -> None:
    film(root / "files" / "p10" / "p10000032" / "s50414267" / "one.jpg")


def open_i(root: Path) -> None:
    (root / "ecgen-radiology").mkdir()
    (root / "ecgen-radiology" / "1.xml").write_text("<x/>")


def manifest(root: Path) -> None:
    (root / "manifest.jsonl").write_text("")


@pytest.mark.parametrize(
    ("make", "reader"),
    [(filter_cap, "filter-cap"), (mimic, "mimic-cxr"), (open_i, "open-i"), (manifest, "manifest")],
)
def test_a_folder_is_recognised_by_its_look(tmp_path: Path, make: Callable[[Path], None], reader: str) -> None:
    root = tmp_path / "hospital"
    root.mkdir()
    make(root)
    (one,) = sets_of([str(root)], [])
    assert (one["name"], one["reader"], one["path"]) == ("hospital", reader, str(root))
    assert parse_mixture({"sets": [one]}).sets[0].reader == reader


def test_the_folder_inside_one_is_recognised_too(tmp_path: Path) -> None:
    mimic(tmp_path)
    assert sets_of([str(tmp_path / "files")], [])[0]["path"] == str(tmp_path)
    filter_cap(tmp_path)
    assert sets_of([str(tmp_path / "filter_cap.json")], [])[0]["path"] == str(tmp_path)


@pytest.mark.parametrize(
    ("name", "reader"),
    [("pairs.csv", "table"), ("pairs.jsonl.gz", "table"), ("reports.tgz", "open-i"), ("reports.tar.gz", "open-i")],
)
def test_a_file_is_recognised_by_its_name(tmp_path: Path, name: str, reader: str) -> None:
    (tmp_path / name).write_text("")
    (one,) = sets_of([str(tmp_path / name)], [])
    assert (one["reader"], one["name"]) == (reader, name.partition(".")[0])


def test_several_sets_each_have_a_name_and_a_mixture_file_is_taken_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "pairs.csv").write_text("")
    (tmp_path / "m.toml").write_text('[[sets]]\nname = "pairs"\nreader = "table"\npath = "pairs.csv"\nweight = 2.0\n')
    found = sets_of(
        [str(tmp_path / "pairs.csv"), str(tmp_path / "m.toml"), "s3://bucket/sets/pairs.jsonl"],
        ["reviewed since 2026-01-01"],
    )
    assert [one["name"] for one in found] == ["pairs", "pairs (2)", "pairs (3)", "signed studies"]
    assert (found[1]["weight"], found[1]["path"]) == (2.0, str(tmp_path / "pairs.csv"))
    assert len(parse_mixture({"sets": found}).sets) == 4


@pytest.mark.parametrize("place", ["nothing", "s3://bucket/films/", "photo.png", "folder", "broken.toml"])
def test_what_looks_like_nothing_known_is_refused_with_what_is_known(tmp_path: Path, place: str) -> None:
    (tmp_path / "photo.png").write_text("")
    (tmp_path / "folder" / "deep").mkdir(parents=True)
    (tmp_path / "broken.toml").write_text("sets = 3")
    with pytest.raises(TrainingError) as told:
        sets_of([place if "://" in place else str(tmp_path / place)], [])
    assert place.rpartition("/")[2] in str(told.value)


def test_a_selection_is_checked_here_already() -> None:
    with pytest.raises(TrainingError, match="reviewed since"):
        sets_of([], ["all of them"])


def test_a_check_counts_what_a_run_would_be_given_and_names_what_is_wrong(tmp_path: Path) -> None:
    filter_cap(tmp_path)
    (tmp_path / "image" / "film2.png").unlink()
    mixture = parse_mixture({"sets": [*sets_of([str(tmp_path)], []), {"name": "drawn", "reader": "phantoms"}]})
    found = checked(mixture)
    mine, drawn = found["sets"]
    assert sum(mine["pairs"].values()) == 2
    assert mine["left_out"]
    assert "film2" in " ".join(mine["problems"]) or "line" in " ".join(mine["problems"])
    assert (drawn["pairs"], drawn["errors"]) == (None, 0)


def test_a_set_that_is_gone_is_an_error_of_the_check() -> None:
    found = checked(parse_mixture({"sets": [{"name": "x", "reader": "table", "path": "/nowhere/x.csv"}]}))
    assert found["errors"] == 1
