"""A set of films without findings that are painted on: whose films, how many paintings, and what is said of them."""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.support.training_sets import write
from training_jobs.corpora.reading import reading
from training_jobs.corpora.sources import Source, painted_hand, prepare
from training_jobs.drawers.grey import png
from xraygpt_core.dicom.normalise import normalise
from xraygpt_core.dicom.types import Limits, NormalisedImage
from xraygpt_core.errors import TrainingError
from xraygpt_core.phantoms.draw import draw_phantom, plan_phantom
from xraygpt_core.report.concise import TRUTHS
from xraygpt_core.training.mixture import parse_mixture
from xraygpt_core.training.pairs import Pair

_NORMAL = [seed for seed in range(300) if not plan_phantom(seed).labels][:2]


class _Here:
    def normalise(self, data: bytes) -> NormalisedImage:
        return normalise(data, Limits(max_pixels=10**7, decode_seconds=9, decode_memory_bytes=2**30))


def _items(root: Path, **changed: object) -> list[tuple[Pair, Source]]:
    lines = []
    for number, (split, labels) in enumerate(
        [
            ("train", "No Finding"),
            ("train", "Effusion"),
            ("val", "No Finding"),
            ("test", "No Finding"),
            ("train", "No Finding"),
        ]
    ):
        row = {"id": f"f{number}", "split": split, "image": f"images/nih/{number}.png", "patient": f"p{number}"}
        write(root / str(row["image"]), png(draw_phantom(_NORMAL[number % 2], side=256).grey8()))
        lines.append(json.dumps(row | {"view": "PA" if number else "AP", "labels": [labels]}) + "\n")
    write(root / "manifest.jsonl", "".join(lines))
    given = {"name": "n", "reader": "painted", "path": str(root), "labels": "nih14", "only": ["images/nih/"]}
    with reading(parse_mixture({"sets": [given | changed]}), root / "work") as (found,):
        return list(found.items())


def test_films_without_findings_are_painted_evenly(tmp_path: Path) -> None:
    items = _items(tmp_path, count=5, validation=0.4)
    names = [(pair.pair_id, pair.split) for pair, _ in items]
    assert names == [
        ("f0+painted0", "train"),
        ("f0+painted1", "train"),
        ("f0+painted2", "train"),
        ("f2+painted0", "val"),
        ("f2+painted1", "val"),
        ("f4+painted0", "train"),
        ("f4+painted1", "train"),
    ]
    assert [source.first for _, source in items].count(True) == 3


def test_a_painting_brings_its_text_and_labels(tmp_path: Path) -> None:
    found = [prepare(_Here(), source)[0].of(pair) for pair, source in _items(tmp_path, count=6)]  # type: ignore[arg-type]
    for pair in found:
        assert pair.text is not None
        assert pair.text.startswith(f"Findings: {pair.view} view.")
        assert set(pair.labels) == {*TRUTHS, "view"}
        assert pair.labels["device"] in (1.0, None)
        assert (pair.labels["nodule"] == 1.0) == ("Pulmonary nodule." in pair.text)
    assert len({pair.image for pair in found}) > 1


def test_a_painting_is_the_same_each_time_and_no_duplicate(tmp_path: Path) -> None:
    _, source = _items(tmp_path, count=2)[0]
    first, again = (prepare(_Here(), source) for _ in range(2))  # type: ignore[arg-type]
    assert first == again
    assert first[0].pixels is None
    (_, other) = _items(tmp_path, count=2, seed=1)[0]
    assert prepare(_Here(), other)[0] != first[0]  # type: ignore[arg-type]
    assert other.identity() != source.identity()


def test_a_film_without_lungs_is_dropped(tmp_path: Path) -> None:
    _, source = _items(tmp_path, count=2)[0]
    ramp = np.tile(np.arange(256, dtype=np.uint8), (256, 1))
    Path(source.file or "").write_bytes(png(ramp))
    picture, _ = prepare(_Here(), source)  # type: ignore[arg-type]
    assert picture.dropped == "no_lungs"


def test_a_painted_set_has_a_path() -> None:
    with pytest.raises(TrainingError, match="needs a path"):
        parse_mixture({"sets": [{"name": "n", "reader": "painted"}]})


def test_the_painters_hand_is_known_on_a_drawn_film() -> None:
    assert len(painted_hand()) == 64
