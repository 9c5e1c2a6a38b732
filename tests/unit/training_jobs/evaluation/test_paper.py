"""The paper's table: four rows, the paper's clean-up, controls beside, and what was not run."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from training_jobs.evaluation import kept_texts
from training_jobs.evaluation.paper import ROWS, clean_up, markdown, paper_table, scored
from training_jobs.evaluation.texts import read_text_pairs
from training_jobs.evaluation.writing import Written
from xraygpt_core.errors import TrainingError
from xraygpt_core.model.bundle import Bundle

REFERENCES = ["Left pleural effusion.", "The heart is enlarged.", "No abnormality is seen."]


def test_a_prediction_is_cleaned_as_the_released_code_does_it() -> None:
    assert clean_up("<Img>Impression: ##no\nedema___.") == " noedema."


def test_the_truth_scores_one_and_the_same_texts_beside_other_films_do_not() -> None:
    found = scored(REFERENCES, REFERENCES, REFERENCES[2])
    assert {score["value"] for score in found["scores"].values()} == {1.0}
    assert found["controls"]["swapped_image"]["kind_f1"] == 0
    assert found["controls"]["swapped_image"]["rouge1"] < 0.5
    assert found["controls"]["most_frequent_report"]["rouge_l"] > 0


def test_the_paper_swaps_encoder_and_language_model_in_four_rows() -> None:
    assert [row.rouge1 for row in ROWS.values()] == [0.1313, 0.1517, 0.2099, 0.3213]


@pytest.fixture
def writer(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    asked: list[str] = []

    def write(_bundle: Bundle, films: Iterable[tuple[str, Path]], _batch: int, _device: str) -> Iterator[Written]:
        for uid, _ in films:
            asked.append(uid)
            yield Written(uid, "Labelled findings: nodule.")

    monkeypatch.setattr(kept_texts, "write_texts", write)
    return asked


def test_a_row_without_a_bundle_is_listed_as_not_run(
    film_directory: Path, tiny_bundle: Bundle, writer: list[str], tmp_path: Path
) -> None:
    for _ in range(2):  # the second time nothing is written anew
        table = paper_table(
            {"xraygpt": tiny_bundle},
            film_directory,
            "test",
            tmp_path / "out",
            batch=2,
            device="cpu",
            notify=lambda *_: None,
        )
    assert (table["n"], len(writer)) == (2, 2)
    assert [row["name"] for row in table["rows"] if "not_run" in row] == ["minigpt4", "medclip", "medvicuna"]
    assert sorted(table["rows"][3]["controls"]) == ["most_frequent_report", "name_every_finding", "swapped_image"]
    shown = markdown(table)
    assert "not run (0.1313)" in shown
    assert "(0.3213)" in shown
    assert [pair.candidate for pair in read_text_pairs(tmp_path / "out/xraygpt.jsonl")] == [
        "Labelled findings: nodule."
    ] * 2


def test_a_row_that_the_paper_does_not_have_is_refused(
    film_directory: Path, tiny_bundle: Bundle, tmp_path: Path
) -> None:
    with pytest.raises(TrainingError, match="no row gpt5; it has minigpt4, medclip, medvicuna, xraygpt"):
        paper_table(
            {"gpt5": tiny_bundle}, film_directory, "test", tmp_path, batch=2, device="cpu", notify=lambda *_: None
        )


def test_the_table_is_kept_beside_its_texts(
    film_directory: Path, tiny_bundle: Bundle, writer: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import argparse

    from training_jobs.evaluation import judging_commands

    parser = argparse.ArgumentParser()
    judging_commands.add_parsers(parser.add_subparsers(dest="job"))
    row = f"medclip={tiny_bundle.path}"
    line = ["paper-table", "--row", row, "--data", str(film_directory), "--out", str(tmp_path / "out")]
    assert judging_commands.run(parser.parse_args(line)) == 0
    assert json.loads(capsys.readouterr().out)["rows"][1]["bundle"] == "tiny"
    assert "MedCLIP" in (tmp_path / "out/table.md").read_text()
