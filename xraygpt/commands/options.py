"""Options that several commands share."""

import sys
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from xraygpt_core.states import Lane

AsJson = Annotated[bool, typer.Option("--json", help="One JSON document on stdout; logs and progress on stderr.")]
InLane = Annotated[Lane, typer.Option("--lane", help="How urgent it is.")]
Wait = Annotated[bool, typer.Option("--wait", help="Wait until everything has ended.")]
Timeout = Annotated[float | None, typer.Option("--timeout", help="Seconds to wait at most; then exit with 3.", min=0)]
Study = Annotated[str, typer.Argument(help="A study's id, or its last 5 or more digits.", metavar="STUDY")]


class HelpfulGroup(TyperGroup):
    """Commands of which none was named: that shows their help, and is no wrong usage."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if not args and self.no_args_is_help and not ctx.resilient_parsing:  # the shell only completes
            if help_text := ctx.get_help():  # with rich it is printed already
                print(help_text)
            ctx.exit(0)
        return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        """What is wrong with a value is said without the name of Python's class for it."""
        try:
            return super().invoke(ctx)
        except typer.BadParameter as error:
            error.message = error.message.removeprefix("Value error, ")
            raise


def hidden_argument(value: str) -> str:
    """The value of an argument; for `-`, a line of standard input, which no list of processes shows."""
    return sys.stdin.readline().rstrip("\r\n") if value == "-" else value
