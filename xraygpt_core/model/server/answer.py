"""What a model wrote, taken apart: its answer, and what it thought before.

Thinking is kept, for people who look into the model, and is never a part of the text that is read as findings.
"""

from typing import NamedTuple

from xraygpt_core.model.backend import RequestFailed
from xraygpt_core.model.grounding import without_places
from xraygpt_core.model.server.bundle import ChatServer
from xraygpt_core.model.server.thinking import Marks, taken_apart, without_half_a_mark
from xraygpt_core.plain_text import plain_text

_BOX, _TAG = "\\boxed{", ("<answer>", "</answer>")
_WORDS_IN_BOX = "\\text{"


class Answer(NamedTuple):
    """An answer, and the thinking that belongs to it.

    Attributes:
        marks: what stood around its thinking in the text; None: there was none.
        began_before: the template had begun the thinking in the prompt, so that only its end stood in the text.
    """

    text: str
    reasoning: str | None
    marks: Marks | None = None
    began_before: bool = False


def answer_of(written: str, reasoned: str, server: ChatServer, *, cut: bool) -> Answer:
    """The whole answer.

    Args:
        written: the text of the message.
        reasoned: what the server itself kept apart from it.
        cut: it ends because there was no room for more.

    Raises:
        RequestFailed: all of it is thinking, its thinking has no end, or what the answer stands in is not there.
    """
    said, thought, is_open, marks, _, began_before = taken_apart(written, server.think)
    if cut and server.think is not None and marks is None:  # the template began the thinking, and it did not end
        said, thought, is_open = "", written, True
    inside, outside = _unwrapped(said, server)
    text = _readable(inside or "")
    parts = [plain_text(part).strip() for part in (reasoned, thought, outside)]
    reasoning = "\n\n".join(part for part in parts if part) or None
    if inside is None and said.strip() and not is_open:
        raise RequestFailed(_no_wrapping(server, cut=cut))
    if is_open or (reasoning and not text):
        raise RequestFailed("the model thought and gave no answer: allow it more tokens (max_new_tokens)")
    return Answer(text, reasoning, marks, began_before)


def answer_so_far(written: str, server: ChatServer, *, waits: bool = False) -> str:
    """What of an unfinished text may be shown already: nothing before its thinking has ended.

    Args:
        waits: the model may think first, even where no mark begins it; so it is if the bundle names marks.
    """
    parts = taken_apart(without_half_a_mark(written, server.think), server.think)
    if (waits or server.think is not None) and not parts.is_ended:
        return ""
    return _readable(_unwrapped(parts.said, server)[0] or "")


def _readable(said: str) -> str:
    """As readers see it. On which square a model of another server counts its places is not known, so they go."""
    return without_places(plain_text(said)).strip()


def _no_wrapping(server: ChatServer, *, cut: bool) -> str:
    mark = f"{_BOX}…}}" if server.answer == "boxed" else _TAG[0]
    said = f'the model\'s text has no {mark}, where its answer stands by [server] answer = "{server.answer}"'
    if cut:
        return f"{said}, and was cut before: allow it more tokens (max_new_tokens)"
    return f"{said}: let the question ask for it, or make a bundle without answer"


def _unwrapped(text: str, server: ChatServer) -> tuple[str | None, str]:
    """What stands inside (None: there is none) and outside of the last box or tag; without either, all is inside."""
    if server.answer is None:
        return text, ""
    if server.answer == "tagged":
        before, found, rest = text.rpartition(_TAG[0])
        return (rest.partition(_TAG[1])[0], before) if found else (None, text)
    before, found, rest = text.rpartition(_BOX)
    if not found:
        return None, text
    inside = rest[: _closing(rest)].strip()
    if inside.startswith(_WORDS_IN_BOX) and inside.endswith("}"):
        inside = inside[len(_WORDS_IN_BOX) : -1]
    return inside, before


def _closing(text: str) -> int:
    """Where the brace closes that was open before this text; its end if none does."""
    depth = 1
    for position, letter in enumerate(text):
        if letter in "{}" and text[position - 1 : position] != "\\":
            depth += 1 if letter == "{" else -1
            if depth == 0:
                return position
    return len(text)
