"""``repair``: part the studies that earlier versions made of two patients."""

import subprocess
import sys
from typing import Annotated

import typer

from xraygpt.commands.options import AsJson
from xraygpt.connect import home, process_environment
from xraygpt.stack.processes.child import die_with_parent
from xraygpt.stack.settings.home import running_stack


def repair(
    apply: Annotated[bool, typer.Option("--apply", help="Do it; without this, only show it.")] = False,
    as_json: AsJson = False,
) -> None:
    """Part the studies that earlier versions made of two patients with one StudyInstanceUID."""
    stack = running_stack(home()) or {}
    command = [sys.executable, "-m", "workers.repair", *["--apply"] * apply, *["--json"] * as_json]
    done = subprocess.run(command, env=process_environment(stack), check=False, preexec_fn=die_with_parent())
    raise typer.Exit(done.returncode)
