"""The items of one list in a large JSON file, one at a time: ``{"annotations": [{…}, {…}, …]}``."""

import codecs
import json
from collections.abc import Iterator
from typing import Any, BinaryIO

_CHUNK = 2**18  # bytes
_MAX_ITEM = 2**22  # letters
_SPACE = " \t\n\r"
_IN_NUMBERS = ("", *"0123456789.eE+-")  # behind a number they may belong to it


class BrokenJson(Exception):
    """The file is no such JSON; ``line`` says where."""

    def __init__(self, line: int, what: str) -> None:
        super().__init__(what)
        self.line = line


class WrongShape(BrokenJson):
    """It is JSON, but of another shape."""


def items_of(stream: BinaryIO, name: str) -> Iterator[tuple[int, Any]]:
    """Line and value of each item of the list under ``name`` in the object that the file is.

    Raises:
        BrokenJson, WrongShape: with the line.
        UnicodeDecodeError: it is not UTF-8.
    """
    text = _Text(stream)
    if text.peek() != "{":
        raise WrongShape(text.line, f"the file must be an object with a list of {name}")
    text.take("{")
    while text.peek() != "}":
        key = text.value()
        text.take(":")
        if key == name:
            yield from _items(text, name)
            return
        text.value()
        if text.peek() != "}":
            text.take(",")
    raise WrongShape(text.line, f"the object has no list of {name}")


def _items(text: "_Text", name: str) -> Iterator[tuple[int, Any]]:
    if text.peek() != "[":
        raise WrongShape(text.line, f"{name} must be a list")
    text.take("[")
    if text.peek() == "]":
        return
    while True:
        text.peek()
        line = text.line
        yield line, text.value()
        if text.peek() == "]":
            return
        text.take(",")


class _Text:
    """A window over the file's letters that knows its line."""

    def __init__(self, stream: BinaryIO) -> None:
        self.line = 1
        self._stream = stream
        self._letters = codecs.getincrementaldecoder("utf-8-sig")("strict")
        self._window, self._place, self._at_end = "", 0, False
        self._json = json.JSONDecoder()

    def peek(self) -> str:
        """The next letter that is no space; empty at the end."""
        while True:
            while self._place < len(self._window):
                letter = self._window[self._place]
                if letter not in _SPACE:
                    return letter
                self._go(self._place + 1)
            if not self._more():
                return ""

    def take(self, letter: str) -> None:
        """Go past a letter that must come next."""
        found = self.peek()
        if found != letter:
            raise BrokenJson(self.line, f"{letter} is expected here" if found else "the file ends too early")
        self._go(self._place + 1)

    def value(self) -> Any:
        """The next value, whole."""
        self.peek()
        while True:
            try:
                found, end = self._json.raw_decode(self._window, self._place)
                if self._at_end or self._window[end : end + 1] not in _IN_NUMBERS:
                    self._go(end)
                    return found
                failure = BrokenJson(self.line, "the file ends too early")
            except json.JSONDecodeError as error:
                line = self.line + self._window.count("\n", self._place, error.pos)
                failure = BrokenJson(line, "this is no JSON")
            except (ValueError, RecursionError):  # a number of thousands of digits; brackets in brackets in brackets
                raise BrokenJson(self.line, "this is no JSON that can be read") from None
            if len(self._window) - self._place > _MAX_ITEM or not self._more():
                raise failure

    def _go(self, place: int) -> None:
        self.line += self._window.count("\n", self._place, place)
        self._place = place

    def _more(self) -> bool:
        """Read on, and forget what lies behind."""
        if self._at_end:
            return False
        data = self._stream.read(_CHUNK)
        self._at_end = not data
        self._window = self._window[self._place :] + self._letters.decode(data, final=self._at_end)
        self._place = 0
        return True
