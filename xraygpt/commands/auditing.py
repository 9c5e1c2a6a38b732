"""``audit``: verify and export the record of all reads and acts."""

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from xraygpt import show
from xraygpt.client import GatewayError
from xraygpt.commands.options import AsJson, HelpfulGroup
from xraygpt.connect import gateway
from xraygpt.moments import moment
from xraygpt_core.exit_codes import UNFINISHED
from xraygpt_core.ledger.audit.chain import ChainHead, ChainProblem, read_head
from xraygpt_core.ledger.audit.export import checked_lines

audit = typer.Typer(help="The record of all reads and acts.", cls=HelpfulGroup, no_args_is_help=True)

SHOWN_ROWS = 20  # ids in a line for people
SHOWN_PROBLEMS = 100

AHead = Annotated[str | None, typer.Option("--head", help="POSITION:DIGEST that you kept: it must lie on the chain.")]
ABase = Annotated[str | None, typer.Option("--base", help="POSITION:DIGEST that was verified: begin behind it.")]


@audit.command("verify")
def verify(
    head: AHead = None,
    base: ABase = None,
    file: Annotated[
        Path | None, typer.Option("--file", help="An export, checked on this machine; - is stdin.", allow_dash=True)
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Verify the chain, or name what is wrong with it. Exit 0: it holds; 3: it does not."""
    seen, begin = (None if one is None else read_head(one) for one in (head, base))
    found = _here(file, begin, seen) if file else _there(begin, seen)
    with show.Spool("problems") as problems, show.ProgressLine() as progress:
        verdict = _watch(found, problems, progress, quiet=as_json)
        if as_json:
            problems.write(verdict)
    if not as_json:
        so = "the chain holds" if verdict["ok"] else "THE CHAIN DOES NOT HOLD"
        show.paragraph(f"{so}: {verdict['rows']} rows in {verdict['seals']} seals, head {verdict['head']}")
    if not verdict["ok"]:
        raise typer.Exit(UNFINISHED)


@audit.command("export")
def export(
    after: Annotated[int, typer.Option("--after", help="The seal at which the last export ended.", min=0)] = 0,
    since: Annotated[str | None, typer.Option("--since", help="Sealed from this time on (ISO 8601).")] = None,
    until: Annotated[str | None, typer.Option("--until", help="Sealed before this time (ISO 8601).")] = None,
    as_json: AsJson = False,
) -> None:
    """Write lines of JSON: each seal, then its rows. `audit verify --file` checks them."""
    begin, end = (None if one is None else moment(one).isoformat() for one in (since, until))
    seals = rows = 0
    last = after
    with gateway() as client, show.Spool("lines") as spool:
        for line in client.lines("/v1/audit", after=after, since=begin, until=end):
            if "seal" in line.document:
                seals, last = seals + 1, line.document["seal"]
            else:
                rows += 1
            if as_json:
                spool.add(line.document)
            else:
                sys.stdout.buffer.write(line.text.encode() + b"\n")
        if as_json:
            spool.write({"seals": seals, "rows": rows, "last": last})
    sys.stdout.flush()
    show.say(f"{rows} rows in {seals} seals; next time: --after {last}")


def _there(base: ChainHead | None, seen: ChainHead | None) -> Iterator[dict[str, Any]]:
    query = {"head": None if seen is None else str(seen), "base": None if base is None else str(base)}
    with gateway() as client:
        for line in client.lines("/v1/audit/verify", **query):
            yield line.document


def _here(file: Path, base: ChainHead | None, seen: ChainHead | None) -> Iterator[dict[str, Any]]:
    with open(0 if str(file) == "-" else file, encoding="utf-8", errors="surrogateescape", newline="\n") as lines:
        for one in checked_lines(lines, base=base, seen=seen):
            yield one.document() if isinstance(one, ChainProblem) else vars(one) | {"head": str(one.head)}


def _watch(
    found: Iterable[dict[str, Any]], problems: show.Spool, progress: show.ProgressLine, *, quiet: bool
) -> dict[str, Any]:
    """The verdict. Problems go into ``problems``, and without ``quiet`` also to the screen.

    Raises:
        GatewayError: the check broke off before its end.
    """
    count = 0
    for one in found:
        if "ok" in one:
            return one
        if "problem" in one:
            problems.add(one)
            count += 1
            if not quiet and count <= SHOWN_PROBLEMS:
                show.paragraph(_sentence(one), style="bold")
            elif not quiet and count == SHOWN_PROBLEMS + 1:
                show.paragraph("…")
        else:
            progress.update(one["position"], one["last"], "seals")
    raise GatewayError("the check broke off before its end")


def _sentence(problem: dict[str, Any]) -> str:
    rows = problem["rows"]
    more = f" and {len(rows) - SHOWN_ROWS} more" if len(rows) > SHOWN_ROWS else ""
    which = f": {', '.join(map(str, rows[:SHOWN_ROWS]))}{more}" if rows else ""
    return f"{problem['problem']}: {problem['says']}{which}"
