"""What is wrong with a server that takes a request and answers no stream of events, in one sentence.

A server's message may repeat what it was sent. So no word of it is shown that people or a hospital wrote, and no
number.
"""

import json
import re
from collections.abc import Collection, Iterator, Sequence
from typing import Any

import httpx

from xraygpt_core.model.remote.health import AnswerFailed, ServerFailed
from xraygpt_core.model.server.bundle import ServerBundle
from xraygpt_core.model.server.identity import plain

_LONGEST_MESSAGE, _LONGEST_WORD = 120, 30  # letters
_WORD = re.compile(r"\w+")


def private_words(bundle: ServerBundle, messages: Sequence[dict[str, Any]]) -> frozenset[str]:
    """The words of these messages, in small letters, but for those that the bundle itself sends."""
    own = f"{bundle.question} {bundle.server.system or ''}"
    return frozenset(_words(" ".join(_texts(messages)))) - frozenset(_words(own))


def what_went_wrong(
    response: httpx.Response, private: Collection[str], said: str, is_event: bool
) -> ServerFailed | None:
    """The error of a body that is no stream, or of an event that is none; None: there is nothing to say about it.

    Args:
        private: words in small letters that stay unsaid.
    """
    message = _message(said)
    if message is not None:
        return AnswerFailed(f"reports an error instead of an answer ({_harmless(message, private)}): see its own log")
    if is_event:
        return None
    kind = plain(response.headers.get("Content-Type", "none"))
    return ServerFailed(
        f"answers without streaming (Content-Type {kind}): it, and a proxy before it, must let server-sent events pass"
    )


def _texts(messages: Sequence[dict[str, Any]]) -> Iterator[str]:
    for message in messages:
        if isinstance(message["content"], str):
            yield message["content"]
        else:
            yield from (part["text"] for part in message["content"] if part["type"] == "text")


def _words(text: str) -> list[str]:
    return _WORD.findall(text.lower())


def _message(said: str) -> str | None:
    """The message of an error in one of the usual shapes; None: that is no error."""
    try:
        document = json.loads(said)
    except (ValueError, RecursionError):
        return None
    error = document.get("error", document.get("detail")) if isinstance(document, dict) else None
    if error is None:
        return None
    message = error.get("message") if isinstance(error, dict) else error
    return message if isinstance(message, str) and message else "without a message"


def _harmless(message: str, private: Collection[str]) -> str:
    """The beginning of a message, with a mark for each word that may be about a patient."""

    def shown(found: re.Match[str]) -> str:
        word = found[0]
        return word if word.isalpha() and len(word) <= _LONGEST_WORD and word.lower() not in private else "…"

    return plain(_WORD.sub(shown, message[:_LONGEST_MESSAGE]))
