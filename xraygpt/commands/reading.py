"""``summary``, ``timeline``, ``find``, ``chat``: read back what is stored."""

import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from xraygpt import caveats, show
from xraygpt.client import Gateway
from xraygpt.commands.options import AsJson, Study, hidden_argument
from xraygpt.connect import gateway
from xraygpt.durations import clock
from xraygpt.film_lines import Film, film_lines, impression_of
from xraygpt.interrupted import goes_on
from xraygpt.named_ids import study_id
from xraygpt.terminal import width
from xraygpt.timeline_lines import timeline_lines
from xraygpt_core.exit_codes import UNFINISHED
from xraygpt_core.states import NOTICE, Flag, ReviewState

SHOWN = 20  # studies in the lines of `find`
BY_RULE = "A rule answered this: the model was not asked."


def summary(study: Study, as_json: AsJson = False) -> None:
    """Show a study, its current summary, and its reviews."""
    with gateway() as client:
        found = client.get(f"/v1/studies/{study_id(client, study)}")
    if as_json:
        show.document(found)
        return
    show.fields({name: found[name] for name in ("study_id", "state", "reason_code", "lane", "view")})
    if found["flags"]:
        show.fields({"flags": ", ".join(found["flags"])})
    if found["summary"] is None:
        return
    show_text(found["summary"])
    if found["reviewed"]:
        show.paragraph("\nReviewed before this newer draft:", style="bold")
        show_text(found["reviewed"])
    _show_reviews(found.get("reviews", []))
    show.paragraph(_stands(found["summary"]), style="bold")
    if Flag.NOT_VERIFIED_CHEST in found["flags"]:
        show.paragraph("Nothing says that this picture shows a chest.", style="bold")


def _stands(text: dict[str, Any]) -> str:
    """Whose text it is: nobody's but the model's, until a person signed it."""
    if text["review_state"] in (ReviewState.ACCEPTED, ReviewState.EDITED):
        return f"Signed by {text['reviewed_by']}, {text['reviewed_at']}, based on an AI draft."
    return NOTICE


def show_text(text: dict[str, Any]) -> None:
    """A text with its origin and its caveats; `xraygpt replay` takes its id."""
    if text["findings"] or text["impression"]:
        show.fields({"findings": text["findings"], "impression": text["impression"]})
    else:
        show.paragraph(text["summary"])
    names = ("summary_id", "bundle", "summarised_at", "review_state", "reviewed_by")
    show.fields({name: text[name] for name in names if name in text})
    show.fields({"made for": caveats.inside(text), "flags": ", ".join(text["flags"]) or None})
    for sentence in caveats.below(text):
        show.paragraph(sentence, style="bold")


def _show_reviews(reviews: list[dict[str, Any]]) -> None:
    """All reviews, the first one first, also those that were taken back."""
    if reviews:
        show.paragraph("\nReview history:", style="bold")
    for one in reviews:
        key = f", signed by {one['key_name']}" if one["key_name"] not in (None, one["reviewer"]) else ""
        show.paragraph(f"{one['at']} {one['action']} by {one['reviewer']}{key}")
        for name in ("reason", "text"):
            if one[name] is not None:
                show.fields({name: one[name]})


def timeline(study: Study, as_json: AsJson = False) -> None:
    """Show the timeline of a study."""
    with gateway() as client:
        found = client.get(f"/v1/studies/{study_id(client, study)}/timeline")
    if as_json:
        show.document(found)
    else:
        show.lines(timeline_lines(found["steps"], width(sys.stdout)))


def find(
    accession: Annotated[str | None, typer.Option(help="AccessionNumber.")] = None,
    patient: Annotated[str | None, typer.Option(help="PatientID.")] = None,
    study_uid: Annotated[str | None, typer.Option(help="StudyInstanceUID.")] = None,
    issuer: Annotated[str | None, typer.Option(help="The issuer of the PatientID or AccessionNumber.")] = None,
    as_json: AsJson = False,
) -> None:
    """Find studies by the hospital's own number; it is neither stored nor logged.

    Other users of this machine can see a command's arguments while it runs: `-` reads the number from stdin.
    """
    given = {"accession": accession, "patient": patient, "study_uid": study_uid}
    wanted = {name: hidden_argument(value) for name, value in given.items() if value is not None}
    if len(wanted) != 1:
        raise typer.BadParameter("give exactly one of --accession, --patient and --study-uid")
    if issuer is not None:
        wanted["issuer"] = issuer
    with gateway() as client:
        found = client.post("/v1/lookup", wanted)
        if found["studies"] and not as_json and sys.stdout.isatty():
            _show_studies(client, found["studies"])
        elif not as_json:
            for one in found["studies"]:
                print(one)
        for study_id, reason in found.get("rejected", {}).items():
            show.say(f"{study_id} has no draft: it was rejected ({reason.replace('_', ' ')})")
    if as_json:
        show.document(found)
    if not found["studies"]:
        show.say("no study has this number; where the images name an issuer of it, give that, too: --issuer NAME")
        raise typer.Exit(1)


def _show_studies(client: Gateway, ids: Sequence[str]) -> None:
    """A line or two for each of the newest studies: when it came, and its impression."""
    films = []
    for one in ids[:SHOWN]:
        found = client.get(f"/v1/studies/{one}")
        text = found["summary"] or {}
        impression = impression_of(text.get("impression"), text.get("summary"))
        flags = [*found["flags"], *(text.get("flags") or ())]
        seen = (found["state"], found["study_id"], found["view"], None, False, impression, found["reason_code"], flags)
        films.append(Film(clock(found["received_at"]), *seen))
    show.lines(film_lines(films, width(sys.stdout)))
    if len(ids) > SHOWN:
        show.say(f"and {len(ids) - SHOWN} older ones: a pipe or --json gets the ids of all")
    if any(film.text for film in films):
        show.paragraph(NOTICE, style="bold")


def chat(
    study: Study, question: Annotated[str, typer.Argument(help="A follow-up question.")], as_json: AsJson = False
) -> None:
    """Ask about a study's summary. The answer appears while it is written; `-` reads the question from stdin."""
    question = hidden_argument(question)
    with gateway() as client:
        asked = client.post(f"/v1/studies/{study_id(client, study)}/chat", {"question": question})
        with goes_on(
            lambda: f"not waiting any longer; the answer is written all the same: see the reading room at {client.url}/"
        ):
            answered = _answer(client, asked["turn_id"], live=not as_json)
    if as_json:
        show.document(answered)
    else:
        for sentence in caveats.below(answered):
            show.paragraph(sentence, style="bold")
        show.paragraph(NOTICE if answered.get("answered_by") != "rule" else BY_RULE, style="bold")
    if answered["state"] != "done":
        show.say(f"there is no answer: the turn is {answered['state']}")
        raise typer.Exit(UNFINISHED)


def _answer(client: Gateway, turn_id: str, *, live: bool) -> dict[str, Any]:
    """The turn when it has ended; with ``live``, its text is printed as it comes."""
    written = ""
    for event, data in client.stream(f"/v1/turns/{turn_id}/stream"):
        if event == "token" and live:
            print(show.plain(data["text"]), end="", flush=True)
            written += data["text"]
        if event in ("done", "error"):
            break
    turn: dict[str, Any] = client.get(f"/v1/turns/{turn_id}")
    if live:
        print()
        if not (turn["answer"] or "").startswith(written):  # another worker started again
            show.paragraph(turn["answer"])
    return turn
