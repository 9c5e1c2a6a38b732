"""The marks that models put around their thinking, and a text without what stands between them.

A server may leave them in the text of any model: the common ones count for every bundle, in any case, beside those that
it names.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

THINKING = "thinking_marks"  # of the provenance: what stood around the thinking in the text
Marks = tuple[str, str]  # what begins thinking, and what ends it

_FINAL = "<|channel|>final<|message|>"
COMMON: tuple[Marks, ...] = (
    ("<think>", "</think>"),
    ("<thinking>", "</thinking>"),
    ("<thought>", "</thought>"),
    ("<reasoning>", "</reasoning>"),
    ("<unused94>", "<unused95>"),  # MedGemma
    ("[think]", "[/think]"),  # Magistral
    ("◁think▷", "◁/think▷"),  # Kimi-VL
    ("<|begin_of_thought|>", "<|end_of_thought|>"),
    ("<|start_thinking|>", "<|end_thinking|>"),
    ("<|channel|>analysis", _FINAL),  # OpenAI's harmony format
    ("<|channel|>commentary", _FINAL),
)


class Parts(NamedTuple):
    """A text, taken apart.

    Attributes:
        said: what stands outside of the marks.
        thought: what stands inside.
        is_open: it ends inside.
        marks: the pair that the first mark in it belongs to; None: it has none.
        is_ended: it has a mark that ends thinking.
        began_before: the first mark in it ends what a template began in the prompt.
    """

    said: str
    thought: str
    is_open: bool
    marks: Marks | None
    is_ended: bool
    began_before: bool


def taken_apart(written: str, named: Marks | None) -> Parts:
    """A text without its thinking. What ends outside of any marks began in the prompt, so all before it is thinking.

    Args:
        named: the marks that the bundle names.
    """
    pairs = _pairs(named)
    said: list[str] = []
    thought: list[str] = []
    at, inside, first, ended, began_before = 0, False, None, False, False
    for found in _any_of(pairs).finditer(written):
        mark = found[0].lower()
        (thought if inside else said).append(written[at : found.start()])
        ends = any(mark == pair[1] and (inside or mark != pair[0]) for pair in pairs)
        if ends and not inside:
            thought, said = thought + said, []
        began_before = began_before or (first is None and ends)
        first = first or next((pair for pair in pairs if mark in pair), None)
        at, inside, ended = found.end(), not ends, ended or ends
    (thought if inside else said).append(written[at:])
    whole = "\n\n".join(part.strip() for part in thought if part.strip())
    return Parts("".join(said), whole, inside, first, ended, began_before)


def without_half_a_mark(written: str, named: Marks | None) -> str:
    """A text that is still being written, without what may become a mark at its end."""
    marks = [mark for pair in _pairs(named) for mark in pair]
    for size in range(min(len(written), max(map(len, marks)) - 1), 0, -1):
        end = written[-size:].lower()
        if any(mark.startswith(end) for mark in marks):
            return written[:-size]
    return written


def _pairs(named: Marks | None) -> Sequence[Marks]:
    return COMMON if named is None else ((named[0].lower(), named[1].lower()), *COMMON)


def _any_of(pairs: Sequence[Marks]) -> re.Pattern[str]:
    marks = sorted({mark for pair in pairs for mark in pair}, key=len, reverse=True)
    return re.compile("|".join(map(re.escape, marks)), re.IGNORECASE)
