"""``logs``: what the processes of the one-machine stack wrote."""

import logging
import time
from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Annotated

import typer

from xraygpt.connect import home
from xraygpt.log_lines import LogFile, LogLine, last_lines, log_files
from xraygpt.moments import moment
from xraygpt_core.errors import NotFound
from xraygpt_core.exit_codes import INTERRUPTED

_POLL_SECONDS = 0.5
_MOST = 100_000  # lines that --since gives at most


class Level(StrEnum):
    """How bad a line is at least."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"
    CRITICAL = "critical"


Process = Annotated[str | None, typer.Argument(help="gateway, ingest, gpu, …; default: all of them.")]
Follow = Annotated[bool, typer.Option("--follow", "-f", help="Go on with what is written from now; Ctrl-C ends it.")]
Since = Annotated[str | None, typer.Option(help="From 2026-11-30T08:15 on, or from 15m, 2h, 7d ago.", metavar="WHEN")]
Lines = Annotated[int, typer.Option("--lines", "-n", help="How many of the last lines.", min=0, max=_MOST)]
Least = Annotated[Level, typer.Option("--level", help="Only lines of this level or a worse one.")]
Raw = Annotated[bool, typer.Option("--json", help="The lines as JSON, one object a line.")]


def logs(
    process: Process = None,
    follow: Follow = False,
    since: Since = None,
    lines: Lines = 50,
    level: Least = Level.DEBUG,
    as_json: Raw = False,
) -> None:
    """Show what the processes of the one-machine stack wrote last, in the order of time."""
    from_then = None if since is None else moment(since)
    folder = home().log("x").parent
    files = log_files(folder, process, logging.getLevelNamesMapping()[level.name])
    if not files:
        known = ", ".join(one.process for one in log_files(folder, None))
        raise NotFound(
            f"no process {process} has a log here; these have: {known}" if known else f"there are no logs in {folder}"
        )
    for line in last_lines(files, from_then, _MOST if from_then else lines):
        _show(line, as_json=as_json)
    if follow:
        try:
            _follow(files, from_then, as_json=as_json)
        except KeyboardInterrupt:
            raise typer.Exit(INTERRUPTED) from None


def _follow(files: Sequence[LogFile], since: datetime | None, *, as_json: bool) -> None:
    """Show each line as it is written, for ever."""
    while True:
        for line in sorted((line for file in files for line in file.grown()), key=lambda line: str(line.at or "")):
            if since is None or line.at is None or line.at >= since:
                _show(line, as_json=as_json)
        time.sleep(_POLL_SECONDS)


def _show(line: LogLine, *, as_json: bool) -> None:
    print(line.as_json() if as_json else line.as_text(), flush=True)
