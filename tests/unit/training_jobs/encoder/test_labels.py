"""What a film's labels are where its pair has a report alone."""

from dataclasses import replace

import pytest

from training_jobs.encoder.labels import labels_of
from xraygpt_core.training.pairs import Pair

PAIR = Pair("1", "films", "p", "train", "", None)


@pytest.mark.parametrize(
    ("text", "there"),
    [
        ("The heart is normal in size. The lungs are clear. No pleural effusion.", set()),
        ("Small left pleural effusion. No pneumothorax.", {"effusion", "abnormal"}),
        ("Patchy consolidation at the right base.", {"consolidation", "opacity", "abnormal"}),
        ("A right-sided central venous line is in place. Clear lungs.", {"device"}),
        ("Scoliosis of the thoracic spine. Clear lungs.", {"abnormal"}),
    ],
)
def test_a_report_says_what_is_there(text: str, there: set[str]) -> None:
    assert {name for name, value in labels_of(replace(PAIR, text=text)).items() if value} == there


def test_what_is_denied_or_not_named_is_not_there_and_what_is_doubtful_is_unknown() -> None:
    labels = labels_of(replace(PAIR, text="Possible pneumonia. No effusion."))
    assert (labels["effusion"], labels["nodule"]) == (0.0, 0.0)
    assert labels["pneumonia"] is labels["opacity"] is labels["abnormal"] is None


def test_labels_of_a_set_go_before_its_text() -> None:
    labels = {"effusion": 0.0, "view": 1.0}
    assert labels_of(replace(PAIR, text="Effusion.", labels=labels)) == labels
    assert labels_of(replace(PAIR, text="Effusion.", labels={"view": 1.0}))["effusion"] == 1.0


def test_without_labels_and_text_nothing_is_known() -> None:
    assert labels_of(PAIR) == {}
