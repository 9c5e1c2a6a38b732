"""What the commands that make a bundle share: its name, its scope, how it draws, and what they say of it in the end."""

import tomllib
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import typer

from xraygpt import show
from xraygpt_core.errors import BundleError
from xraygpt_core.model.bundle import Bundle
from xraygpt_core.model.server.bundle import AnyBundle, ServerBundle
from xraygpt_core.scope import Scope, parse_scope

Name = Annotated[str, typer.Argument(help="A bundle's name.", metavar="NAME")]
Scoped = Annotated[
    Path | None, typer.Option("--scope", help="A TOML file with its scope; default: research, not validated.")
]

Seed = Annotated[int | None, typer.Option(help="Draw the text, with this seed; default: greedy.", min=0)]
Temperature = Annotated[float, typer.Option(help="Temperature of the draw.", min=0.01, max=10.0)]
TopP = Annotated[float, typer.Option(help="Nucleus of the draw.", min=0.01, max=1.0)]


def made(bundle: AnyBundle, hint: str = "", *, as_json: bool, **more: Any) -> None:
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


def needs_torch(bundle: AnyBundle | None = None) -> None:
    """Raise BundleError if the model's libraries are not installed, unless a server has the bundle's model."""
    if bundle is not None and not isinstance(bundle, Bundle):
        return
    if find_spec("torch") is None:
        raise BundleError(
            "this needs the model's libraries, which are not installed here: pip install 'xraygpt[model]'"
        )


def tried(bundle: AnyBundle) -> dict[str, Any]:
    """What a bundle writes about one synthetic film, and where."""
    needs_torch(bundle)
    from xraygpt_core.model.smoke_test import phantom_png, summarise_once

    done = summarise_once(bundle, phantom_png())
    software = {key: done.software.get(key) for key in ("device", "dtype")}
    where = bundle.server.url if isinstance(bundle, ServerBundle) else f"{software['dtype']} on {software['device']}"
    found = {"summary": done.text, "tokens": done.tokens, "seconds": round(done.generate_seconds, 2)}
    return found | software | {"where": where}
