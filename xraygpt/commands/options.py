"""Options that several commands share."""

import sys
from typing import Annotated

import typer

from xraygpt_core.states import Lane

AsJson = Annotated[bool, typer.Option("--json", help="One JSON document on stdout; logs and progress on stderr.")]
InLane = Annotated[Lane, typer.Option("--lane", help="How urgent it is.")]
Wait = Annotated[bool, typer.Option("--wait", help="Wait until everything has ended.")]
Timeout = Annotated[float | None, typer.Option("--timeout", help="Seconds to wait at most; then exit with 3.", min=0)]
Study = Annotated[str, typer.Argument(help="A study's id.", metavar="STUDY")]


def hidden_argument(value: str) -> str:
    """The value of an argument; for `-`, a line of standard input, which no list of processes shows."""
    return sys.stdin.readline().rstrip("\r\n") if value == "-" else value
