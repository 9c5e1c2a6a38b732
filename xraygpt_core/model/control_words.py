"""Control words of a tokenizer (``<|im_start|>``, ``</s>``) in what people type are text, never control tokens.

A tokenizer looks for its control words before anything else. Text that is cut inside of every such word and encoded
piece by piece holds none of them, and becomes the tokens of its letters. What holds no control word is not cut, so it
has the ids it was trained with.
"""

from collections.abc import Iterator, Sequence
from typing import Protocol

from xraygpt_core.errors import InvalidRequest

Span = tuple[int, int]


class Tokenizer(Protocol):
    """What we use of a Hugging Face tokenizer."""

    bos_token_id: int | None

    def encode(self, text: str, *, add_special_tokens: bool) -> list[int]: ...

    def get_added_vocab(self) -> dict[str, int]: ...


def encode_with_given(tokenizer: Tokenizer, text: str, given: Sequence[Span]) -> list[int]:
    """Ids of a text; control words count outside of ``given`` only, where people's or models' words stand.

    Raises:
        InvalidRequest: a control token would come out of given words all the same.
    """
    control = tokenizer.get_added_vocab()
    ends = [*cuts(text, given, control), len(text)]
    ids = [
        one
        for start, end in zip([0, *ends], ends, strict=False)
        for one in tokenizer.encode(text[start:end], add_special_tokens=False)
    ]
    if _controls(ids, control) != sum(_controls(_plain(tokenizer, part), control) for part in _ours(text, given)):
        raise InvalidRequest("the text holds a control word of the model: write it otherwise")
    return ids


def cuts(text: str, given: Sequence[Span], words: Sequence[str] | dict[str, int]) -> list[int]:
    """Where to cut so that no control word is left that reaches into given text, in ascending order."""
    found = set()
    for word in words:
        if len(word) < 2:
            continue
        start = text.find(word)
        while start >= 0:
            inside = next((span for span in given if span[0] < start + len(word) and start < span[1]), None)
            if inside is not None:
                found.add(max(start + 1, inside[0]))
            start = text.find(word, start + 1)
    return sorted(found)


def _ours(text: str, given: Sequence[Span]) -> Iterator[str]:
    """What stands between the given words."""
    at = 0
    for start, end in given:
        yield text[at:start]
        at = end
    yield text[at:]


def _plain(tokenizer: Tokenizer, text: str) -> list[int]:
    return tokenizer.encode(text, add_special_tokens=False) if text else []


def _controls(ids: Sequence[int], control: dict[str, int]) -> int:
    control_ids = set(control.values())
    return sum(one in control_ids for one in ids)
