"""The command ``xraygpt``.

Exit codes: 0 done, 3 something ended dead, cancelled or unfinished, 2 wrong usage, 1 the rest.
"""

import sys

import typer

from xraygpt import show
from xraygpt.commands import backlogs, bench, changing, demo, models, reading, replaying, running, submitting, training
from xraygpt_core.errors import XrayGPTError

app = typer.Typer(
    name="xraygpt",
    help="Chest X-rays in, draft summaries out.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
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
    training.train,
    bench.bench,
):
    app.command()(command)
for job in (training.curate, training.evaluate):
    app.command(context_settings=training.PASS_ON)(job)
app.add_typer(changing.dead, name="dead")
app.add_typer(models.models, name="models")


def main() -> None:
    """Run the command line; an error of ours is one sentence on stderr (and a document with ``--json``)."""
    try:
        app()
    except XrayGPTError as error:
        show.say(f"xraygpt: {error}")
        if "--json" in sys.argv:
            show.document({"error": str(error)})
        sys.exit(1)
