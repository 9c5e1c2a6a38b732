"""The concise report says exactly what is true."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xraygpt_core.phantoms.findings import LABELS, View, draw_labels
from xraygpt_core.report.concise import KINDS_OF_PLACES, TRUTHS, concise_beginning, concise_report
from xraygpt_core.report.labeller import label_report, view_of
from xraygpt_core.report.sections import split_report


@pytest.mark.parametrize("view", ["AP", "PA"])
def test_a_report_reads_back_as_its_truth(view: View) -> None:
    rng = np.random.default_rng(0)
    for _ in range(150):
        labels = draw_labels(rng)
        text = concise_report(labels, view)
        assert label_report(text) == labels, text
        assert view_of(text) == view


@pytest.mark.parametrize("label", LABELS)
def test_every_single_finding_reads_back(label: str) -> None:
    assert label_report(concise_report({label}, "PA")) == {label}


def test_everything_at_once_reads_back() -> None:
    assert label_report(concise_report(set(LABELS), "AP")) == set(LABELS)


def test_a_normal_film_is_called_normal() -> None:
    assert concise_report(set(), "PA") == (
        "Findings: PA view. Normal heart size. No pleural effusion. No pneumothorax. No consolidation. No nodule. "
        "No device. Impression: No acute abnormality."
    )


def test_a_report_has_both_sections() -> None:
    findings, impression = split_report(concise_report({"nodule", "effusion_left"}, "AP"))
    assert findings is not None
    assert findings.startswith("AP view.")
    assert impression == "Left pleural effusion and pulmonary nodule."


def test_the_impression_names_the_two_most_urgent() -> None:
    _, impression = split_report(concise_report({"nodule", "cardiomegaly", "effusion_left", "effusion_right"}, "AP"))
    assert impression == "Bilateral pleural effusions and cardiomegaly."


@given(
    labels=st.sets(st.sampled_from(TRUTHS[1:])), upto=st.sampled_from(TRUTHS[1:]), view=st.sampled_from(("AP", "PA"))
)
def test_a_beginning_is_the_reports_own_and_says_whether_its_finding_is_there(
    labels: set[str], upto: str, view: View
) -> None:
    beginning = concise_beginning(labels, view, upto)
    assert concise_report(labels, view).startswith(beginning + " ")
    assert concise_beginning(labels ^ {upto}, view, upto) != beginning or upto in KINDS_OF_PLACES.values()
