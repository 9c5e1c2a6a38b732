"""Texts are kept in a file and scored again without a model."""

import json
from pathlib import Path

import pytest

from training_jobs.__main__ import main
from training_jobs.evaluation import generating
from training_jobs.evaluation.cases import Case
from training_jobs.evaluation.saved import save, saved_texts
from xraygpt_core.errors import TrainingError
from xraygpt_core.model.bundle import Bundle

CASES = [
    Case(b"one", frozenset({"nodule"}), "", "PA", "patient 7", "set"),
    Case(b"two", frozenset(), "", None, "patient 8", "set"),
]


def test_a_line_has_an_opaque_id_the_kinds_and_the_text(tmp_path: Path) -> None:
    file = tmp_path / "texts.jsonl"
    save(file, CASES, ["AP view. Nodule.", "Clear lungs."], "blank")
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert [line["kinds"] for line in lines] == [["nodule"], ["normal"], ["normal"]]
    assert [line["view"] for line in lines] == [False, None, None]
    assert "patient" not in file.read_text()
    assert saved_texts(file)([b"two", b"one"]) == ["Clear lungs.", "AP view. Nodule."]


@pytest.mark.parametrize("content", ['{"id": 1}\n', ""])
def test_texts_about_other_films_are_refused(tmp_path: Path, content: str) -> None:
    file = tmp_path / "texts.jsonl"
    file.write_text(content)
    with pytest.raises(TrainingError, match="has no text for 1 of 1 pictures"):
        saved_texts(file)([b"one"])


def test_a_broken_file_is_one_error(tmp_path: Path) -> None:
    (tmp_path / "texts.jsonl").write_text("{")
    with pytest.raises(TrainingError, match="no JSON"):
        saved_texts(tmp_path / "texts.jsonl")
    with pytest.raises(TrainingError, match="cannot be written"):
        save(tmp_path, CASES[:1], ["a"], "b")


def test_the_command_scores_the_same_again(
    film_directory: Path,
    tiny_bundle: Bundle,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    said = ["Findings: PA view. Pulmonary nodule.", "Findings: AP view. No abnormal finding.", "Clear lungs."]
    monkeypatch.setattr(generating, "summaries", lambda *_, **__: said)
    films, file = ["evaluate", "--films", str(film_directory)], str(tmp_path / "texts.jsonl")
    assert main([*films, "--base", str(tiny_bundle.path), "--texts", file]) == 0
    first = json.loads(capsys.readouterr().out)
    assert first["scores"]["kind_f1"]["value"] == first["scores"]["view"]["value"] == 1.0
    assert main([*films, "--from", file]) == 0
    assert json.loads(capsys.readouterr().out) == first
    assert main([*films, "--from", file, "--table"]) == 0
    assert "2 films of 2 patients" in capsys.readouterr().out


def test_without_a_bundle_or_texts_there_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate"]) == 1
    assert "--base, or a file of texts with --from" in capsys.readouterr().err
