"""The findings that a text names, and the words that say so."""

import hashlib
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xraygpt_core.phantoms.findings import LABELS, draw_labels
from xraygpt_core.phantoms.wording import write_report
from xraygpt_core.report.labeller import label_report
from xraygpt_core.report.text_labels import FINDINGS, LABELLER, TextLabel, labels_of, named_by
from xraygpt_core.report.word_spans import words_in

# What the labeller of this version says of the texts below. A change of the rules that changes a label raises LABELLER,
# and has its line here: stored labels are made anew by `xraygpt relabel` if, and only if, the version differs.
GOLDEN = {"1": "c52b9db7458a28e1"}

SENTENCES = [
    "The heart is enlarged.",
    "Heart size is normal.",
    "Heart is not enlarged.",
    "Small left pleural effusion with adjacent atelectasis in the left lower zone.",
    "No pleural effusion or pneumothorax.",
    "Bilateral effusions.",
    "Blunting of the right costophrenic angle.",
    "RLL consolidation, possibly pneumonia.",
    "Left but no right effusion.",
    "Large right pneumothorax with mediastinal shift to the left.",
    "Pneumonia cannot be excluded in the left upper lobe.",
    "Linear opacity in the left base, likely atelectasis.",
    "Old healed right rib fractures.",
    "A right PICC line ends in the superior vena cava.",
    "Recommend placement of a chest tube.",
    "Fibrosis in both upper lobes with cavities.",
    "Air in the pleural cavity on the right.",
    "Mediastinum is not widened.",
    "Tortuous aorta with atherosclerotic calcification of the arch.",
    "Elevated left hemidiaphragm. Hiatal hernia.",
    "A pneumothorax is air in the pleural space.",
    "Subcutaneous emphysema. No free air under the diaphragm.",
    "Pulmonary vascular congestion and mild edema.",
    "Normal vascular markings without congestion.",
    "2 cm mass in the right upper lobe. Hilar adenopathy.",
    "Scoliosis. Normal curvature.",
    "Possible nodule, right upper zone.",
    "There isn’t any effusion; no consolidation.",
    "Calcified granuloma in the left mid zone.",
    "Hyperinflated lungs, emphysema. Apical pleural thickening.",
]


def said(text: str) -> list[tuple[str, str | None, str | None, str, str]]:
    return [(one.finding, one.side, one.zone, one.status, text[one.start : one.end]) for one in labels_of(text)]


def test_the_version_changes_with_the_rules() -> None:
    written = "\n".join(f"{sentence}: {said(sentence)}" for sentence in SENTENCES)

    assert GOLDEN[LABELLER] == hashlib.sha256(written.encode()).hexdigest()[:16], "raise LABELLER, then add its line"


def test_a_report_is_read_with_sides_zones_and_doubts() -> None:
    text = (
        "INDICATION: rule out pneumothorax.\nFINDINGS: The heart is enlarged. "
        "Small left effusion with atelectasis in the\nleft lower zone. No pneumothorax.\n"
        "IMPRESSION: Possible right upper zone nodule."
    )

    assert said(text) == [
        ("cardiomegaly", None, None, "present", "heart is enlarged"),
        ("effusion", "left", None, "present", "effusion"),
        ("atelectasis", "left", "lower", "present", "atelectasis"),
        ("pneumothorax", None, None, "absent", "pneumothorax"),
        ("nodule", "right", "upper", "uncertain", "nodule"),
    ]


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("Bilateral effusions.", {("effusion", "left", "present"), ("effusion", "right", "present")}),
        ("There is no\npneumothorax.", {("pneumothorax", None, "absent")}),
        ("- No pneumothorax\n- Effusion", {("pneumothorax", None, "absent"), ("effusion", None, "present")}),
        ("Left but no right effusion.", {("effusion", "left", "present"), ("effusion", "right", "absent")}),
        ("There isn’t an effusion.", {("effusion", None, "absent")}),
        ("A pneumothorax is air in the pleural space.", set()),
        ("Recommend a chest tube.", set()),
        ("Linear opacity, likely atelectasis.", {("atelectasis", None, "present")}),
        ("Air fills the pleural cavity.", set()),
        ("Calcified lymph nodes.", set()),
        ("Yes.", set()),
        ("", set()),
    ],
)
def test_what_a_sentence_names(text: str, labels: set[tuple[str, str | None, str]]) -> None:
    assert {(one.finding, one.side, one.status) for one in labels_of(text)} == labels


def test_what_is_there_wins_over_what_may_be() -> None:
    named = named_by(labels_of("Possible effusion. Effusion on the left. Possible nodule. No pneumothorax."))

    assert (named.asserted, named.uncertain) == (("effusion",), ("nodule",))


def test_the_phantoms_own_reports_have_the_phantoms_labels() -> None:
    generator = np.random.default_rng(16)
    for _ in range(40):
        truth = draw_labels(generator)
        report = write_report(generator, truth, "PA", ["pacemaker"] if "device" in truth else []).text
        present = {_as_label(one) for one in labels_of(report) if one.status == "present"} & set(LABELS)
        assert present == truth == label_report(report), report


def _as_label(one: TextLabel) -> str:
    parts = (one.finding, one.side, one.zone if one.finding == "consolidation" else None)
    return "_".join(part for part in (parts if one.finding not in ("nodule", "device") else parts[:1]) if part)


PIECES = st.sampled_from(
    ["no ", "left ", "right ", "effusion", "effusions ", "RLL ", "consolidation. ", "İ", "\n", "\n\n", ". ",
     "Findings: ", "History: ", "isn't ", "’", "- ", "but ", "may be ", "possible ", "**", "(", ") ", "heart ",
     "enlarged ", "é", "?"]
)  # fmt: skip


@settings(max_examples=40)
@given(st.lists(PIECES | st.text(max_size=5), max_size=40).map("".join))
def test_every_label_names_words_of_its_text(text: str) -> None:
    labels = labels_of(text)

    assert labels == labels_of(text)
    assert list(labels) == sorted(labels, key=lambda one: (one.start, one.end))
    assert len(set(labels)) == len(labels)
    for one in labels:
        words = text[one.start : one.end]
        assert words.strip() == words != ""
        assert one.finding in FINDINGS


@settings(max_examples=40)
@given(st.lists(PIECES, min_size=1, max_size=10).map("".join))
def test_a_text_behind_another_keeps_its_labels(text: str) -> None:
    before = "Findings: Clear lungs. "
    alone = [(one.finding, one.side, one.zone, one.status) for one in labels_of(f"{text.strip()}.")]
    if not re.search(r"(?i)findings|history", text) and not text.strip().startswith((".", "?")):
        assert [
            (one.finding, one.side, one.zone, one.status) for one in labels_of(f"{before}\n\n{text.strip()}.")
        ] == alone


@settings(max_examples=40)
@given(st.text(min_size=1).filter(str.strip), st.text(alphabet="abc de", min_size=1), st.data())
def test_words_are_found_whatever_they_became(raw: str, plain: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(plain) - 1))
    end = data.draw(st.integers(start + 1, len(plain)))

    first, last = words_in(raw, plain, start, end)

    assert 0 <= first < last <= len(raw)


def test_words_that_were_spelled_out_are_found_where_they_were_abbreviated() -> None:
    raw, plain = "RLL air-space opacity/effusion", "right lower lobe air space opacity effusion"

    def found(words: str) -> str:
        start = plain.index(words)
        first, last = words_in(raw, plain, start, start + len(words))
        return raw[first:last]

    assert [found(words) for words in ("air space opacity", "effusion", "right lower lobe")] == [
        "air-space opacity",
        "effusion",
        raw,
    ]


def test_a_text_of_any_length_is_labelled_in_a_bounded_time() -> None:
    for hostile in (" " * 20_000, "effusion " * 2_000, "no " * 6_000, "Findings: " * 2_000, "opacity and " * 1_600):
        assert len(labels_of(hostile)) <= 1000
