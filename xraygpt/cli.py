"""The command ``xraygpt``.

Exit codes: 0 done, 1 refused, 2 wrong usage, 3 something ended dead, cancelled or unfinished, 130 interrupted.
"""

import io
import sys
from importlib.metadata import version
from typing import Annotated

import typer

from xraygpt import show
from xraygpt.client import GatewayError
from xraygpt.commands import (
    auditing,
    backlogs,
    bench,
    changing,
    comparing,
    demo,
    keys,
    listing,
    logs,
    models,
    querying,
    reading,
    refilling,
    replaying,
    reviewing,
    rotating,
    running,
    runs,
    submitting,
    top,
    training,
    watching,
)
from xraygpt.commands.examples import EXAMPLES, EXIT_CODES, show_examples
from xraygpt.commands.options import HelpfulGroup
from xraygpt_core.errors import XrayGPTError

NEXT_STEPS: dict[int | None, str] = {
    401: "XRAYGPT_API_KEY must hold a valid key: `xraygpt keys create` makes one",
    404: "`xraygpt find` leads from the hospital's number to a study, and its handle is the last 5 digits of its id",
}

app = typer.Typer(
    name="xraygpt",
    cls=HelpfulGroup,
    no_args_is_help=True,
    epilog=EXIT_CODES,
    pretty_exceptions_enable=False,
)


@app.callback(invoke_without_command=True)
def about(show_version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    """Chest X-rays in, draft summaries out."""
    if show_version:
        print(f"xraygpt {version('xraygpt')}")
        raise typer.Exit


for command in (
    demo.demo,
    running.up,
    running.down,
    running.status,
    running.doctor,
    submitting.submit,
    backlogs.backlog,
    reading.summary,
    reading.chat,
    reading.timeline,
    reading.find,
    changing.cancel,
    changing.resummarise,
    replaying.replay,
    comparing.compare,
    changing.repair,
    refilling.facts,
    refilling.relabel,
    refilling.seal,
    rotating.rotate,
    training.train,
    runs.exclude,
    bench.bench,
):
    app.command()(command)
for name, documented in (
    ("list", listing.list_studies),
    ("open", listing.open_study),
    ("query", querying.query),
    ("review", reviewing.review),
    ("purge", reviewing.purge),
    ("watch", watching.watch),
    ("top", top.top),
    ("logs", logs.logs),
):
    app.command(name)(documented)
for job in (training.curate, training.evaluate):
    app.command(context_settings=training.PASS_ON)(job)
app.add_typer(changing.dead, name="dead")
app.add_typer(keys.keys, name="keys")
app.add_typer(models.models, name="models")
app.add_typer(runs.runs, name="runs")
app.add_typer(auditing.audit, name="audit")


show_examples(app, EXAMPLES)


def main() -> None:
    """Run the command line; what goes wrong is one sentence on stderr (and a document with ``--json``)."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a letter that the terminal lacks ends no command
    try:
        app()
    except (XrayGPTError, OSError) as error:  # OSError: a file or folder of this machine, which it names
        show.say(f"xraygpt: {error}{_next_step(error)}")
        if "--json" in sys.argv:
            show.document({"error": str(error)})
        sys.exit(1)


def _next_step(error: Exception) -> str:
    """What to do about a refusal of the gateway, where its own sentence cannot know it."""
    status = error.status if isinstance(error, GatewayError) else None
    return f"; {NEXT_STEPS[status]}" if status in NEXT_STEPS else ""
