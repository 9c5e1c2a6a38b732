import pytest

from xraygpt_core.phantoms.findings import PhantomReport
from xraygpt_core.report.sections import described_part, split_report


@pytest.mark.parametrize(
    "text",
    [
        "Findings: Lungs are clear. Impression: Normal.",
        "FINDINGS:\nLungs are clear.\n\nIMPRESSION:\nNormal.",
        "**Findings:** Lungs are clear. **Impression:** Normal.",
        "**Findings**: Lungs are clear.\n**Impression**: Normal.",
        "Findings:Lungs are clear.Impression:Normal.",
        "Impression: Normal. Findings: Lungs are clear.",
        "Indication: Cough. Findings: Lungs are clear. Conclusion: Normal.",
    ],
)
def test_both_sections_are_found_in_the_usual_layouts(text: str) -> None:
    assert split_report(text) == ("Lungs are clear.", "Normal.")


def test_a_report_of_our_own_comes_back_as_it_was_written() -> None:
    report = PhantomReport("AP chest radiograph. There is a left pleural effusion.", "Left pleural effusion.")
    assert split_report(report.text) == (report.findings, report.impression)


def test_text_without_headings_has_no_sections() -> None:
    assert split_report("The lungs are clear. Findings are stable.") == (None, None)


def test_a_missing_section_is_none() -> None:
    assert split_report("Impression: Normal.") == (None, "Normal.")
    assert split_report("Findings: Clear. Impression:") == ("Clear.", None)


def test_repeated_sections_are_joined() -> None:
    assert split_report("Findings: One. Findings: Two.").findings == "One. Two."


def test_only_what_was_seen_is_described() -> None:
    text = "AP film. Indication: effusion? Technique: one view. Findings: Clear. Comparison: none. Impression: Normal."
    assert described_part(text) == "AP film.\nClear.\nNormal."


def test_text_without_headings_is_described_whole() -> None:
    assert described_part("Lungs are clear.") == "Lungs are clear."


def test_an_empty_text_has_nothing() -> None:
    assert split_report("") == (None, None)
    assert described_part("") == ""
