"""ReXrank's contract: which film of a study, what is written, and what happens when something is missing or broken."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from training_jobs.evaluation import kept_texts
from training_jobs.evaluation.rexrank import film_of, infer
from training_jobs.evaluation.writing import Written, write_texts
from xraygpt_core.errors import TrainingError
from xraygpt_core.model.bundle import Bundle

STUDIES = {
    "s1": {"image_path": ["/a/1.png", "/a/2.png"], "key_image_path": "/a/2.png", "context": "Age:60-70."},
    "s2": {"image_path": ["b.png"], "section_findings": "x"},
}


@pytest.fixture
def films(tmp_path: Path) -> Path:
    """The input file ``in.json`` and its images."""
    (tmp_path / "in.json").write_text(json.dumps(STUDIES))
    (tmp_path / "images/a").mkdir(parents=True)
    for name in ("a/1.png", "a/2.png", "b.png"):
        pixels = np.random.default_rng(0).integers(0, 255, (224, 230), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "images" / name)
    return tmp_path


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The studies that a model of no weights wrote about; it fails on files that are no image."""
    uids: list[str] = []

    def write(_bundle: Bundle, films: Iterable[tuple[str, Path]], _batch: int, _device: str) -> Iterator[Written]:
        for uid, file in films:
            uids.append(uid)
            broken = file.read_bytes()[:4] != b"\x89PNG"
            yield Written(uid, problem="no image") if broken else Written(uid, f"about {file.name}")

    monkeypatch.setattr(kept_texts, "write_texts", write)
    return uids


def write(folder: Path, bundle: Bundle) -> int:
    return infer(
        bundle,
        folder / "in.json",
        folder / "out.json",
        folder / "images",
        batch=2,
        device="cpu",
        notify=lambda *_: None,
    )


@pytest.mark.parametrize(
    ("study", "film"),
    [
        ({"image_path": ["1", "2"], "key_image_path": "2"}, "2"),
        ({"image_path": ["1", "2"], "frontal_lateral": ["Lateral", "Frontal"]}, "2"),
        ({"image_path": ["1", "2"]}, "1"),
    ],
)
def test_a_model_of_one_image_gets_the_key_or_the_first_frontal_film(study: dict[str, Any], film: str) -> None:
    assert film_of(study) == film


def test_every_study_gets_its_prediction_and_keeps_its_fields(
    films: Path, asked: list[str], tiny_bundle: Bundle
) -> None:
    assert write(films, tiny_bundle) == 2
    found = json.loads((films / "out.json").read_text())
    assert found["s1"] == STUDIES["s1"] | {"model_prediction": "about 2.png"}
    assert found["s2"] == STUDIES["s2"] | {"model_prediction": "about b.png"}
    assert not (films / "out.json.part.jsonl").exists()


def test_a_broken_image_is_an_error_with_its_study_and_no_text(
    films: Path, asked: list[str], tiny_bundle: Bundle
) -> None:
    whole = (films / "images/b.png").read_bytes()
    (films / "images/b.png").write_bytes(b"nothing")
    with pytest.raises(TrainingError, match="no text for 1 studies: s2"):
        write(films, tiny_bundle)
    assert not (films / "out.json").exists()
    (films / "images/b.png").write_bytes(whole)
    assert write(films, tiny_bundle) == 2
    assert asked == ["s1", "s2", "s2"]


def test_a_run_that_was_killed_goes_on_behind_its_last_whole_line(
    films: Path, asked: list[str], tiny_bundle: Bundle
) -> None:
    (films / "images/b.png").write_bytes(b"nothing")
    with pytest.raises(TrainingError):
        write(films, tiny_bundle)
    part = films / "out.json.part.jsonl"
    part.write_bytes(part.read_bytes() + b'{"study": "s2", "te')
    (films / "images/b.png").write_bytes((films / "images/a/1.png").read_bytes())
    assert write(films, tiny_bundle) == 2
    assert json.loads((films / "out.json").read_text())["s2"]["model_prediction"] == "about b.png"


def test_texts_of_another_input_are_not_gone_on_with(films: Path, asked: list[str], tiny_bundle: Bundle) -> None:
    (films / "out.json.part.jsonl").write_text('{"of": "another"}\n')
    with pytest.raises(TrainingError, match="of another bundle or input"):
        write(films, tiny_bundle)


@pytest.mark.parametrize("path", ["gone.png", "../outside.png", None])
def test_missing_images_are_named_before_anything_is_written(
    films: Path, asked: list[str], tiny_bundle: Bundle, path: str | None
) -> None:
    (films / "in.json").write_text(json.dumps(STUDIES | {"s3": {"key_image_path": path}}))
    with pytest.raises(TrainingError, match="no image for 1 studies: s3"):
        write(films, tiny_bundle)
    assert asked == []


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"s1": "x"}'])
def test_an_input_of_another_form_is_refused(films: Path, tiny_bundle: Bundle, text: str) -> None:
    (films / "in.json").write_text(text)
    with pytest.raises(TrainingError, match=r"in\.json is no"):
        write(films, tiny_bundle)


def test_the_engine_writes_in_order_and_says_which_film_it_could_not_read(films: Path, tiny_bundle: Bundle) -> None:
    (films / "images/a/1.png").write_bytes(b"nothing")
    names = ["a/2.png", "a/1.png", "b.png"]
    found = list(write_texts(tiny_bundle, [(name, films / "images" / name) for name in names], 2, "cpu"))
    assert [one.uid for one in found] == names
    assert found[1].problem is not None
    assert "DICOM" in found[1].problem
