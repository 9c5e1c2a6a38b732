import numpy as np
import pytest

from xraygpt_core.phantoms import wording
from xraygpt_core.phantoms.devices import PAINTERS
from xraygpt_core.phantoms.draw import plan_phantom
from xraygpt_core.phantoms.findings import LABELS, Population
from xraygpt_core.phantoms.wording import DEVICE_NAMES, write_report
from xraygpt_core.report.labeller import label_report, view_of
from xraygpt_core.report.sections import split_report

POPULATIONS: tuple[Population, ...] = ("train", "held_out")


@pytest.mark.parametrize("population", POPULATIONS)
def test_every_report_says_its_truth_and_nothing_else(population: Population) -> None:
    for seed in range(1000):
        plan = plan_phantom(seed, population)
        assert label_report(plan.report.text) == plan.labels, plan.report.text
        assert view_of(plan.report.text) == plan.view


def test_findings_alone_say_the_whole_truth_and_the_impression_no_more() -> None:
    for seed in range(600):
        plan = plan_phantom(seed)
        assert label_report(plan.report.findings) == plan.labels, plan.report.findings
        assert label_report(plan.report.impression) <= plan.labels, plan.report.impression


def test_the_impression_is_complete_where_it_is_short() -> None:
    for seed in range(400):
        plan = plan_phantom(seed)
        if 0 < len(plan.labels) <= 3:
            assert label_report(plan.report.impression) == plan.labels, plan.report.impression


@pytest.mark.parametrize("label", LABELS)
@pytest.mark.parametrize("view", ["AP", "PA"])
def test_each_finding_has_at_least_four_wordings(label: str, view: str) -> None:
    devices = ("pacemaker",) if label == "device" else ()
    rng = np.random.default_rng(0)
    sentences = set()
    for _ in range(300):
        report = write_report(rng, frozenset({label}), view, devices)  # type: ignore[arg-type]
        assert label_report(report.text) == {label}, report.text
        sentences.update(report.findings.split(". "))
    assert sum(label_report(sentence + ".") == {label} for sentence in sentences) >= 4


def test_reports_are_short() -> None:
    words = np.array([len(plan_phantom(seed).report.text.split()) for seed in range(1500)])
    assert words.min() >= 20
    assert np.percentile(words, 95) <= 60
    assert words.max() <= 80


def test_both_sections_are_always_there() -> None:
    for seed in range(300):
        report = plan_phantom(seed).report
        assert split_report(report.text) == (report.findings, report.impression)


def test_some_sentences_deny_a_finding_that_is_not_there() -> None:
    texts = [plan_phantom(seed).report.findings for seed in range(400)]
    for words in ("No pneumothorax.", "No pleural effusion", "No consolidation.", "nodule", "heart is not enlarged"):
        assert any(words in text for text in texts), words
    assert 0.5 < np.mean([" no " in text.lower() for text in texts]) < 1.0


def test_normal_studies_say_so() -> None:
    normal = [plan_phantom(seed, labels=set()).report for seed in range(100)]
    assert all("lear" in report.findings for report in normal)
    assert len({report.impression for report in normal}) >= 4


def test_the_order_of_sentences_varies() -> None:
    first = {
        plan_phantom(seed, labels={"cardiomegaly", "effusion_left", "nodule", "device"}).report.findings.split(". ")[1]
        for seed in range(200)
    }
    assert len({frozenset(label_report(sentence + ".")) for sentence in first}) >= 4


def test_both_sides_are_often_said_together() -> None:
    both = [plan_phantom(seed, labels={"effusion_left", "effusion_right"}).report.text for seed in range(200)]
    share = np.mean(["ilateral" in text or "both sides" in text or "Left and right" in text for text in both])
    assert 0.5 < share <= 1.0


def test_every_device_that_can_be_drawn_has_a_name() -> None:
    assert set(DEVICE_NAMES) == set(PAINTERS)
    for names in DEVICE_NAMES.values():
        for name in names:
            assert label_report(f"A {name}.") == {"device"}


def test_reports_are_whole_sentences() -> None:
    for seed in range(300):
        for section in (plan_phantom(seed).report.findings, plan_phantom(seed).report.impression):
            assert section.endswith(".")
            assert "{" not in section
            assert "  " not in section
            assert all(part[0].isupper() for part in section.split(". "))


def test_wordings_are_plain_text() -> None:
    forms = [value for value in vars(wording).values() if isinstance(value, tuple)]
    assert all(text.isascii() for form in forms for text in form if isinstance(text, str))
