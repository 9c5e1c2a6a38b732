"""Foreign text on its way to a screen, an export or the ledger: visible letters, and none that act.

Letters that act are the control characters of C0 and C1 (ECMA-48: they move the cursor, set titles, answer in your
name), the directional ones of Unicode (UAX #9: they reverse words), and invisible ones (UTS #39).
"""

import json
import re
import unicodedata
from collections.abc import Sequence
from typing import Any

MARK = "\N{REPLACEMENT CHARACTER}"
_SPACES = frozenset({"Zs"})
# Allowed in what is kept: lines, tabs, and the marks and joiners that languages are written with. Also the soft hyphen.
_WRITTEN = frozenset("\n\r\t\N{SOFT HYPHEN}\u200c\u200d\u200e\u200f\u061c")
# A spreadsheet runs a cell that begins like this, even in quotes and after spaces (OWASP, "CSV Injection").
_RUN = re.compile(r"[\t\r\n]|[\s\0\ufeff\u200b\u2060]*[=+\-@＝＋－＠]")
_UNSAFE_IN_JSON = re.compile("[\x7f-\xa0\u00ad\u0600-\uffff\U00010000-\U0010ffff]")


def plain_text(text: str, *, lines: bool = True) -> str:
    """The text with a mark in the place of every letter that acts or is invisible; tabs and wide spaces become spaces.

    Args:
        lines: keep line ends. Without, they are marked: for what must stay one line.
    """
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() or (lines and letter == "\n") else _seen(letter) for letter in text)


def with_rest(shown: Sequence[str], count: int) -> list[str]:
    """The first of ``count`` lines or names, and how many more there are."""
    return [*shown, f"and {count - len(shown)} more"] if count > len(shown) else list(shown)


def defused(text: str) -> str:
    """The text as a cell of a CSV file, with an apostrophe before it where a spreadsheet would run it."""
    return f"'{text}" if _RUN.match(text) else text


def _seen(letter: str) -> str:
    return " " if letter == "\t" or unicodedata.category(letter) in _SPACES else MARK


def json_text(content: Any, *, indent: int | None = None) -> str:
    """JSON (RFC 8259) with letters as they are, but for those that act, are invisible or half: these are escaped."""
    return escaped(json.dumps(content, indent=indent, ensure_ascii=False, default=str))


def escaped(written: str) -> str:
    """Written JSON in which letters that act, are invisible or half are escaped; it says the same."""
    safe = _UNSAFE_IN_JSON.sub
    return safe(lambda found: found[0] if found[0].isprintable() else json.dumps(found[0])[1:-1], written)


def unseen(text: str) -> str | None:
    """Name of the first letter that is invisible and that no language needs, such as ``U+202E``; None if there is none.

    A signed text must hold what its reader saw, so it is refused rather than changed.
    """
    for letter in text:
        if not letter.isprintable() and letter not in _WRITTEN and unicodedata.category(letter) not in _SPACES:
            return f"U+{ord(letter):04X}"
    return None
