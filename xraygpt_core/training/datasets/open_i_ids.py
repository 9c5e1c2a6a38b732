"""The two names of an Open-i film: as published, and as XrayGPT's users must rename it (its issue 3, by the author).

``CXR3_IM-1384-1001`` is ``1384_1`` there, ``CXR3_IM-1384-2001`` is ``1384_2``. The rule drops the report's number, and
two films in five share their short name with a film of another report: the way back may be ambiguous.
"""

import re

_PUBLISHED = re.compile(r"CXR\d+(?:_\d+)?_IM-(\d+)-(\d+(?:-\d+)?)")
_SHORT = re.compile(r"(\d+)_(\d+(?:-\d+)?)")
_THOUSANDS = re.compile(r"([1-9])001")


def short_id(published: str) -> str | None:
    """XrayGPT's name of a published one; None for what is none. An end that is no full thousand stays as it is."""
    found = _PUBLISHED.fullmatch(published)
    if found is None:
        return None
    thousands = _THOUSANDS.fullmatch(found[2])
    return f"{found[1]}_{thousands[1] if thousands else found[2]}"


def published_end(short: str) -> str | None:
    """How every published name ends that stands behind a short one; None for what is no short name."""
    found = _SHORT.fullmatch(short)
    if found is None:
        return None
    return f"_IM-{found[1]}-{found[2]}{'001' if re.fullmatch('[1-9]', found[2]) else ''}"


def study_of(image_id: str) -> str | None:
    """What the films of one study share: the first number of a short name, the one after IM of a published one.

    Some reports share it too, so it holds together at least what belongs together. None for other names.
    """
    found = _SHORT.fullmatch(image_id) or _PUBLISHED.fullmatch(image_id)
    return found[1] if found else None
