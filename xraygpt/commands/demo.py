"""``demo``: the whole system on films of your own, or on drawn ones."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Annotated, Any

import typer

from xraygpt import show
from xraygpt.caveats import on_films
from xraygpt.client import Gateway
from xraygpt.commands.options import AsJson, Timeout
from xraygpt.commands.running import where_next
from xraygpt.commands.submitting import named, send, show_rows
from xraygpt.connect import home
from xraygpt.stack.launch import start, stop
from xraygpt.stack.processes.child import StackError
from xraygpt.stack.settings.home import running_stack
from xraygpt.submit import all_done
from xraygpt_core.errors import BundleError
from xraygpt_core.exit_codes import UNFINISHED
from xraygpt_core.model.bundle import load_bundle
from xraygpt_core.paths import models_dir
from xraygpt_core.states import Lane

Paths = Annotated[list[str] | None, typer.Argument(help="Files or folders; default: drawn films.", metavar="[PATH]…")]


def demo(paths: Paths = None, timeout: Timeout = None, as_json: AsJson = False) -> None:
    """Run the whole system on X-rays and show what becomes of them."""
    inputs = named(paths) if paths else None
    fetch_bundle()
    with stack_for_now() as stack, Gateway(stack["gateway_url"], stack["api_key"]) as client:
        if inputs is None:
            from xraygpt.phantom_inputs import write_inputs  # numpy and pydicom, only if they are needed

            show.say("drawing films")
            inputs = write_inputs(home().root / "phantoms")
        started = time.monotonic()
        rows = send(client, inputs, Lane.ROUTINE, wait=True, timeout=timeout, as_json=as_json)
        show_rows(rows, time.monotonic() - started, as_json=as_json)
        if not as_json:
            scope = load_bundle(models_dir(), "demo").scope
            show.paragraph(scope.says)
            show.fields(where_next(stack), title="Where to look next (after xraygpt up)")
            if (line := on_films(scope)) is not None:
                show.paragraph(line)
    if not all_done(rows):
        raise typer.Exit(UNFINISHED)


def fetch_bundle() -> None:
    """Fetch the demo bundle unless it is there and declares its scope.

    A child process fetches it, so that torch's memory is free again afterwards.

    Raises:
        StackError: the fetch failed; the child printed why.
    """
    with suppress(BundleError):
        if load_bundle(models_dir(), "demo").scope.made_for is not None:
            return
    command = [sys.executable, "-m", "xraygpt", "models", "fetch", "demo"]
    if subprocess.run(command, stdout=sys.stderr, check=False).returncode:
        raise StackError("the demo bundle cannot be fetched")


@contextmanager
def stack_for_now() -> Iterator[dict[str, Any]]:
    """The running stack, or a new one that is stopped at the end, at the latest with this process."""
    if (running := running_stack(home())) is not None:
        yield running
        return
    stack = start(home(), show.say, tied=True)
    try:
        yield stack
    finally:
        show.say("stopping the stack; `xraygpt up` leaves it running, and goes on with what is open")
        stop(home())
