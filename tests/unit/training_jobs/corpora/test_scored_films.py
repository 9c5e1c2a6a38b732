"""The films of the demo's sets that are scored, and what is never among them."""

import json
from pathlib import Path

import pytest

from training_jobs.corpora.scored_films import films, most_frequent_text
from training_jobs.drawers.grey import read_film
from xraygpt_core.errors import TrainingError


def test_test_films_carry_their_text_and_kinds(film_directory: Path) -> None:
    chosen = films(film_directory, "test")
    assert [film.kinds for film in chosen] == [{"nodule"}, {"normal"}]
    assert [film.view for film in chosen] == ["PA", "AP"]
    assert most_frequent_text(chosen) == chosen[0].text


def test_the_non_commercial_collection_is_never_used(film_directory: Path) -> None:
    assert not any("covid" in str(film.file) for film in films(film_directory, "test"))


def test_a_directory_without_films_is_an_error(tmp_path: Path, film_directory: Path) -> None:
    with pytest.raises(TrainingError, match=r"manifest\.jsonl: there is no such file"):
        films(tmp_path, "test")
    with pytest.raises(TrainingError, match="no film with a text in its val split"):
        films(film_directory, "val")
    with pytest.raises(TrainingError, match="cannot be read"):
        read_film(tmp_path / "none.jpg")


@pytest.mark.parametrize("image", ["images/nih/../covid/1.png", "images/nih/link/secret.png", "images/nih/\0"])
def test_a_row_does_not_lead_out_of_the_folder_of_its_licence(tmp_path: Path, image: str) -> None:
    data = tmp_path / "data"
    (data / "images/nih").mkdir(parents=True)
    (data / "images/nih/link").symlink_to(tmp_path)
    row = {"id": "1", "split": "test", "image": image, "view": "PA", "labels": [], "template_text": "Clear."}
    (data / "manifest.jsonl").write_text(json.dumps(row))
    with pytest.raises(TrainingError):
        films(data, "test")
