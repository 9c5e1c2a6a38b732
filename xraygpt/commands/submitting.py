"""``submit``: submit images, and follow them to their end."""

import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Annotated

import typer

from xraygpt import caveats, show
from xraygpt.client import Gateway
from xraygpt.commands.options import AsJson, InLane, Timeout, Wait, hidden_argument
from xraygpt.connect import gateway
from xraygpt.film_lines import counted, film_lines, short_names
from xraygpt.inputs import NothingThere, expand
from xraygpt.interrupted import WATCH
from xraygpt.named_ids import handles
from xraygpt.submit import NO_WORDS, ResultRow, UploadInterrupted, all_done, follow, refresh, register, result
from xraygpt.terminal import width
from xraygpt.waiting import WaitLine
from xraygpt_core.exit_codes import INTERRUPTED, UNFINISHED
from xraygpt_core.states import NOTICE, Flag, Lane

Sources = Annotated[list[str], typer.Argument(help="Files, folders, or s3://bucket/key.", metavar="PATH|s3://…")]
_SAYS = "for models that read it; - is a line of stdin."
Indication = Annotated[str | None, typer.Option(help=f"Why the films were asked for, {_SAYS}", metavar="WORDS")]
Technique = Annotated[str | None, typer.Option(help=f"How they were taken, {_SAYS}", metavar="WORDS")]
Comparison = Annotated[str | None, typer.Option(help=f"What they are compared with, {_SAYS}", metavar="WORDS")]
MOST_WITH_WORDS = 16  # the gateway's limit


def submit(
    sources: Sources,
    lane: InLane = Lane.ROUTINE,
    indication: Indication = None,
    technique: Technique = None,
    comparison: Comparison = None,
    wait: Wait = False,
    timeout: Timeout = None,
    as_json: AsJson = False,
) -> None:
    """Submit DICOM, PNG and JPEG files, folders with everything below them, or objects.

    Indication, technique and comparison are about one study: name its films alone. Other users of this machine can see
    a command's arguments while it runs: `-` reads the words from stdin.
    """
    inputs = named(sources)
    given = {"indication": indication, "technique": technique, "comparison": comparison}
    words = {name: hidden_argument(said) for name, said in given.items() if said}
    if words and len(inputs) > MOST_WITH_WORDS:
        raise typer.BadParameter(
            f"{', '.join(words)}: words are about one study, and these are {len(inputs)} inputs: name the films of one "
            f"study, {MOST_WITH_WORDS} at most"
        )
    started = time.monotonic()
    with gateway() as client:
        rows = send(client, inputs, lane, wait=wait, timeout=timeout, as_json=as_json, words=words)
    show_rows(rows, time.monotonic() - started, as_json=as_json)
    if wait and not all_done(rows):
        raise typer.Exit(UNFINISHED)


def named(sources: Sequence[str]) -> list[str]:
    """The files and URIs of the arguments; a missing file is wrong usage.

    Raises:
        NothingThere: there is none.
    """
    try:
        found = expand(sources, show.say)
    except FileNotFoundError as error:
        raise typer.BadParameter(str(error)) from error
    if not found:
        raise NothingThere(
            f"nothing to submit below {', '.join(sources)}: looked for files in all its folders, leaving out links and "
            "what is hidden (its name begins with a dot)"
        )
    return found


def send(
    client: Gateway,
    inputs: Sequence[str],
    lane: Lane,
    *,
    wait: bool,
    timeout: float | None,
    as_json: bool = False,
    words: Mapping[str, str] = NO_WORDS,
) -> list[ResultRow]:
    """Submit, and with ``wait`` follow.

    Raises:
        typer.Exit: with 130, Ctrl-C was pressed; how far it came is said, and the work goes on.
    """
    show.say(f"submitting {len(inputs)} input{'' if len(inputs) == 1 else 's'}")
    started = time.monotonic()
    rows: list[ResultRow] = []
    try:
        rows = register(client, inputs, lane, show.say, words)
        refresh(client, rows, since=time.monotonic() - started)
        if wait:
            with WaitLine() as line:
                follow(client, rows, seconds=timeout, notify=line.update)
    except KeyboardInterrupt as interrupt:
        _say_how_far(interrupt, rows, len(inputs))
        if as_json:
            show.document(result(rows, time.monotonic() - started))
        raise typer.Exit(INTERRUPTED) from None
    return rows


def _say_how_far(interrupt: KeyboardInterrupt, rows: Sequence[ResultRow], count: int) -> None:
    if not rows:
        sent = interrupt.sent if isinstance(interrupt, UploadInterrupted) else 0
        show.say(
            f"interrupted while sending: {sent} of {count} inputs are submitted, and the work on them goes on; "
            "repeat the command to send the rest"
        )
        return
    still = [row for row in rows if not row.ended]
    names = handles(row.study_id for row in rows if row.study_id)
    watch = f"; watch one of them with `{WATCH} {names[still[0].study_id]}`" if still and still[0].study_id else ""
    show.say(
        f"not waiting any longer; the work goes on: {len(rows) - len(still)} of {len(rows)} are done{watch}. "
        "The same command with --wait waits again, and does nothing twice"
    )


def show_rows(rows: Sequence[ResultRow], seconds: float, *, as_json: bool) -> None:
    """The document, or a line or two for each film."""
    if as_json:
        show.document(result(rows, seconds))
    else:
        show_films(rows)


def show_films(rows: Sequence[ResultRow]) -> None:
    """A line or two for each input, and what to know about the texts."""
    films = [row.film(name) for row, name in zip(rows, short_names([row.source for row in rows]), strict=True)]
    show.lines(film_lines(films, width(sys.stdout)))
    show.paragraph(counted(films))
    texts = [row for row in rows if row.summary]
    if texts:
        show.paragraph(NOTICE, style="bold")
    beyond = Counter(caveats.beyond(row.scope) for row in texts if Flag.OUT_OF_SCOPE in row.flags)
    for sentence, count in beyond.items():
        show.paragraph(f"{count} of {len(texts)} texts: {sentence}", style="bold")
    names = handles(row.study_id for row in rows if row.study_id)
    for row in texts:
        for sentence in caveats.quoted(row.consistency):
            show.paragraph(f"{names[row.study_id or '']}: {sentence}", style="bold")
