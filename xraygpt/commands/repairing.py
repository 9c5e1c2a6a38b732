"""``repair``: studies that older versions made of two patients are taken apart."""

import os
import subprocess
import sys
from typing import Annotated

import typer

from xraygpt.commands.options import AsJson
from xraygpt.connect import home
from xraygpt.stack.processes.child import die_with_parent
from xraygpt.stack.settings.home import running_stack

# Where stack.json has what our processes read from their environment.
_SETTINGS = (
    "database_url", "redis_url", "s3_endpoint_url", "s3_access_key", "s3_secret_key", "bucket", "derived_bucket",
    "hmac_key_file",
)  # fmt: skip


def repair(
    apply: Annotated[bool, typer.Option("--apply", help="Do it; without this it is only shown.")] = False,
    as_json: AsJson = False,
) -> None:
    """Take apart studies of two patients who share a StudyInstanceUID, as older versions made them."""
    stack = running_stack(home()) or {}
    known = {f"XRAYGPT_{name.upper()}": str(stack[name]) for name in _SETTINGS if stack.get(name)}
    command = [sys.executable, "-m", "workers.repair", *["--apply"] * apply, *["--json"] * as_json]
    done = subprocess.run(command, env=os.environ | known, check=False, preexec_fn=die_with_parent())
    raise typer.Exit(done.returncode)
