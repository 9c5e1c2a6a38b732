"""Training data: truth of phantoms, what film labels tell, and which collections may be used."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from training_jobs.data import (
    draw,
    film_presence,
    film_report,
    film_studies,
    phantom_studies,
    read_film,
    sketch_studies,
)
from training_jobs.drawers.augment import augment
from training_jobs.drawers.sketch import draw_sketch
from training_jobs.films import films, most_frequent_text
from xraygpt_core.errors import TrainingError
from xraygpt_core.phantoms.draw import draw_phantom
from xraygpt_core.phantoms.findings import LABELS
from xraygpt_core.report.labeller import label_report
from xraygpt_core.training.config import Phantoms


def test_a_drawn_phantom_knows_its_truth() -> None:
    (study,) = phantom_studies(Phantoms(count=1, seed=5), 0.0)
    data, drawn = draw(study)
    phantom = draw_phantom(5)
    assert drawn.presence == (float(phantom.view == "AP"), *(float(label in phantom.labels) for label in LABELS))
    assert drawn.report is not None
    assert label_report(drawn.report) == phantom.labels
    with Image.open(io.BytesIO(data)) as image:
        assert (np.asarray(image) == phantom.grey8()).all()


def test_a_study_is_drawn_the_same_every_time() -> None:
    (study,) = phantom_studies(Phantoms(count=1, seed=3), 1.0)
    assert study.augmented
    assert draw(study)[0] == draw(study)[0]


def test_the_share_of_augmented_phantoms_is_as_asked() -> None:
    studies = phantom_studies(Phantoms(count=1000), 0.8)
    assert 0.75 < sum(study.augmented for study in studies) / 1000 < 0.85


def test_a_longer_set_begins_with_the_shorter_one() -> None:
    assert phantom_studies(Phantoms(count=50), 0.5) == phantom_studies(Phantoms(count=80), 0.5)[:50]


def test_augmentation_keeps_size_type_and_sides() -> None:
    """A bright left half stays on the left: there is no flip."""
    grey = np.full((96, 96), 40, dtype=np.uint8)
    grey[:, :48] = 200
    for seed in range(40):
        out = augment(grey, np.random.default_rng(seed))
        assert out.shape == grey.shape
        assert out.dtype == np.uint8
        assert out[30:66, 15:35].mean() > out[30:66, 61:81].mean()


def test_augmented_pictures_differ() -> None:
    grey = draw_phantom(1, side=128).grey8()
    one, two = (augment(grey, np.random.default_rng(seed)) for seed in (1, 2))
    assert (one != two).mean() > 0.5


def test_the_non_commercial_collection_is_never_used(film_directory: Path) -> None:
    studies = film_studies(film_directory, ("train", "test"))
    assert {study.source.split("-")[0] for study in studies} == {"nih", "hannover"}
    assert not any("covid" in str(film.file) for film in films(film_directory, "test"))


def test_a_film_comes_in_variants_of_which_the_first_is_as_it_is(film_directory: Path) -> None:
    studies = film_studies(film_directory, ("train",), variants=3)
    assert [study.augmented for study in studies[:3]] == [False, True, True]


def row(labels: list[str], view: str = "PA", source: str = "nih") -> dict[str, object]:
    return {"image": f"images/{source}/x.jpg", "labels": labels, "view": view}


def test_labels_without_a_side_say_nothing_about_sides() -> None:
    known = dict(zip(("view", *LABELS), film_presence(row(["Effusion", "Cardiomegaly"])), strict=True))
    assert known["view"] == 0.0
    assert known["cardiomegaly"] == 1.0
    assert known["effusion_left"] is None
    assert known["pneumothorax_left"] == 0.0
    assert known["nodule"] == 0.0
    assert known["device"] is None


def test_a_film_without_labels_tells_its_view_only() -> None:
    presence = film_presence(row([], "AP", "hannover"))
    assert presence == (1.0, *([None] * len(LABELS)))
    assert film_presence(row([], "frontal", "vqarad"))[0] is None


@pytest.mark.parametrize(
    ("labels", "said"),
    [(["No Finding"], frozenset()), (["Mass"], {"nodule"}), (["Cardiomegaly", "Nodule"], {"cardiomegaly", "nodule"})],
)
def test_a_film_gets_a_report_where_its_labels_can_be_said(labels: list[str], said: set[str]) -> None:
    report = film_report(row(labels))
    assert report is not None
    assert label_report(report) == said


def test_no_side_is_invented_for_a_film() -> None:
    assert film_report(row(["Effusion"])) is None
    assert film_report(row(["Fibrosis", "Nodule"])) is None
    assert film_report(row([], "AP", "hannover")) is None


def test_test_films_carry_their_text_and_kinds(film_directory: Path) -> None:
    chosen = films(film_directory, "test")
    assert [film.kinds for film in chosen] == [frozenset({"nodule"}), frozenset()]
    assert [film.view for film in chosen] == ["PA", "AP"]
    assert most_frequent_text(chosen) == chosen[0].text


def manifest(data: Path, *images: str) -> Path:
    """A data directory whose rows name these files."""
    rows = [{"id": image, "split": "train", "image": image, "view": "PA", "labels": []} for image in images]
    (data / "images/nih").mkdir(parents=True)
    (data / "manifest.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return data


@pytest.mark.parametrize(
    "image",
    ["images/nih/../../../secret.png", "images/nih/../covid/1.png", "images/nih/link/secret.png", "images/nih/\0"],
)
def test_a_row_does_not_lead_out_of_the_folder_of_its_licence(tmp_path: Path, image: str) -> None:
    data = manifest(tmp_path / "data", image)
    (data / "images/nih/link").symlink_to(tmp_path)
    with pytest.raises(TrainingError, match=r"a row of .*manifest\.jsonl leads out of images/nih/"):
        film_studies(data, ("train",))


def test_a_collection_may_lie_on_another_disk(tmp_path: Path) -> None:
    data, disk = manifest(tmp_path / "data", "images/nih/1.png"), tmp_path / "disk"
    disk.mkdir()
    (data / "images/nih").rmdir()
    (data / "images/nih").symlink_to(disk)
    assert len(film_studies(data, ("train",), variants=1)) == 1


def test_a_manifest_that_is_a_link_to_elsewhere_is_not_read(tmp_path: Path) -> None:
    data = manifest(tmp_path / "data")
    (data / "manifest.jsonl").replace(tmp_path / "elsewhere.jsonl")
    (data / "manifest.jsonl").symlink_to(tmp_path / "elsewhere.jsonl")
    with pytest.raises(TrainingError, match="cannot be read"):
        film_studies(data, ("train",))


@pytest.mark.parametrize("row", ["[]", "{}", '{"id": 1, "split": "train", "image": "images/nih/1"}', "[" * 10**5])
def test_a_row_of_another_form_is_named(tmp_path: Path, row: str) -> None:
    data = manifest(tmp_path / "data")
    (data / "manifest.jsonl").write_text(row + "\n")
    with pytest.raises(TrainingError, match=r"manifest\.jsonl"):
        film_studies(data, ("train",))


def test_a_directory_without_films_is_an_error(tmp_path: Path, film_directory: Path) -> None:
    with pytest.raises(TrainingError, match=r"manifest\.jsonl cannot be read"):
        film_studies(tmp_path, ("train",))
    with pytest.raises(TrainingError, match=r"manifest\.jsonl cannot be read"):
        films(tmp_path, "test")
    with pytest.raises(TrainingError, match="no film with a text in its val split"):
        films(film_directory, "val")
    with pytest.raises(TrainingError, match="cannot be read"):
        read_film(tmp_path / "none.jpg")


def test_a_sketch_knows_its_truth_and_is_drawn_the_same_every_time() -> None:
    study = sketch_studies(3, 1.0)[2]
    data, drawn = draw(study)
    sketch = draw_sketch(2)
    assert drawn.presence == (float(sketch.view == "AP"), *(float(label in sketch.labels) for label in LABELS))
    assert drawn.report is not None
    assert label_report(drawn.report) == sketch.labels
    assert draw(study)[0] == data


def test_sketches_show_every_finding_and_both_views() -> None:
    sketches = [draw_sketch(seed) for seed in range(25)]
    assert frozenset[str]().union(*(sketch.labels for sketch in sketches)) == set(LABELS)
    assert {sketch.view for sketch in sketches} == {"AP", "PA"}
    assert all(sketch.grey.std() > 10 for sketch in sketches)


@pytest.mark.parametrize(("label", "brighter"), [("effusion", True), ("pneumothorax", False)])
def test_a_sketched_finding_lies_on_its_side(label: str, brighter: bool) -> None:
    """The patient's left is the right half of the picture."""
    rows = slice(120, 230) if brighter else slice(40, 160)
    difference: dict[str, list[float]] = {"left": [], "right": []}
    for sketch in map(draw_sketch, range(90)):
        sides = [side for side in ("left", "right") if f"{label}_{side}" in sketch.labels]
        if len(sides) == 1:
            half = sketch.grey.shape[1] // 2
            difference[sides[0]].append(float(sketch.grey[rows, half:].mean()) - float(sketch.grey[rows, :half].mean()))
    assert (np.mean(difference["left"]) > np.mean(difference["right"])) == brighter
