"""The labeller beside tags of people."""

import json
from pathlib import Path

import pytest

from training_jobs.__main__ import main
from training_jobs.evaluation.labeller import labeller_on_films, labeller_on_reports
from training_jobs.evaluation.mesh import kinds_of_mesh
from xraygpt_core.errors import TrainingError


def report(text: str, *tags: str) -> str:
    majors = "".join(f"<major>{tag}</major>" for tag in tags)
    return f'<r><uId id="CXR1"/><AbstractText Label="FINDINGS">{text}</AbstractText><MeSH>{majors}</MeSH></r>'


REPORTS = [
    report("Patchy opacity at the left base.", "Opacity/lung/base/left"),
    report("Clear lungs.", "normal"),
    report("Clear lungs.", "Pleural Effusion/left"),
    report("A nodule on the right.", "Nodule/lung/right"),
    report("Not tagged.", "No Indexing"),
    report("", "normal"),
    "<broken",
]


def test_what_the_text_says_is_compared_with_the_tags(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number, xml in enumerate(REPORTS):
        (tmp_path / f"{number}.xml").write_text(xml)
    result = labeller_on_reports(tmp_path)
    assert (result["n"], result["left_out"]) == (4, 3)
    assert result["scores"]["kind_f1"]["value"] == pytest.approx(3 / 4)
    assert result["kinds"]["normal"]["precision"]["value"] == 0.5
    assert result["kinds"]["effusion"]["recall"]["value"] == 0
    assert result["kinds"]["pneumothorax"]["recall"] is None
    assert main(["evaluate-labeller", "--reports", str(tmp_path)]) == 0
    assert json.loads(capsys.readouterr().out) == result
    assert main(["evaluate-labeller", "--reports", str(tmp_path), "--table"]) == 0
    assert "| effusion | 1 | 0 |" in capsys.readouterr().out


def test_labels_of_films_are_compared_with_the_texts_made_of_them(film_directory: Path) -> None:
    result = labeller_on_films(film_directory)
    assert result["n"] == 4
    assert result["scores"]["kind_f1"]["value"] == 1.0


def test_a_folder_without_tagged_reports_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="no report with MeSH tags"):
        labeller_on_reports(tmp_path)


@pytest.mark.parametrize(
    ("tags", "kinds"),
    [
        (["Opacity/lung/lingula/round"], {"nodule"}),
        (["Costophrenic Angle/left/blunted/mild", "Cardiac Shadow/enlarged"], {"effusion", "cardiomegaly"}),
        (["Costophrenic Angle/right/obscured", "Cardiac Shadow/borderline"], set()),
        (["Lung/hypoinflation", "Catheters, Indwelling/right"], {"normal"}),
        (["Hydropneumothorax/left"], {"effusion", "pneumothorax"}),
        (["Aorta/tortuous", "Pulmonary Atelectasis/base"], {"opacity"}),
    ],
)
def test_tags_name_kinds(tags: list[str], kinds: set[str]) -> None:
    assert kinds_of_mesh(tags) == kinds


def test_an_untagged_report_says_nothing() -> None:
    assert kinds_of_mesh([]) is None
    assert kinds_of_mesh(["No Indexing"]) is None
