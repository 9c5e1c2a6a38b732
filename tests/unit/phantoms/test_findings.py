import numpy as np
import pytest

from xraygpt_core.phantoms.draw import plan_phantom
from xraygpt_core.phantoms.findings import LABELS, Phantom, PhantomReport, draw_labels


def test_the_vocabulary_is_fixed() -> None:
    assert len(LABELS) == 11
    assert len(set(LABELS)) == 11


def test_every_finding_is_about_as_frequent_as_every_other() -> None:
    rng = np.random.default_rng(0)
    drawn = [draw_labels(rng) for _ in range(4000)]
    for label in LABELS:
        assert np.mean([label in labels for labels in drawn]) == pytest.approx(0.283, abs=0.03)


def test_findings_do_not_predict_each_other() -> None:
    """Apart from the share of normal studies, which every pair has in common (phi about 0.03)."""
    rng = np.random.default_rng(1)
    table = np.array([[label in labels for label in LABELS] for labels in (draw_labels(rng) for _ in range(6000))])
    correlation = np.corrcoef(table.T) - np.eye(len(LABELS))
    assert np.abs(correlation).max() < 0.1


def test_some_studies_are_normal() -> None:
    normal = np.mean([not plan_phantom(seed).labels for seed in range(3000)])
    assert 0.04 < normal < 0.12


def test_both_views_are_drawn_and_tell_nothing_about_findings() -> None:
    plans = [plan_phantom(seed) for seed in range(3000)]
    ap = [plan for plan in plans if plan.view == "AP"]
    assert len(ap) / len(plans) == pytest.approx(0.5, abs=0.04)
    found = [len(plan.labels) for plan in plans]
    assert np.mean([len(plan.labels) for plan in ap]) == pytest.approx(np.mean(found), abs=0.15)


def test_a_report_is_two_sections_with_headings() -> None:
    assert PhantomReport("One.", "Two.").text == "Findings: One. Impression: Two."


@pytest.mark.parametrize("bits", [8, 12, 15])
def test_grey_is_the_stored_range_in_eight_bits(bits: int) -> None:
    top = 2**bits - 1
    pixels = np.array([[0, top]], dtype=np.uint16)
    phantom = Phantom(0, "train", "AP", frozenset(), pixels, bits, PhantomReport("", ""))
    assert phantom.grey8().tolist() == [[0, 255]]
