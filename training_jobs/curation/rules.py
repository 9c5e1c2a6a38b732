"""The paper's three rules (section 4; README-DATASET): both sections, ten words of findings, two of impression."""

VERSION = 2  # of the rules and of the rewriting by rules, for provenance
MIN_FINDINGS, MIN_IMPRESSION = 10, 2


def reason_to_drop(findings: str, impression: str, after: str = "") -> str | None:
    """Why the rules drop a report; None keeps it."""
    if not findings:
        return f"no_findings{after}"
    if not impression:
        return f"no_impression{after}"
    if len(findings.split()) < MIN_FINDINGS:
        return f"short_findings{after}"
    if len(impression.split()) < MIN_IMPRESSION:
        return f"short_impression{after}"
    return None
