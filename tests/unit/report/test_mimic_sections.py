"""The sections of MIMIC-CXR reports, by the rules of the data set's own parser."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xraygpt_core.report.mimic_sections import ALIASES, mimic_sections, normal_name, sections

REPORT = """                                 FINAL REPORT
 EXAMINATION:  CHEST (PA AND LAT)

 INDICATION:  History: ___F with shortness of breath

 TECHNIQUE:  Chest PA and lateral

 COMPARISON:  ___

 FINDINGS: \n
 The cardiac silhouette is normal.
 Lungs are clear.

 IMPRESSION: \n
 No acute cardiopulmonary process.
"""


def test_a_report_is_taken_apart() -> None:
    assert [name for name, _ in sections(REPORT)] == [
        "preamble",
        "examination",
        "indication",
        "technique",
        "comparison",
        "findings",
        "impression",
    ]
    found = mimic_sections(REPORT)
    assert found.findings == "The cardiac silhouette is normal. Lungs are clear."
    assert found.impression == "No acute cardiopulmonary process."
    assert (found.comparison, found.indication) == ("___", "History: ___F with shortness of breath")


def test_lines_may_end_as_on_windows() -> None:
    assert mimic_sections(REPORT.replace("\n", "\r\n")) == mimic_sections(REPORT)


def test_a_report_without_headers_has_one_section() -> None:
    assert sections("Lungs are clear.") == [("full report", "Lungs are clear.")]


def test_the_last_section_of_a_name_wins() -> None:
    text = " HEAD\n IMPRESSION: First.\n\n FINDINGS: Clear.\n\n CONCLUSION: Second.\n"
    assert mimic_sections(text).impression == "Second."


def test_an_empty_section_does_not_win() -> None:
    assert mimic_sections("\n IMPRESSION: First.\n\n IMPRESSION: \n\n").impression == "First."


def test_the_last_paragraph_counts_where_there_is_neither() -> None:
    text = "\n CHEST: PA.\n \n Lungs are clear.\n"
    assert mimic_sections(text.replace("CHEST", "HISTORY")).last_paragraph == "Lungs are clear."


def test_a_report_with_findings_has_no_last_paragraph() -> None:
    assert mimic_sections("\n FINDINGS: Clear.\n \n Signed.\n").last_paragraph == ""


def test_after_a_header_no_other_is_looked_for_on_its_line() -> None:
    found = mimic_sections("\n INDICATION: \n COMPARISON: None.\n\n FINDINGS: Clear.\n")
    assert found.findings == "Clear."


def test_a_colon_inside_a_line_is_no_header() -> None:
    assert mimic_sections("\n FINDINGS: Lines and tubes: none.\n HEART: large.\n").findings == "Lines and tubes: none."


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ("IMPRESSION", "impression"),
        ("CONCLUSION/FINDINGS", "impression"),
        ("IMPRESSON", "impression"),
        ("COMPARISONS", "comparison"),
        ("REFERENCE EXAM", "comparison"),
        ("REASON FOR EXAMINATION", "indication"),
        ("PFI", "history"),
        ("WETREAD", "wet read"),
        ("FINDINGS OF THE CHEST", "findings"),
        ("LEVEL OF IMPRESSION", "impression"),
        ("PA AND LATERAL", "findings"),
        ("PORTABLE CHEST", "findings"),
        ("TWO VIEWS", "findings"),
        ("RIBS", "findings"),
        ("CHEST, PA AND LATERAL", "findings"),
        ("ADDENDUM BY DR", "addendum"),
        ("DOSE", "dose"),
    ],
)
def test_headers_are_normalised(header: str, name: str) -> None:
    assert normal_name(header) == name


@pytest.mark.parametrize("name", ["1" * 5000 + "X", "A " * 2500 + "?", "VIEWS" * 1000, "AP/" * 1500 + "Q"])
def test_a_long_header_costs_no_time(name: str) -> None:
    assert normal_name(name) == " ".join(name.lower().split())


def test_every_alias_is_written_as_headers_are_looked_up() -> None:
    assert all(name == " ".join(name.lower().split()) for name in ALIASES)
    assert len(ALIASES) >= 60


@given(st.text(st.sampled_from("AB: \nfindings/"), max_size=200))
def test_no_text_is_made_up(text: str) -> None:
    whole = " ".join(text.split())
    found = mimic_sections(text)
    assert all(part in whole for part in (found.findings, found.impression, found.last_paragraph, found.comparison))


@given(st.text(st.sampled_from("A: \n"), max_size=2000))
def test_any_report_is_parsed_in_time(text: str) -> None:
    sections(text * 5)
