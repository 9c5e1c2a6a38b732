"""``submit``: submit images, and follow them to their end."""

import time
from collections import Counter
from collections.abc import Sequence
from typing import Annotated

import typer

from xraygpt import caveats, show
from xraygpt.client import Gateway
from xraygpt.commands.options import AsJson, InLane, Timeout, Wait
from xraygpt.connect import gateway
from xraygpt.inputs import expand
from xraygpt.submit import ResultRow, all_done, follow, refresh, register, result
from xraygpt_core.exit_codes import UNFINISHED
from xraygpt_core.states import NOTICE, Flag, Lane

Sources = Annotated[list[str], typer.Argument(help="Files, folders, or s3://bucket/key.", metavar="PATH|s3://…")]


def submit(
    sources: Sources,
    lane: InLane = Lane.ROUTINE,
    wait: Wait = False,
    timeout: Timeout = None,
    as_json: AsJson = False,
) -> None:
    """Submit DICOM, PNG and JPEG files, folders with everything below them, or objects."""
    inputs = named(sources)
    started = time.monotonic()
    with gateway() as client:
        rows = send(client, inputs, lane, wait=wait, timeout=timeout)
    show_rows(rows, time.monotonic() - started, as_json=as_json)
    if wait and not all_done(rows):
        raise typer.Exit(UNFINISHED)


def named(sources: Sequence[str]) -> list[str]:
    """The files and URIs of the arguments; a missing file is wrong usage."""
    try:
        return expand(sources, show.say)
    except FileNotFoundError as error:
        raise typer.BadParameter(f"there is no file or folder {error.args[0]}") from error


def send(client: Gateway, inputs: Sequence[str], lane: Lane, *, wait: bool, timeout: float | None) -> list[ResultRow]:
    """Submit, and with ``wait`` follow. Ctrl-C ends the command, not the work."""
    show.say(f"submitting {len(inputs)} input{'' if len(inputs) == 1 else 's'}")
    rows = register(client, inputs, lane, show.say)
    if not wait:
        refresh(client, rows)
        return rows
    try:
        with show.ProgressLine() as progress:
            follow(client, rows, seconds=timeout, notify=lambda now: _update(progress, now))
    except KeyboardInterrupt:
        show.say("not waiting any longer; the work goes on")
    return rows


def _update(progress: show.ProgressLine, rows: Sequence[ResultRow]) -> None:
    counts = Counter(str(row.state) for row in rows)
    words = ", ".join(f"{count} {state}" for state, count in sorted(counts.items()))
    progress.update(sum(row.ended for row in rows), len(rows), words)


def show_rows(rows: Sequence[ResultRow], seconds: float, *, as_json: bool) -> None:
    """The document, or a table of it."""
    if as_json:
        show.document(result(rows, seconds))
    else:
        show_table(rows)


def show_table(rows: Sequence[ResultRow]) -> None:
    """A row for each input with its state and text."""
    columns = ("study", "source", "view", "state", "seconds", "summary", "reason")
    show.table(columns, ((*_cells(row),) for row in rows))
    texts = [row for row in rows if row.summary]
    if texts:
        show.paragraph(NOTICE, style="bold")
    beyond = Counter(caveats.beyond(row.scope) for row in texts if Flag.OUT_OF_SCOPE in row.flags)
    for sentence, count in beyond.items():
        show.paragraph(f"{count} of {len(texts)} texts: {sentence}", style="bold")
    for row in texts:
        for sentence in caveats.quoted(row.consistency):
            show.paragraph(f"{row.study_id}: {sentence}", style="bold")


def _cells(row: ResultRow) -> tuple[str | None, ...]:
    seconds = None if row.seconds is None else f"{row.seconds:.1f}"
    line = show.first_line(row.summary)
    shown = line and line + caveats.behind(row.flags)
    return row.study_id, row.source, row.view, row.state, seconds, shown, row.reason_code
