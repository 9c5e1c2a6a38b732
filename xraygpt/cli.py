"""The command ``xraygpt``.

Exit codes: 0 done, 3 something ended dead, cancelled or unfinished, 2 wrong usage, 1 the rest.
"""

import sys
from importlib.metadata import version
from typing import Annotated

import typer

from xraygpt import show
from xraygpt.commands import (
    auditing,
    backlogs,
    bench,
    changing,
    demo,
    keys,
    models,
    reading,
    replaying,
    rotating,
    running,
    runs,
    submitting,
    training,
)
from xraygpt_core.errors import XrayGPTError

app = typer.Typer(
    name="xraygpt",
    no_args_is_help=True,
    add_completion=False,
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
    reading.query,
    changing.cancel,
    changing.resummarise,
    replaying.replay,
    changing.repair,
    rotating.rotate,
    training.train,
    runs.exclude,
    bench.bench,
):
    app.command()(command)
for job in (training.curate, training.evaluate):
    app.command(context_settings=training.PASS_ON)(job)
app.add_typer(changing.dead, name="dead")
app.add_typer(keys.keys, name="keys")
app.add_typer(models.models, name="models")
app.add_typer(runs.runs, name="runs")
app.add_typer(auditing.audit, name="audit")


def main() -> None:
    """Run the command line; what goes wrong is one sentence on stderr (and a document with ``--json``)."""
    try:
        app()
    except (XrayGPTError, OSError) as error:  # OSError: a file or folder of this machine, which it names
        show.say(f"xraygpt: {error}")
        if "--json" in sys.argv:
            show.document({"error": str(error)})
        sys.exit(1)
