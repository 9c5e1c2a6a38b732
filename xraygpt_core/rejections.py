"""Why a draft is rejected: a code, and behind a colon the person's own words where they like."""

from xraygpt_core.errors import InvalidRequest
from xraygpt_core.states import Rejection

CODES = ", ".join(Rejection)
_KNOWN = frozenset(map(str, Rejection))


def reason_of_rejection(reason: str | None) -> str:
    """The reason as it is kept, ``code`` or ``code: words``.

    Raises:
        InvalidRequest: it begins with no code, or it is ``other`` without words.
    """
    code, _, words = (part.strip() for part in (reason or "").partition(":"))
    if code not in _KNOWN or (code == Rejection.OTHER and not words):
        raise InvalidRequest(
            f"a rejection says why: its reason begins with one of {CODES}; your own words may stand behind it "
            "('wrong_place: it is the right side'), and have to behind 'other'"
        )
    return f"{code}: {words}" if words else code
