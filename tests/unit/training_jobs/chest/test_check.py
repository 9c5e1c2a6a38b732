"""Making the chest check of an encoder: from folders and drawings to a head, a report of its errors, and a bundle."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from training_jobs.__main__ import main
from training_jobs.chest import pictures as chest_pictures
from training_jobs.chest.check import fit, thresholds
from training_jobs.chest.pictures import PIECES, folder_pictures
from training_jobs.chest.report import ErrorTable, wilson
from training_jobs.drawers.brush import SIDE, Grey, Rng, finished
from training_jobs.drawers.others_bodies import BODIES, hand
from training_jobs.drawers.others_patterns import PATTERNS, page
from training_jobs.drawers.sketch import draw_sketch
from xraygpt_core.errors import TrainingError
from xraygpt_core.model.bundle import Bundle, read_bundle
from xraygpt_core.model.chest_check import load_chest_check
from xraygpt_core.model.encoders.encoder import load_encoder


@pytest.fixture
def chests(tmp_path: Path) -> Path:
    """Seven pictures of four patients, and a file that is none."""
    folder = tmp_path / "hospital"
    folder.mkdir()
    for number, name in enumerate(["1-a", "1-b", "2_0", "2_1", "3", "4_0", "4_1"]):
        Image.fromarray(draw_sketch(number).grey).save(folder / f"{name}.png")
    (folder / "notes.txt").write_text("no picture")
    return folder


@pytest.fixture
def others(tmp_path: Path) -> Path:
    folder = tmp_path / "walls"
    folder.mkdir()
    for number in range(3):
        grey = np.random.default_rng(number).integers(0, 255, (60, 70), dtype=np.uint8)
        Image.fromarray(grey).save(folder / f"{number}.png")
    return folder


def table(count: int = 400) -> ErrorTable:
    """Two clouds of points whose first number tells what they are, in two kinds each; two pictures a patient."""
    rng = np.random.default_rng(0)
    chest = np.arange(count) % 2 == 0
    features = rng.normal(0, 1, (count, 8)).astype(np.float32)
    features[:, 0] += np.where(chest, 3, -3)
    kinds = np.where(chest, "a", "c") + (np.arange(count) % 4 // 2).astype(str)
    groups = np.where(chest, np.arange(count) // 4, -1).astype(str)
    return ErrorTable(features, kinds, groups, chest, np.ones(count, np.bool_))


def test_a_fitted_head_tells_chests_from_others() -> None:
    known, new = table(), table(600)
    scores = fit(known, np.ones(400, np.bool_)).scores(new.features)
    assert ((scores > 0) == new.chest).mean() > 0.99


def test_the_thresholds_lie_below_nearly_all_unseen_chests() -> None:
    known = table()
    scores = np.where(known.chest, 10, -10).astype(np.float32)
    scores += np.arange(400, dtype=np.float32) / 1000
    reject, doubt = thresholds(known, {"patient": scores})
    assert (reject, doubt) == (pytest.approx(8, abs=0.05), pytest.approx(9, abs=0.05))


def test_pictures_of_one_patient_share_a_group(chests: Path) -> None:
    found = list(folder_pictures(chests, chest=True))
    assert [one.group for one in found] == ["1", "1", "2", "2", "3", "4", "4"]
    assert {(one.kind, one.chest) for one in found} == {("hospital", True)}


def test_a_folder_without_a_picture_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="no picture that can be read"):
        list(folder_pictures(tmp_path, chest=True))


@pytest.mark.parametrize("drawer", [*BODIES, *PATTERNS])
def test_a_drawer_draws_the_same_for_the_same_seed(drawer: Callable[[Rng], Grey]) -> None:
    once, again = (finished(drawer(rng), rng) for rng in (np.random.default_rng(4), np.random.default_rng(4)))
    assert (once.shape, once.dtype) == ((SIDE, SIDE), np.uint8)
    assert np.array_equal(once, again)
    assert once.std() > 3


@pytest.mark.parametrize(
    ("hits", "n", "low", "high"), [(0, 100, 0.0, 0.037), (5, 10, 0.2366, 0.7634), (10, 10, 0.7225, 1.0)]
)
def test_wilsons_interval_is_that_of_the_tables(hits: int, n: int, low: float, high: float) -> None:
    assert wilson(hits, n) == (pytest.approx(low, abs=1e-4), pytest.approx(high, abs=1e-4))


def test_one_command_makes_a_head_its_report_and_a_bundle(
    tiny_bundle: Bundle,
    chests: Path,
    others: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(chest_pictures, "BODIES", (hand,))  # each kind costs a fit
    monkeypatch.setattr(chest_pictures, "PATTERNS", (page,))
    folders = ["--chest", str(chests), "--other", str(others), "--measure-other", str(others)]
    out = ["--out", str(tmp_path / "out"), "--name", "checked", "--device", "cpu", "--drawn", "1"]
    assert main(["chest-check", "--base", str(tiny_bundle.path), *folders, *out]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report == json.loads((tmp_path / "out" / "chest_check.json").read_text())
    assert set(report["unseen"]["chest, without its kind"]) == {
        "hospital", "drawn: phantom", "drawn: held-out phantom", "drawn: sketch",
    }  # fmt: skip
    assert set(report["unseen"]["other, without its kind"]) == {"walls", PIECES, "drawn: hand", "drawn: page"}
    assert report["never seen"]["walls"]["n"] == 3
    bundle = read_bundle(tiny_bundle.path.parent / "checked")
    assert bundle.chest_check is not None
    encoder = load_encoder(bundle.encoder, bundle.encoder_weights, dict(bundle.encoder_options))
    check = load_chest_check(bundle.chest_check, encoder.positions, encoder.channels)
    assert (check.reject, check.doubt) == (report["reject"], report["doubt"])
    assert torch.isfinite(check.scores(torch.ones(1, encoder.positions, encoder.channels))).all()
