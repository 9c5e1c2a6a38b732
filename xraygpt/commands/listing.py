"""``list``, ``open``: find a study, and look at it in the reading room."""

import os
import shutil
import sys
import webbrowser
from collections.abc import Iterator, Mapping
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

import typer
from rich.text import Text

from xraygpt import caveats, named_ids, show
from xraygpt.client import Gateway
from xraygpt.commands.options import AsJson, Study
from xraygpt.connect import gateway
from xraygpt.durations import seconds_words
from xraygpt.moments import moment, since_then
from xraygpt_core.states import NOTICE, Lane, ReviewState, StudyState

_PAGE = 200  # the most that the gateway gives at once
_EMPTY_PAGES = 50  # one after the other; the gateway looks at 2000 studies for each
_REVIEWED = {ReviewState.REJECTED: "draft rejected"}  # "rejected" alone is a film that the system turned away
_HEADS = ("study", "lane", "state", "view", "arrived", "")


class Worklist(StrEnum):
    """Which studies, and in which order."""

    AWAITING = "awaiting"
    SIGNED = "signed"
    ALL = "all"


InState = Annotated[
    list[StudyState] | None,
    typer.Option("--state", help="Only studies in these; reviews are --list's. May be repeated."),
]
OfLane = Annotated[Lane | None, typer.Option("--lane", help="Only this lane.")]
Which = Annotated[
    Worklist,
    typer.Option("--list", help="awaiting: drafts without a review; signed: reviewed ones; all: every study."),
]
Limit = Annotated[int, typer.Option(help="How many at most.", min=1, max=100_000)]
Since = Annotated[str | None, typer.Option(help="Arrived since 2026-11-30, or 15m, 2h, 7d ago.", metavar="WHEN")]


def list_studies(
    state: InState = None,
    lane: OfLane = None,
    which: Which = Worklist.ALL,
    limit: Limit = 20,
    since: Since = None,
    as_json: AsJson = False,
) -> None:
    """List studies, one a line: all of them, newest first; what awaits a review, most urgent first; what is signed."""
    from_then = None if since is None else moment(since)
    with gateway() as client:
        shown, more = _found(client, which, state, lane, from_then, limit)
    if as_json:
        show.document({"studies": shown, "more": more, "notice": NOTICE})
        return
    if not shown:
        nothing = "no study is like that" if state or lane or since else "there is no study"
        show.say(f"{nothing}, among those that were looked at" if more else nothing)
        return
    for line in _lines(shown):
        print(line)
    if any(one["opening"] for one in shown):
        show.paragraph(NOTICE, style="bold")
    if more:
        show.say(f"there may be more: these are the first {len(shown)}, --limit shows more")


def _found(
    client: Gateway,
    which: Worklist,
    state: list[StudyState] | None,
    lane: Lane | None,
    since: datetime | None,
    limit: int,
) -> tuple[list[dict[str, Any]], bool]:
    """The studies that the options ask for, page by page, and whether there may be more.

    Where a filter lets few through, pages are empty and go on: after so many of them the search ends.
    """
    found: list[dict[str, Any]] = []
    cursor, empty = None, 0
    while len(found) <= limit and empty < _EMPTY_PAGES:
        page = client.get("/v1/studies", list=which, lane=lane, state=state, limit=_PAGE, cursor=cursor)
        late = [one for one in page["studies"] if since is None or datetime.fromisoformat(one["received_at"]) >= since]
        found += late
        empty = 0 if late else empty + 1
        cursor = page["next"]
        earlier = which is Worklist.ALL and len(late) < len(page["studies"])  # all that follow arrived earlier, too
        if cursor is None or earlier:
            return found[:limit], len(found) > limit
    return found[:limit], True


def _lines(studies: list[dict[str, Any]]) -> Iterator[str]:
    """A line for each: as wide as the terminal; whole where it goes elsewhere."""
    terminal = _on_terminal()
    ids = [str(one["study_id"]) for one in studies]
    names = named_ids.handles(ids) if terminal else {one: one for one in ids}
    rows = [_HEADS, *(_cells(names[name], one, terminal=terminal) for name, one in zip(ids, studies, strict=True))]
    widths = [max(len(row[place]) for row in rows) for place in range(len(_HEADS) - 1)]
    for row in rows:
        line = "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[-1]])
        shown = Text(line.rstrip())
        if terminal:
            shown.truncate(shutil.get_terminal_size().columns, overflow="ellipsis")
        yield shown.plain


def _cells(name: str, one: Mapping[str, Any], *, terminal: bool) -> tuple[str, ...]:
    state = _REVIEWED.get(one["review_state"], one["review_state"]) or one["state"]
    text = one["opening"] or one["reason_code"] or ""
    doubts = caveats.behind(one["flags"]) if one["opening"] else ""
    said = ("⚠ " if doubts else "") + " ".join(show.plain(text).plain.split()) + doubts
    arrived = f"{seconds_words(since_then(datetime.fromisoformat(one['received_at'])))} ago"
    return name, one["lane"], state, one["view"] or "", arrived if terminal else one["received_at"], said


def open_study(study: Study, as_json: AsJson = False) -> None:
    """Open the reading room at a study in the browser; where there is none, print the address."""
    with gateway() as client:
        url = f"{client.url}/#/study/{named_ids.study_id(client, study)}"
    opened = _on_terminal() and _has_browser() and webbrowser.open(url)
    if as_json:
        show.document({"url": url, "opened": opened})
    elif opened:
        show.say(f"opened {url}")
    else:
        print(url)


def _has_browser() -> bool:
    """Is there a screen? Without one, Python would start a browser for text in this terminal."""
    return sys.platform == "darwin" or any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"))


def _on_terminal() -> bool:
    return sys.stdout.isatty()
