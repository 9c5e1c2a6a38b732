"""Drawings: the truth they know, the share that is augmented, and the same picture every time."""

import io
from itertools import islice

import numpy as np
import pytest
from PIL import Image

from training_jobs.drawers.augment import augment
from training_jobs.drawers.drawings import PHANTOMS, SKETCHES, Drawing, draw, drawings, phantoms, variant
from training_jobs.drawers.sketch import draw_sketch
from xraygpt_core.phantoms.draw import draw_phantom
from xraygpt_core.phantoms.findings import LABELS
from xraygpt_core.report.concise import with_kinds
from xraygpt_core.report.labeller import label_report
from xraygpt_core.training.config import Phantoms


def pixels(data: bytes) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image)


def test_a_drawn_phantom_knows_its_truth() -> None:
    drawn = draw(Drawing(PHANTOMS, 5))
    phantom = draw_phantom(5)
    there = {label for label, value in drawn.truth.items() if value and label != "view"}
    assert there & set(LABELS) == phantom.labels
    assert there == with_kinds(phantom.labels)
    assert drawn.truth["view"] == (phantom.view == "AP")
    assert label_report(drawn.report) == phantom.labels
    assert (pixels(drawn.png) == phantom.grey8()).all()


def test_a_sketch_knows_its_truth() -> None:
    drawn, sketch = draw(Drawing(SKETCHES, 2, augmented=True)), draw_sketch(2)
    assert (drawn.labels, drawn.view) == (sketch.labels, sketch.view)
    assert label_report(drawn.report) == sketch.labels


@pytest.mark.parametrize("drawer", [PHANTOMS, SKETCHES])
def test_a_picture_is_drawn_the_same_every_time(drawer: str) -> None:
    drawing = Drawing(drawer, 3, augmented=True)
    assert draw(drawing) == draw(drawing)


def test_the_share_of_augmented_drawings_is_as_asked() -> None:
    found = list(drawings(PHANTOMS, 1000, augment_share=0.8))
    assert 0.75 < sum(one.augmented for one in found) / 1000 < 0.85
    assert not any(one.augmented for one in phantoms(Phantoms(count=50)))


def test_a_longer_set_begins_with_the_shorter_one() -> None:
    long = drawings(PHANTOMS, 80, 7, "held_out", 0.5)
    assert list(drawings(PHANTOMS, 50, 7, "held_out", 0.5)) == list(islice(long, 50))


def test_every_drawing_has_a_name_of_its_own() -> None:
    names = {one.name for who in (PHANTOMS, SKETCHES) for one in drawings(who, 20)}
    names |= {one.name for one in drawings(PHANTOMS, 20, population="held_out")}
    assert len(names) == 60


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


def test_copies_of_a_film_differ_by_number_and_film_and_are_the_same_every_time() -> None:
    film = draw(Drawing(SKETCHES, 1)).png
    assert variant(film, 1, 9) == variant(film, 1, 9)
    assert len({film, variant(film, 1, 9), variant(film, 2, 9), variant(film, 1, 8)}) == 4


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
