"""From what a person types to an id: the whole id, or its handle, the last five or more of its digits."""

import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any
from uuid import UUID

from xraygpt import show
from xraygpt.client import Gateway
from xraygpt.durations import clock
from xraygpt_core.errors import XrayGPTError

SHORTEST = 5  # digits of a handle; the gateway takes no fewer
_DIGITS = re.compile("[0-9a-f]+")
_PLURAL = {"study": "studies", "summary": "summaries"}
# Where a person finds the ids of each kind.
_WHERE = {
    "study": "`xraygpt find` leads to it from the hospital's number",
    "summary": "`xraygpt summary STUDY` shows it",
    "job": "`xraygpt dead list` shows the dead ones",
    "backlog": "`xraygpt backlog list` shows them",
    "run": "`xraygpt runs` shows them",
    "comparison": "`xraygpt compare list` shows them",
    "turn": "`xraygpt query` shows them, in chat_transcripts",
}


class NotNamed(XrayGPTError):
    """What was typed names nothing, or several things."""


class NoneNamed(NotNamed):
    """What was typed names nothing."""


def study_id(client: Gateway, text: str) -> str:
    """The study of this id, provisional id or handle.

    Raises:
        NotNamed: it is none, no study has it, or several have: each is said on stderr.
        GatewayError: the gateway refuses, or does not answer.
    """
    return _named(client, "study", text)


def summary_id(client: Gateway, text: str) -> str:
    """The summary, or the current one of the study that has this handle; raises like :func:`study_id`."""
    try:
        return _named(client, "summary", text)
    except NoneNamed as none:
        with suppress(NoneNamed):
            current = client.get(f"/v1/studies/{study_id(client, text)}")["summary"]
            if current is not None:
                return str(current["summary_id"])
        raise none from None


def job_id(client: Gateway, text: str) -> str:
    """The dead job; raises like :func:`study_id`."""
    return _named(client, "job", text)


def backlog_id(client: Gateway, text: str) -> str:
    """The backlog; raises like :func:`study_id`."""
    return _named(client, "backlog", text)


def run_id(client: Gateway, text: str) -> str:
    """The training run; raises like :func:`study_id`."""
    return _named(client, "run", text)


def turn_id(client: Gateway, text: str) -> str:
    """The chat turn; raises like :func:`study_id`."""
    return _named(client, "turn", text)


def comparison_id(client: Gateway, text: str) -> str:
    """The comparison; raises like :func:`study_id`."""
    return _named(client, "comparison", text)


def handles(ids: Iterable[str]) -> dict[str, str]:
    """The handle of each id: its last digits, five, or as many more as tell these apart from each other."""
    digits = {one: one.replace("-", "") for one in ids}
    length = SHORTEST
    while len({tail[-length:] for tail in digits.values()}) < len(set(digits.values())):
        length += 1
    return {one: tail[-length:] for one, tail in digits.items()}


def _named(client: Gateway, kind: str, text: str) -> str:
    typed = text.strip().lower()
    if (whole := _whole(typed)) is not None:
        return whole
    digits = typed.replace("-", "")
    if not _DIGITS.fullmatch(digits) or len(digits) > 32:
        raise NotNamed(
            f"{text!r} is no id of a {kind}: give all of it, or its last {SHORTEST} or more digits (0-9, a-f)"
        )
    if len(digits) < SHORTEST:
        raise NotNamed(f"{text!r} is too short for the id of a {kind}: give its last {SHORTEST} digits or more")
    found = client.get(f"/v1/handles/{kind}/{digits}")["candidates"]
    if not found:
        dead = "dead " if kind == "job" else ""
        raise NoneNamed(f"no {dead}{kind} has an id that ends in {digits}: {_WHERE[kind]}")
    if len(found) > 1:
        raise NotNamed(_which(kind, digits, found))
    return str(found[0]["id"])


def _whole(typed: str) -> str | None:
    try:
        return str(UUID(typed)) if len(typed) >= 32 else None
    except ValueError:
        return None


def _which(kind: str, digits: str, found: Sequence[Mapping[str, Any]]) -> str:
    """Say each candidate, and return the sentence that asks for more digits."""
    names = handles(one["id"] for one in found)
    for one in found:
        show.say(f"  {names[one['id']]}  {one['state']}  {clock(one['at'])}")
    example = names[found[0]["id"]]
    many = f"{len(found)}" if len(found) < 10 else "10 or more"
    return (
        f"{many} {_PLURAL.get(kind, f'{kind}s')} have an id that ends in {digits}: give more digits, such as {example}"
    )
