"""What the commands that make a bundle share: its name, its scope, and what they say of it in the end."""

import tomllib
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import typer

from xraygpt import show
from xraygpt_core.errors import BundleError
from xraygpt_core.model.bundle import Bundle
from xraygpt_core.scope import Scope, parse_scope

Name = Annotated[str, typer.Argument(help="A bundle's name.", metavar="NAME")]
Scoped = Annotated[
    Path | None, typer.Option("--scope", help="A TOML file with its scope; default: research, not validated.")
]


def made(bundle: Bundle, hint: str = "", *, as_json: bool, **more: Any) -> None:
    """Show a new bundle."""
    found = {"name": bundle.name, "path": str(bundle.path), "sha256": bundle.sha256, **more}
    show.answer(found, f"bundle {bundle.name} is in {bundle.path}{hint}", as_json=as_json)


def read_scope(path: Path) -> Scope:
    """The scope that a file declares.

    Raises:
        BundleError: it cannot be read, or declares no scope.
    """
    try:
        return parse_scope(tomllib.loads(path.read_text()))
    except (OSError, TypeError, ValueError) as error:
        raise BundleError(f"{path}: {error}") from error


def needs_torch() -> None:
    """Raise BundleError if the model's libraries are not installed."""
    if find_spec("torch") is None:
        raise BundleError(
            "this needs the model's libraries, which are not installed here: pip install 'xraygpt[model]'"
        )
