"""``review``, ``purge``: what changes a study for good, after a look at it."""

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import httpx
import typer

from xraygpt import named_ids, show
from xraygpt.client import Gateway, GatewayError
from xraygpt.commands.options import AsJson, Study
from xraygpt.commands.reading import show_text
from xraygpt.connect import gateway
from xraygpt_core.errors import Conflict, InvalidRequest
from xraygpt_core.exit_codes import UNFINISHED
from xraygpt_core.rejections import CODES, reason_of_rejection
from xraygpt_core.states import NOTICE

_SHORTEST = 5  # letters of the end of an id
_SEEN = ("review_state", "reviewed_at", "superseded_at")
GOES = (
    "This removes for good: every draft, correction and review of the study, its questions and answers, its "
    "pseudonyms and keys, and the pictures made from its images. The hospital's own objects stay in their bucket, and "
    "a mark without content keeps the study from coming back."
)


class Verdict(StrEnum):
    """What a person makes of a draft."""

    ACCEPT = "accept"
    REJECT = "reject"
    EDIT = "edit"


_STATES = {Verdict.ACCEPT: "accepted", Verdict.REJECT: "rejected", Verdict.EDIT: "edited"}
Reason = Annotated[
    str | None,
    typer.Option(
        help=f"Why. With reject it is needed, and begins with a code: {CODES}. "
        "Your own words may stand behind it: 'wrong_place: it is the right side'."
    ),
]
WithoutAsking = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


def review(
    study: Study,
    verdict: Annotated[Verdict, typer.Argument(help="What you make of the draft.")],
    text: Annotated[
        str | None, typer.Option(help="With edit: the file with the corrected text; `-` is stdin.", metavar="FILE")
    ] = None,
    reason: Reason = None,
    reviewer: Annotated[str | None, typer.Option(help="For a program: the person for whom it signs.")] = None,
    summary: Annotated[
        str | None, typer.Option(help="Only if this is still the current text.", metavar="SUMMARY_ID")
    ] = None,
    yes: WithoutAsking = False,
    as_json: AsJson = False,
) -> None:
    """Sign a study's current text as it stands, reject it, or put a corrected text in its place.

    The text is shown first. What somebody changed since then is refused, and nothing is signed.
    """
    if (verdict is Verdict.EDIT) != (text is not None):
        raise typer.BadParameter("--text FILE goes with edit, and only with edit")
    if verdict is Verdict.REJECT:
        reason = _why(reason)
    corrected = None if text is None else _read(text)
    with gateway() as client:
        current = _current(client, study, summary)
        if not yes:
            _ask(current, verdict, corrected, alone=as_json or text == "-")
        body = {
            "state": _STATES[verdict],
            "text": corrected,
            "reason": reason,
            "reviewer": reviewer,
            "seen": {name: current[name] for name in _SEEN},
        }
        given = {name: value for name, value in body.items() if value is not None}
        signed = client.post(f"/v1/summaries/{current['summary_id']}/review", given)
    show.answer(signed, f"{signed['review_state']}, signed by {signed['reviewed_by']}", as_json=as_json)


def _why(reason: str | None) -> str:
    try:
        return reason_of_rejection(reason)
    except InvalidRequest as error:
        raise typer.BadParameter(f"--reason: {error}") from None


def _current(client: Gateway, study: str, expected: str | None) -> dict[str, Any]:
    """The current summary of a study.

    Raises:
        Conflict: there is none, or it is another one than expected.
    """
    found = client.get(f"/v1/studies/{named_ids.study_id(client, study)}")
    current: dict[str, Any] | None = found["summary"]
    if current is None:
        raise Conflict(f"the study has no text to review: it is {found['state']}")
    if expected is not None and not (len(expected) >= _SHORTEST and current["summary_id"].endswith(expected.lower())):
        raise Conflict(f"the current text is {current['summary_id']}: read it before you sign")
    return current


def _ask(current: dict[str, Any], verdict: Verdict, corrected: str | None, *, alone: bool) -> None:
    """Show what is about to be signed, and ask.

    Args:
        alone: a program reads stdout, or stdin was the text: nobody can be asked.

    Raises:
        BadParameter: nobody is there to answer.
    """
    if alone or not _somebody_is_there():
        raise typer.BadParameter("nobody is there to be asked: read the text first, then add --yes")
    show_text(current)
    show.paragraph(NOTICE, style="bold")
    if corrected is not None:
        show.paragraph("\nIn its place:", style="bold")
        show.paragraph(corrected)
    if not typer.confirm(f"{verdict.capitalize()} this text of study {current['study_id']}?", err=True):
        show.say("nothing is signed")
        raise typer.Exit(UNFINISHED)


def _read(name: str) -> str:
    try:
        given = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
        return given.decode("utf-8-sig").strip()
    except UnicodeDecodeError:
        raise InvalidRequest("the corrected text is not in UTF-8") from None


def purge(study: Study, yes: WithoutAsking = False, as_json: AsJson = False) -> None:
    """Remove a study's texts, reviews, questions and pictures for good. That takes a key with the role admin."""
    with gateway() as client:
        study_id = named_ids.study_id(client, study)
        if not yes:
            _warn(client, study_id)
        client.delete(f"/v1/studies/{study_id}")
    show.answer({"study_id": study_id, "purged": True}, f"purged: {study_id}", as_json=as_json)


def _warn(client: Gateway, study_id: str) -> None:
    """Say what goes, and ask.

    Raises:
        BadParameter: nobody is there to answer.
    """
    if not _somebody_is_there():
        raise typer.BadParameter("nobody is there to be asked: add --yes to purge it all the same")
    show.say(GOES)
    if (counts := _counted(client, study_id)) is not None:
        show.say(counts)
    if not typer.confirm(f"Purge study {study_id}?", err=True):
        show.say("nothing is purged")
        raise typer.Exit(UNFINISHED)


def _counted(client: Gateway, study_id: str) -> str | None:
    """What the study has, as far as this key may see it: an admin sees no text."""
    try:
        found = client.get(f"/v1/studies/{study_id}")
    except GatewayError as error:
        if error.status != httpx.codes.FORBIDDEN:
            raise
        return None
    state = "no text" if found["summary"] is None else f"a text that is {found['summary']['review_state']}"
    images, reviews = len(found["images"]), len(found["reviews"])
    return f"The study is {found['state']}, with {state}; images: {images}, reviews: {reviews}."


def _somebody_is_there() -> bool:
    return sys.stdin.isatty()
