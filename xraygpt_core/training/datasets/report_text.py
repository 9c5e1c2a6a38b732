"""The text to learn from a whole radiology report: its findings and its impression."""

from xraygpt_core.report.mimic_sections import MimicSections, mimic_sections


def summary_text(report: str) -> str:
    """Findings and impression; of a report with neither, its last paragraph; empty if it has none of them."""
    parts = _parts(report)
    return joined(parts.findings, parts.impression) or parts.last_paragraph


def indication_text(report: str) -> str | None:
    """Why the film was made, where a section says so."""
    return _parts(report).indication or None


def joined(findings: str, impression: str) -> str:
    """Both sections with their headings, as the system writes them; what is empty is left out."""
    named = (("Findings", findings), ("Impression", impression))
    return " ".join(f"{name}: {flat(text)}" for name, text in named if flat(text))


def flat(text: str) -> str:
    """A text on one line."""
    return " ".join(text.split())


def _parts(report: str) -> MimicSections:
    """The sections; headings may also begin at the very edge of their lines, as other hospitals write them."""
    return mimic_sections("\n" + "\n".join(f" {line.lstrip(' ')}" if line else line for line in report.splitlines()))
