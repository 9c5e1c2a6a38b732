"""Paraphrases by rules: other words, and never another finding, side or negation."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training_jobs.stages.paraphrase import paraphrase
from xraygpt_core.phantoms.findings import LABELS
from xraygpt_core.report.concise import concise_report
from xraygpt_core.report.labeller import label_report, mentions

SENTENCES = (
    "There is no pleural effusion.",
    "No pneumothorax or focal consolidation.",
    "There is a small left pleural effusion.",
    "A large right pneumothorax is seen.",
    "The heart size is normal.",
    "The chest x-ray shows clear lungs.",
    "The lungs are clear.",
    "There are low lung volumes.",
    "No effusion on the left, but a small one on the right.",
    "There is no change in the right pleural effusion.",
    "A PICC is present.",
    "AP view.",
    "No longer any effusion is seen.",
    "Cannot exclude a left effusion!",
    "There is a nodule which may be a nipple shadow.",
    "Right upper zone consolidation.",
)


def said(text: str) -> list[tuple[str, str, frozenset[str]]]:
    return [(one.kind, one.status.value, one.labels()) for one in mentions(text)]


@given(st.lists(st.sampled_from(SENTENCES), min_size=1, max_size=8), st.integers(0, 2**32))
@settings(max_examples=150, deadline=None)
def test_no_finding_side_or_negation_changes(sentences: list[str], seed: int) -> None:
    text = " ".join(sentences)
    other = paraphrase(text, np.random.default_rng(seed))
    assert said(other) == said(text)
    assert label_report(other) == label_report(text)


@given(st.sets(st.sampled_from(LABELS)), st.sampled_from(("AP", "PA")), st.integers(0, 2**32))
@settings(max_examples=100, deadline=None)
def test_reports_of_every_set_of_findings_keep_it(labels: set[str], view: str, seed: int) -> None:
    text = concise_report(labels, view)  # type: ignore[arg-type]
    assert label_report(paraphrase(text, np.random.default_rng(seed))) == labels == label_report(text)


@given(st.text(max_size=200), st.integers(0, 99))
@settings(max_examples=100, deadline=None)
def test_any_text_comes_back_with_the_same_findings(text: str, seed: int) -> None:
    assert said(paraphrase(text, np.random.default_rng(seed))) == said(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("There is no pleural effusion.", "No pleural effusion is seen."),
        ("There is a small left pleural effusion.", "A small left pleural effusion is present."),
        ("The heart size is normal.", "Normal heart size."),
        ("Findings: No pneumothorax.", "Findings: There is no pneumothorax."),
    ],
)
def test_a_sentence_has_other_wordings(text: str, expected: str) -> None:
    assert expected in {paraphrase(text, np.random.default_rng(seed)) for seed in range(20)}


def test_most_reports_get_another_wording() -> None:
    text = concise_report({"nodule"}, "PA")
    others = [paraphrase(text, np.random.default_rng(seed)) for seed in range(50)]
    assert sum(other != text for other in others) == 50
    assert len(set(others)) > 20


def test_the_same_draw_gives_the_same_words() -> None:
    text = concise_report(set(), "AP")
    assert paraphrase(text, np.random.default_rng(3)) == paraphrase(text, np.random.default_rng(3))


def test_words_between_sentences_stay_as_they_were() -> None:
    assert paraphrase("Nothing of note.\n\nSee above.", np.random.default_rng(0)) == "Nothing of note.\n\nSee above."
