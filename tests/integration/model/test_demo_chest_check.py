"""The committed chest check: no real chest film and no phantom is refused; body parts and test patterns are."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from training_jobs.drawers.brush import Grey, Rng, finished
from training_jobs.drawers.grey import png, read_film
from training_jobs.drawers.others_bodies import hand, pelvis, skull, slice_of_body
from training_jobs.drawers.others_patterns import monitor_test, noise, page, scene
from training_jobs.drawers.sketch import draw_sketch
from xraygpt_core.model.chest_check import ChestCheck, load_chest_check
from xraygpt_core.model.encoders.encoder import Encoder, load_encoder
from xraygpt_core.model.fetch import fetch_demo_bundle
from xraygpt_core.paths import models_dir
from xraygpt_core.phantoms.draw import draw_phantom

_FRESH = 900_000  # seeds that no head was made with
Judge = Callable[[Sequence[NDArray[np.uint8]]], list[str]]


@pytest.fixture(scope="module")
def judge() -> Judge:
    bundle = fetch_demo_bundle(models_dir(), lambda _line: None)
    assert bundle.chest_check is not None
    encoder: Encoder = load_encoder(bundle.encoder, bundle.encoder_weights, dict(bundle.encoder_options))
    check: ChestCheck = load_chest_check(bundle.chest_check, encoder.positions, encoder.channels)

    def verdict(score: float) -> str:
        return "refused" if score < check.reject else "in doubt" if score < check.doubt else "chest"

    def judged(pictures: Sequence[NDArray[np.uint8]]) -> list[str]:
        images = torch.stack([encoder.preprocess(png(grey)) for grey in pictures])
        return [verdict(score) for score in check.scores(encoder.encode(images)).tolist()]

    return judged


@pytest.mark.parametrize("collection", ["covid", "hannover", "nih", "vqarad"])
def test_no_real_chest_film_is_refused_and_hardly_any_is_in_doubt(
    judge: Judge, shared_data: Path, collection: str
) -> None:
    films = sorted((shared_data / "images" / collection).iterdir())[::10][:12]
    found = judge([read_film(film) for film in films])
    assert "refused" not in found
    assert found.count("in doubt") <= 1


def test_a_film_taken_for_its_negative_is_a_chest_film_still(judge: Judge, shared_data: Path) -> None:
    films = sorted((shared_data / "images" / "nih").iterdir())[5::200]
    assert "refused" not in judge([(255 - read_film(film)).astype(np.uint8) for film in films])


def test_ct_and_mr_slices_are_refused(judge: Judge, shared_data: Path) -> None:
    slices = sorted((shared_data / "images" / "non_cxr").iterdir())
    assert judge([read_film(one) for one in slices]) == ["refused"] * len(slices)


def test_chests_of_every_drawer_are_accepted(judge: Judge) -> None:
    seeds = range(_FRESH, _FRESH + 4)
    drawn = [draw_phantom(seed, "train").grey8() for seed in seeds]
    drawn += [draw_phantom(seed, "held_out").grey8() for seed in seeds]
    drawn += [draw_sketch(seed).grey for seed in seeds]
    assert "refused" not in judge(drawn)


@pytest.mark.parametrize("drawer", [hand, skull, pelvis, slice_of_body, page, noise, scene, monitor_test])
def test_drawings_of_something_else_are_refused(judge: Judge, drawer: Callable[[Rng], Grey]) -> None:
    drawn = []
    for seed in (_FRESH, _FRESH + 1):
        rng = np.random.default_rng(seed)
        drawn.append(finished(drawer(rng), rng))
    assert judge(drawn) == ["refused"] * 2
