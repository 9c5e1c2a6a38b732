"""``facts``, ``relabel`` and ``seal``: what newer versions keep of films and texts is filled in for older ones."""

import subprocess
import sys

import typer

from xraygpt.commands.options import AsJson
from xraygpt.connect import home, process_environment
from xraygpt.stack.processes.child import die_with_parent
from xraygpt.stack.settings.home import running_stack


def facts(as_json: AsJson = False) -> None:
    """Read the day, the side and the pixel spacing of films that older versions accepted; may be repeated."""
    _run("workers.facts", as_json=as_json)


def relabel(as_json: AsJson = False) -> None:
    """Label the texts that older versions wrote, or that an older labeller read; may be repeated."""
    _run("workers.relabel", as_json=as_json)


def seal(as_json: AsJson = False) -> None:
    """Seal the hospital's numbers of films from before XRAYGPT_SEALED_NUMBERS was on; may be repeated."""
    _run("workers.seal", as_json=as_json)


def _run(module: str, *, as_json: bool) -> None:
    """Run a module of the workers with the stack's settings, and end as it ends."""
    command = [sys.executable, "-m", module, *["--json"] * as_json]
    environment = process_environment(running_stack(home()) or {})
    done = subprocess.run(command, env=environment, check=False, preexec_fn=die_with_parent())
    raise typer.Exit(done.returncode)
