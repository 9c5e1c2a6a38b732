"""``bench``: measure the figures that our pages quote, on this machine."""

import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from xraygpt.commands.options import AsJson
from xraygpt.stack.processes.child import die_with_parent
from xraygpt_core.errors import ConfigurationError

SOURCE = Path(__file__).parents[2]


def bench(
    name: Annotated[str, typer.Argument(help="What to measure: a module of benchmarks/.")],
    full: Annotated[bool, typer.Option("--full", help="Also the sizes that take longer than 15 minutes.")] = False,
    as_json: AsJson = False,
) -> None:
    """Run a benchmark. It starts the services that it needs, and stops them again."""
    options = (["--full"] if full else []) + (["--json"] if as_json else [])
    done = subprocess.run(
        [sys.executable, "-m", f"benchmarks.{module(name, SOURCE / 'benchmarks')}", *options],
        cwd=SOURCE,
        preexec_fn=die_with_parent(),
        check=False,
    )
    raise typer.Exit(done.returncode)


def module(name: str, folder: Path) -> str:
    """The benchmark of this name.

    Raises:
        typer.BadParameter: there is none. ConfigurationError: benchmarks come with the source tree only.
    """
    if not folder.is_dir():
        raise ConfigurationError("benchmarks are part of the source tree, not of an installation: run it from there")
    runnable = sorted(path.stem for path in folder.glob("*.py") if '__name__ == "__main__"' in path.read_text())
    if name not in runnable:
        raise typer.BadParameter(f"there is no benchmark {name!r}; there are: {', '.join(runnable)}")
    return name
