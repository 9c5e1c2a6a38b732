"""One dialogue out of a record: ChatDoctor's JSON ({instruction, input, output}) or FastChat's ({conversations})."""

import re
from collections.abc import Iterable
from typing import Any

Turns = tuple[tuple[str, str], ...]  # question, answer

_MOST_TURNS = 10_000
# The sentence that stands before every record of ChatDoctor's data; it says nothing of the patient.
_STANDING = "If you are a doctor, please answer the medical questions based on the patient's description."
_NAME = r"(?:www\.)?chat[\s-]?doctor(?:s\b|\.com|\b)"
# "Thanks for posting your query on Chat Doctor." has no meaning left without the name, and goes as a whole.
_COURTESY = re.compile(
    rf"\b(?:welcome|thanks|thank you|thankyou|regards|greetings)\b[^.!?\n]{{0,80}}?\b{_NAME}[^\S\n]*[.,!]?",
    re.IGNORECASE,
)
_BARE = re.compile(rf"\b{_NAME}", re.IGNORECASE)
_BEFORE_MARK = re.compile(r"[^\S\n]+(?=[.,;!?])")
_GAP = re.compile(r"(?<=\S)[^\S\n]{2,}")


class Unusable(Exception):
    """A record is no dialogue that can be learned from. The message quotes nothing of it."""


def turns_of(record: Any) -> Turns:
    """The questions and answers of one record, stripped, without the names that ChatDoctor signed with.

    As in FastChat, what stands before the first question is left out, and so is a last question without an answer.

    Raises:
        Unusable: it is of neither form, its roles do not alternate, or a question or an answer is empty.
    """
    if not isinstance(record, dict):
        raise Unusable("the record is no object")
    if "conversations" in record:
        turns = _fastchat(record["conversations"])
    elif "output" in record:
        turns = ((_question(record), _text(record["output"], "output")),)
    else:
        raise Unusable("the record has neither conversations nor output")
    cleaned = tuple((without_names(question), without_names(answer)) for question, answer in turns)
    for number, (question, answer) in enumerate(cleaned, 1):
        if not question or not answer:
            raise Unusable(f"{'answer' if question else 'question'} {number} is empty")
    return cleaned


def without_names(text: str) -> str:
    """The text without ChatDoctor's name, as XrayGPT's authors took it out of theirs."""
    if _BARE.search(text) is None:
        return text.strip()
    left = _BARE.sub("", _COURTESY.sub("", text))
    return _GAP.sub(" ", _BEFORE_MARK.sub("", left)).strip()


def words_of(turns: Turns) -> Iterable[str]:
    """Every question and answer, in order."""
    return (text for turn in turns for text in turn)


def _question(record: dict[str, Any]) -> str:
    asked = [_text(record.get(key, ""), key).strip() for key in ("instruction", "input")]
    if asked[1] and asked[0] == _STANDING:
        return asked[1]
    return "\n\n".join(part for part in asked if part)


def _fastchat(given: Any) -> Turns:
    if not isinstance(given, list) or len(given) > _MOST_TURNS:
        raise Unusable("conversations is no list of turns")
    spoken = [_spoken(turn, number) for number, turn in enumerate(given, 1)]
    first = next((index for index, (role, _) in enumerate(spoken) if role == "human"), len(spoken))
    skipped, spoken = first, spoken[first:]
    for index, (role, _) in enumerate(spoken):
        if role != ("human", "gpt")[index % 2]:
            raise Unusable(f"turn {skipped + index + 1} is of the speaker of the turn before it")
    if len(spoken) < 2:
        raise Unusable("there is no question with an answer")
    texts = [text for _, text in spoken]
    return tuple(zip(texts[0::2], texts[1::2], strict=False))


def _spoken(turn: Any, number: int) -> tuple[str, str]:
    if not isinstance(turn, dict):
        raise Unusable(f"turn {number} is no object")
    if turn.get("from") not in ("human", "gpt"):
        raise Unusable(f"turn {number} is from neither human nor gpt")
    return turn["from"], _text(turn.get("value"), f"the value of turn {number}")


def _text(value: Any, what: str) -> str:
    if not isinstance(value, str):
        raise Unusable(f"{what} is no text")
    try:
        value.encode()
    except UnicodeEncodeError:  # bytes that were no UTF-8, or half of a surrogate pair
        raise Unusable(f"{what} has a broken encoding") from None
    if "\0" in value:
        raise Unusable(f"{what} holds a NUL")
    return value
