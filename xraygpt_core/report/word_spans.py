"""Which words of a sentence as it was written became some words of the plain sentence that the rules read."""

import re
from difflib import SequenceMatcher
from functools import lru_cache

_WORD = re.compile(r"[^\W_]+")
_ENDS_BEFORE_A_WORD = re.compile(r"\s\Z")


def words_in(raw: str, plain: str, start: int, end: int) -> tuple[int, int]:
    """[start, end) in ``raw`` of the words ``plain[start:end]``; of all of ``raw`` where none of them stands there.

    Plain sentences have other letters, hyphens opened, abbreviations spelled out and words put in, but their words stay
    in order. Where the rules end before a word (a heart that "is " enlarged), that word belongs to it.

    Args:
        raw: has at least one letter that is no space.
    """
    if _ENDS_BEFORE_A_WORD.search(plain[start:end]) and (behind := _WORD.match(plain, end)):
        end = behind.end()
    written, spots, matched = _aligned(raw, plain)
    found = [
        written[matched[at]] for at, (first, last) in enumerate(spots) if first < end and last > start and at in matched
    ]
    if found:
        return found[0][0], found[-1][1]
    words, lower, whole = plain[start:end].strip(), raw.lower(), raw.strip()
    if words and len(lower) == len(raw) and words in lower:
        return lower.index(words), lower.index(words) + len(words)
    return raw.index(whole), raw.index(whole) + len(whole)


_Spots = tuple[tuple[int, int], ...]


@lru_cache(maxsize=512)
def _aligned(raw: str, plain: str) -> tuple[_Spots, _Spots, dict[int, int]]:
    """Where the words of each are, and which word of ``raw`` each word of ``plain`` is."""
    written, read = [*_WORD.finditer(raw)], [*_WORD.finditer(plain)]
    one, other = [match[0].lower() for match in written], [match[0] for match in read]
    blocks = SequenceMatcher(None, one, other, autojunk=False).get_matching_blocks()
    matched = {block.b + step: block.a + step for block in blocks for step in range(block.size)}
    return tuple(match.span() for match in written), tuple(match.span() for match in read), matched
