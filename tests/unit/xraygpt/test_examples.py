"""Each command has an example in its help, and what an example says can be typed."""

import shlex

import pytest
import typer

from xraygpt.cli import app
from xraygpt.commands.examples import EXAMPLES, EXIT_CODES, commands_of

COMMANDS = dict(commands_of(app))
ROOT = typer.main.get_command(app)


def test_every_command_has_an_example_and_no_example_is_of_something_else() -> None:
    assert set(EXAMPLES) == set(COMMANDS)


@pytest.mark.parametrize("path", sorted(EXAMPLES))
def test_an_example_calls_its_command_and_parses(path: str) -> None:
    program, *arguments = shlex.split(EXAMPLES[path])
    assert program == "xraygpt"
    assert arguments[: len(path.split())] == path.split()
    command, context = ROOT, ROOT.make_context("xraygpt", [*arguments])
    while (rest := [*context._protected_args, *context.args]) and hasattr(command, "resolve_command"):
        name, command, rest = command.resolve_command(context, rest)
        context = command.make_context(name, rest, parent=context)
    assert context.command_path == f"xraygpt {path}"


def test_help_shows_example_and_exit_codes() -> None:
    for path, command in COMMANDS.items():
        assert command.epilog == f"Example: {EXAMPLES[path]}\n\n{EXIT_CODES}"
    assert app.info.epilog == EXIT_CODES
