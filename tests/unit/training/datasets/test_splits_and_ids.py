"""Who is kept back, the names of Open-i's films, the words of labels and sections."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xraygpt_core.report.concise import TRUTHS
from xraygpt_core.report.labeller import label_report
from xraygpt_core.training.datasets import nih14
from xraygpt_core.training.datasets.open_i_ids import published_end, short_id, study_of
from xraygpt_core.training.datasets.report_text import indication_text, summary_text
from xraygpt_core.training.datasets.splits import SplitOf, split_of, split_word
from xraygpt_core.training.datasets.texts import objection
from xraygpt_core.training.datasets.views import view_of


@given(st.text())
def test_a_patient_has_one_split_and_a_larger_share_keeps_whom_a_smaller_one_kept(patient: str) -> None:
    small, large = split_of(patient, 0.1, 0.1), split_of(patient, 0.2, 0.2)
    assert small == split_of(patient, 0.1, 0.1)
    assert small == "train" or small == large


def test_the_shares_are_as_asked() -> None:
    splits = [split_of(f"patient {number}", 0.1, 0.2) for number in range(5000)]
    assert abs(splits.count("val") / 5000 - 0.1) < 0.02
    assert abs(splits.count("test") / 5000 - 0.2) < 0.02


def test_without_shares_nobody_is_kept_back() -> None:
    assert {split_of(f"{number}", 0.0, 0.0) for number in range(500)} == {"train"}


def test_the_words_of_published_splits_are_known() -> None:
    assert [split_word(word) for word in ("Train", " validate", "valid", "TEST", "rest")] == [
        "train",
        "val",
        "val",
        "test",
        None,
    ]


def test_the_first_split_is_remembered() -> None:
    seen = SplitOf()
    assert [seen.first("a", "val"), seen.first("b", "train"), seen.first("a", "train")] == ["val", "train", "val"]


@pytest.mark.parametrize(
    ("published", "short"),
    [
        ("CXR3_IM-1384-1001", "1384_1"),
        ("CXR3_IM-1384-2001", "1384_2"),
        ("CXR1_1_IM-0001-3001", "0001_3"),
        ("CXR9_IM-2407-1002", "2407_1002"),
        ("CXR21_IM-0729-1001-0002", "0729_1001-0002"),
    ],
)
def test_an_open_i_film_has_two_names(published: str, short: str) -> None:
    assert short_id(published) == short
    end = published_end(short)
    assert end is not None
    assert published.endswith(end)
    assert study_of(published) == study_of(short) == short[:4]


@pytest.mark.parametrize("other", ["", "1384", "CXR3", "a_b", "CXR3_IM-1384", "0a1b-2c", "CXR3_IM-1384-1001.png"])
def test_other_names_are_none(other: str) -> None:
    assert short_id(other) is None
    assert published_end(other) is None
    assert study_of(other) is None


@given(st.integers(1, 9999), st.integers(0, 9999), st.integers(1, 9))
def test_different_ends_have_different_short_names(report: int, study: int, number: int) -> None:
    names = {short_id(f"CXR{report}_IM-{study:04d}-{end}") for end in (f"{number}001", f"{number}002", f"000{number}")}
    assert len(names) == 3


def test_labels_without_a_side_say_nothing_about_sides() -> None:
    truth = nih14.truth({"Effusion", "Cardiomegaly"})
    assert set(TRUTHS) <= truth.keys()
    assert (truth["effusion"], truth["effusion_left"], truth["pneumothorax_left"]) == (1.0, None, 0.0)
    assert (truth["cardiomegaly"], truth["abnormal"], truth["opacity"]) == (1.0, 1.0, 0.0)
    assert (truth["nodule"], truth["device"], truth["consolidation_left_upper"]) == (0.0, None, 0.0)


@pytest.mark.parametrize(
    ("labels", "said"),
    [({"No Finding"}, frozenset()), ({"Mass"}, {"nodule"}), ({"Cardiomegaly", "Nodule"}, {"cardiomegaly", "nodule"})],
)
def test_a_film_gets_a_report_where_its_labels_can_be_said(labels: set[str], said: set[str]) -> None:
    report = nih14.report(labels, "PA")
    assert report is not None
    assert label_report(report) == said


def test_no_side_is_invented_for_a_film() -> None:
    report = nih14.report({"Effusion", "Pneumonia"}, "PA")
    assert report is not None
    assert "left" not in report.lower()
    assert "right" not in report.lower()
    assert report.endswith("Impression: Pleural effusion and lung opacity.")


def test_a_film_with_a_label_that_has_no_word_is_called_abnormal_and_no_more() -> None:
    report = nih14.report({"Fibrosis"}, "AP")
    assert report is not None
    assert report.endswith("Impression: Abnormal chest film.")
    assert label_report(report) == frozenset()


def test_without_a_view_nothing_is_said() -> None:
    assert nih14.report({"No Finding"}, None) is None


@pytest.mark.parametrize(
    ("named", "kinds"),
    [
        ({"Mass", "Pneumonia", "Fibrosis"}, {"nodule", "opacity"}),
        ({"Edema"}, {"opacity"}),
        ({"No Finding"}, {"normal"}),
        ({"Pleural_Thickening", "Pleural Thickening", "Hernia"}, set()),
        ({"Cardiomegaly", "Effusion", "Pneumothorax"}, {"cardiomegaly", "effusion", "pneumothorax"}),
    ],
)
def test_nih_labels_name_kinds_in_either_spelling(named: set[str], kinds: set[str]) -> None:
    assert nih14.kinds_of_nih(named) == kinds


def test_the_words_for_views_are_known() -> None:
    words = ("AP", "pa", "AP supine", "LL", "LATERAL", "frontal", "unknown", "", None)
    assert [view_of(word) for word in words] == ["AP", "PA", "AP", "LATERAL", "LATERAL", None, None, None, None]


def test_findings_and_impression_are_taken_from_a_whole_report() -> None:
    report = " FINAL REPORT\n INDICATION:  ___F with cough.\n\n FINDINGS:\n \n Heart size is\n normal.\n"
    report += "\n IMPRESSION:\n Clear.\n"
    assert summary_text(report) == "Findings: Heart size is normal. Impression: Clear."
    assert indication_text(report) == "___F with cough."
    assert summary_text("FINDINGS: Heart size is normal.\nIMPRESSION: Clear.") == summary_text(report)
    assert summary_text("\n EXAMINATION: CHEST\n \n Clear lungs.\n") == "Clear lungs."
    assert summary_text("") == ""


@pytest.mark.parametrize(
    "text", ["No.", "Normal chest.", "no no no", "Клинически норма.", "one word and another " * 400]
)
def test_a_short_or_foreign_text_is_a_text(text: str) -> None:
    assert objection(text, "films/a.png") is None


@given(st.text())
def test_any_text_is_judged(text: str) -> None:
    found = objection(text, "a.png", text[:3])
    assert found is None or found[0]


def test_labels_stand_in_one_order_in_every_process() -> None:
    opacities = list(nih14.truth(set()))[:5]
    assert opacities == sorted(opacities), "the order of a set differs from process to process"
