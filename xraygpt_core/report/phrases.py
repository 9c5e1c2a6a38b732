"""Patterns written as words."""

import re


def any_of(phrases: str) -> str:
    """A pattern for one of the phrases.

    Args:
        phrases: parted by commas; "*" behind a letter stands for more letters, "(s)" for an s that may follow. They may
            be patterns of this function.
    """
    endings = re.sub(r"(?<=[a-z])\*", "[a-z]*", phrases.replace("(s)", "s?"))
    return f"(?:{'|'.join(phrase.strip() for phrase in endings.split(','))})"
