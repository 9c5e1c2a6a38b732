"""``summary``, ``timeline``, ``find``, ``query``, ``chat``: read back what is stored."""

from typing import Annotated, Any

import typer

from xraygpt import caveats, show
from xraygpt.client import Gateway
from xraygpt.commands.options import AsJson, Study, hidden_argument
from xraygpt.connect import gateway
from xraygpt_core.exit_codes import UNFINISHED
from xraygpt_core.states import NOTICE, Flag


def summary(study: Study, as_json: AsJson = False) -> None:
    """Show a study, its current summary, and its reviews."""
    with gateway() as client:
        found = client.get(f"/v1/studies/{study}")
    if as_json:
        show.document(found)
        return
    show.fields({name: found[name] for name in ("study_id", "state", "reason_code", "lane", "view")})
    if found["flags"]:
        show.fields({"flags": ", ".join(found["flags"])})
    if found["summary"] is None:
        return
    _show_text(found["summary"])
    if found["reviewed"]:
        show.paragraph("\nReviewed before this newer draft:", style="bold")
        _show_text(found["reviewed"])
    _show_reviews(found.get("reviews", []))
    show.paragraph(NOTICE, style="bold")
    if Flag.NOT_VERIFIED_CHEST in found["flags"]:
        show.paragraph("Nothing says that this picture shows a chest.", style="bold")


def _show_text(text: dict[str, Any]) -> None:
    if text["findings"] or text["impression"]:
        show.fields({"findings": text["findings"], "impression": text["impression"]})
    else:
        show.paragraph(text["summary"])
    show.fields({name: text[name] for name in ("bundle", "summarised_at", "review_state", "reviewed_by")})
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
        found = client.get(f"/v1/studies/{study}/timeline")
    columns = ("at", "what", "who", "attempt", "epoch", "detail")
    show.listing(found, columns, ([step[name] for name in columns] for step in found["steps"]), as_json=as_json)


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
    if as_json:
        show.document(found)
        return
    if not found["studies"]:
        show.say("no study has this number")
    for study_id in found["studies"]:
        print(study_id)


def query(sql: Annotated[str, typer.Argument(help="One SELECT over the views.")], as_json: AsJson = False) -> None:
    """Run SQL as the analysts' role: read-only, over the documented views."""
    with gateway() as client:
        found = client.post("/v1/query", {"sql": sql})
    if found.get("truncated"):
        show.say("there are more rows")
    columns, rows = found["columns"], found["rows"]
    show.listing({"columns": columns, "rows": rows}, columns, rows, as_json=as_json)


def chat(
    study: Study, question: Annotated[str, typer.Argument(help="A follow-up question.")], as_json: AsJson = False
) -> None:
    """Ask about a study's summary. The answer appears while it is written; `-` reads the question from stdin."""
    question = hidden_argument(question)
    with gateway() as client:
        asked = client.post(f"/v1/studies/{study}/chat", {"question": question})
        answered = _answer(client, asked["turn_id"], live=not as_json)
    if as_json:
        show.document(answered)
    else:
        for sentence in caveats.below(answered):
            show.paragraph(sentence, style="bold")
        show.paragraph(NOTICE, style="bold")
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
