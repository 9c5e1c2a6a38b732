"""The words of published sets for the view of a film."""

LATERAL = "LATERAL"
_LATERAL_WORDS = ("LATERAL", "LL", "LAT", "LLD", "RLD", "LEFT LATERAL", "RIGHT LATERAL")


def view_of(word: str | None) -> str | None:
    """AP, PA or LATERAL; None where the word says none of them (``frontal`` does not)."""
    told = (word or "").strip().upper()
    if told in _LATERAL_WORDS:
        return LATERAL
    first = told.partition(" ")[0]  # "AP supine", "AP AXIAL"
    return first if first in ("AP", "PA") else None
