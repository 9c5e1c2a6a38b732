"""From token ids to text, and where a text ends, without decoding every row at every step."""

from collections.abc import Sequence
from typing import Any

from xraygpt_core.model.prompt import cut_at_stop


class Endings:
    """Where a text ends: at an end token or a stop sequence.

    A stop sequence can only be complete after a token that holds its last character, so only then the row is decoded.
    """

    def __init__(self, tokenizer: Any, ends: Sequence[int], stop: Sequence[str]) -> None:
        self._tokenizer = tokenizer
        self._ends, self._stop = frozenset(ends), tuple(stop)
        vocabulary = tokenizer.convert_ids_to_tokens(range(len(tokenizer)))
        last = {word[-1] for word in stop}
        plain = all("!" <= character <= "~" for character in last)  # others may be spread over several tokens
        self._may_end = bytearray(
            not plain or token.startswith("<0x") or not last.isdisjoint(token) for token in vocabulary
        )

    def text(self, ids: Sequence[int]) -> str:
        """What these ids say, up to a stop sequence."""
        return self._cut(ids)[0]

    def reached(self, ids: Sequence[int]) -> bool:
        """Is the last of these ids the row's last?"""
        new = ids[-1]
        if new in self._ends:
            return True
        return bool(self._stop) and new < len(self._may_end) and bool(self._may_end[new]) and self._cut(ids)[1]

    def _cut(self, ids: Sequence[int]) -> tuple[str, bool]:
        return cut_at_stop(self._tokenizer.decode(list(ids), skip_special_tokens=True), self._stop)
