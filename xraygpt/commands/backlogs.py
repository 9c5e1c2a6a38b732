"""``backlog``: everything below a prefix of the bucket, as one piece of work."""

import contextlib
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Annotated, Any

import typer

from xraygpt import show
from xraygpt.backlog_progress import Proof, Speed, compared, progress_line
from xraygpt.client import Gateway
from xraygpt.commands.options import AsJson, InLane, Timeout, Wait
from xraygpt.commands.submitting import show_films
from xraygpt.connect import gateway, home, setting
from xraygpt.durations import clock
from xraygpt.inputs import is_uri, split_uri
from xraygpt.interrupted import goes_on
from xraygpt.moments import moment
from xraygpt.named_ids import SHORTEST, backlog_id, handles
from xraygpt.stack.settings.home import running_stack
from xraygpt.submit import ASK_AT_ONCE, ResultRow
from xraygpt.terminal import width
from xraygpt_core.errors import Unavailable
from xraygpt_core.exit_codes import UNFINISHED
from xraygpt_core.s3_listing import read_listings_quickly
from xraygpt_core.states import Lane

ENDED = frozenset({"done", "cancelled"})
ACTIONS = frozenset({"pause", "resume", "cancel", "show"})
MOST_ROWS = 50  # more are counted for a person, not listed
COLUMNS = ("backlog", "state", "lane", "listed", "registered", "open", "dead", "created", "problem")
NARROW = (0, 1, 3, 4, 5, 6, 7)
CHANGE_SECONDS = 600.0  # a million jobs are changed in a minute or two
POLL_SECONDS = 1.0
POLL_SHARE = 20  # pause so many times as long as the last answer took

Target = Annotated[
    list[str],
    typer.Argument(
        help="A prefix of the bucket, or what to do to a backlog.", metavar="s3://…|list|show ID|pause ID|…"
    ),
]


def backlog(
    target: Target,
    lane: InLane = Lane.BACKLOG,
    wait: Wait = False,
    timeout: Timeout = None,
    since: Annotated[
        str | None, typer.Option(help="Only objects stored since then (ISO 8601; without a zone, this machine's time).")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Summarise everything below s3://bucket/prefix; or pause, resume, cancel or show a backlog by its ID; or list."""
    if target == ["list"]:
        _list(as_json=as_json)
        return
    if len(target) == 2 and target[0] in ACTIONS:
        _change(target[0], target[1], timeout, wait=wait, as_json=as_json)
        return
    if len(target) != 1 or not is_uri(target[0]):
        raise typer.BadParameter("write s3://bucket/prefix, list, or pause, resume, cancel or show with an ID")
    started = time.monotonic()
    body: dict[str, Any] = {"uri": target[0]} | ({} if lane is Lane.BACKLOG else {"lane": lane})
    begin = None if since is None else moment(since)
    if begin is not None:
        body["since"] = begin.isoformat()
    with gateway() as client:
        made = client.post("/v1/backlogs", body)["backlog_id"]
        show.say(f"backlog {made}")
        if not wait:
            show.answer(client.get(f"/v1/backlogs/{made}"), as_json=as_json)
            return
        now = _follow(client, made, timeout, as_json=as_json)
        if not now.get("listed_at"):  # a comparison would register what was paused or cancelled
            show.answer(now, as_json=as_json)
            raise typer.Exit(UNFINISHED)
        show.say("comparing with what lies in the bucket now")
        rows = compared(client, _objects(target[0], begin), Lane.BACKLOG)
        found = _show_proof(rows, started, now["registered"], as_json=as_json)
    found.show(show.say)
    if not found.done:
        raise typer.Exit(UNFINISHED)


def _show_proof(rows: Iterable[ResultRow], started: float, expected: int, *, as_json: bool) -> Proof:
    """Add up what became of each object, and show it."""
    found, few = Proof(), list[ResultRow]()
    with show.ProgressLine() as progress, show.Spool("studies") as spool:
        for row in rows:
            found.note(row)
            if as_json:
                spool.add(row.document())
            elif found.listed <= MOST_ROWS:
                few.append(row)
            if found.listed % ASK_AT_ONCE == 0:
                progress.update(found.listed, max(found.listed, expected), "compared")
        if as_json:
            seconds = round(time.monotonic() - started, 3)
            spool.write({"seconds": seconds, "counts": dict(found.states), "proof": found.document()})
    if not as_json and found.listed <= MOST_ROWS:
        show_films(few)
    elif not as_json:
        show.fields(found.kinds)
    return found


def _change(wanted: str, typed: str, timeout: float | None, *, wait: bool, as_json: bool) -> None:
    with gateway() as client:
        named = backlog_id(client, typed)
        path = f"/v1/backlogs/{named}"
        now = client.get(path) if wanted == "show" else client.post(f"{path}/{wanted}", seconds=CHANGE_SECONDS)
        if wait:
            now = _follow(client, named, timeout, as_json=as_json)
    show.answer(now, as_json=as_json)


def _list(*, as_json: bool) -> None:
    with gateway() as client:
        found = client.get("/v1/backlogs")
    ids = [one["backlog_id"] for one in found["backlogs"]]
    names = {one: one for one in ids} if width(sys.stdout) is None else handles(ids)
    rows = ([names[one["backlog_id"]], *_figures(one)] for one in found["backlogs"])
    none = "there is no backlog: `xraygpt backlog s3://BUCKET/PREFIX/` begins one"
    show.listing(found, COLUMNS, rows, as_json=as_json, narrow=NARROW, empty=none)


def _figures(one: Mapping[str, Any]) -> list[Any]:
    return [*(one[name] for name in COLUMNS[1:-2]), clock(one["created_at"]), one["problem"]]


def _follow(client: Gateway, named: str, timeout: float | None, *, as_json: bool) -> dict[str, Any]:
    """Wait until it has ended or the time is up; its last state. Ctrl-C ends the command with 130, not the backlog."""
    deadline = None if timeout is None else time.monotonic() + timeout
    speed = Speed()
    now: dict[str, Any] = {}
    watch = f"not waiting any longer; the work goes on: `xraygpt backlog show {named[-SHORTEST:]} --wait` waits again"
    with goes_on(lambda: watch, (lambda: now) if as_json else None), show.ProgressLine() as progress:
        while not _over(now, deadline):
            asked = time.monotonic()
            now = client.get(f"/v1/backlogs/{named}")
            took = time.monotonic() - asked
            done = now["registered"] - now["open"]
            speed.note(done)
            progress.update(done, now["registered"], progress_line(now, speed))
            if not _over(now, deadline):  # counting a million images takes the database a while: not all the time
                time.sleep(max(POLL_SECONDS, POLL_SHARE * took))
    return now


def _over(now: dict[str, Any], deadline: float | None) -> bool:
    return bool(now) and (now["state"] in ENDED or (deadline is not None and time.monotonic() > deadline))


def _objects(uri: str, since: datetime | None) -> Iterator[tuple[str, str]]:
    """Each object's address and ETag. The gateway never shows keys, so the client lists the bucket itself."""
    from botocore.exceptions import BotoCoreError, ClientError  # slow to import, and only this command needs it

    from xraygpt_core.s3_client import new_client

    bucket, prefix = split_uri(uri)
    stack = running_stack(home()) or {}
    client = new_client(
        setting("s3_endpoint_url", stack),
        setting("s3_access_key", stack),
        setting("s3_secret_key", stack),
        region=setting("s3_region"),
        ca_file=setting("s3_ca_file", stack),
        attempts=5,
    )
    read_listings_quickly(client)
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    with contextlib.closing(client):
        try:
            for page in pages:
                for found in page.get("Contents", []):
                    if since is None or found["LastModified"] >= since:
                        yield f"s3://{bucket}/{found['Key']}", found["ETag"].strip('"')
        except (BotoCoreError, ClientError) as error:
            raise Unavailable(
                f"the backlog has ended; to prove it, this machine must list the bucket: {error}"
            ) from None
