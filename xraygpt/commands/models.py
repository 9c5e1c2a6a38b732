"""``models``: the bundles in the models directory, and which of them is served."""

from typing import Annotated

import typer

from xraygpt import show
from xraygpt.commands.options import AsJson
from xraygpt.connect import find_gateway, gateway
from xraygpt_core.errors import BundleError
from xraygpt_core.model.bundle import bundles, load_bundle
from xraygpt_core.model.bundle import verify as verify_files
from xraygpt_core.settings import models_dir

models = typer.Typer(help="Model bundles: fetch, look at, serve.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="A bundle's name.", metavar="NAME")]


@models.command()
def fetch(name: Annotated[str, typer.Argument(help="What to fetch: demo.")], as_json: AsJson = False) -> None:
    """Fetch a bundle; what is there already is not fetched again."""
    if name != "demo":
        raise typer.BadParameter("only the bundle demo can be fetched")
    from xraygpt_core.model.fetch import fetch_demo_bundle  # torch, only where it is needed

    bundle = fetch_demo_bundle(models_dir(), show.say)
    if as_json:
        show.document({"name": bundle.name, "path": str(bundle.path), "sha256": bundle.sha256})
    else:
        show.say(f"bundle {bundle.name} is in {bundle.path}")


@models.command("list")
def list_bundles(as_json: AsJson = False) -> None:
    """List the bundles of this machine, and which is served."""
    served = None
    if (client := find_gateway()) is not None:
        with client:
            served = client.get("/v1/status")["served"]["name"]
    rows = []
    for name in bundles(models_dir()):
        try:
            bundle = load_bundle(models_dir(), name)
        except BundleError as error:
            rows.append({"name": name, "sha256": None, "served": name == served, "problem": str(error)})
        else:
            rows.append({"name": name, "sha256": bundle.sha256, "served": name == served, "problem": None})
    if as_json:
        show.document({"models": str(models_dir()), "bundles": rows})
    else:
        columns = ("name", "sha256", "served", "problem")
        show.table(columns, ([row[column] for column in columns] for row in rows))


@models.command()
def verify(name: Name, as_json: AsJson = False) -> None:
    """Hash every file of a bundle and compare."""
    bundle = load_bundle(models_dir(), name)
    verify_files(bundle)
    if as_json:
        show.document({"name": bundle.name, "sha256": bundle.sha256, "ok": True})
    else:
        show.say(f"bundle {bundle.name}: {len(bundle.files)} files are as they should be")


@models.command()
def promote(
    run: Annotated[str, typer.Argument(help="A finished training run.", metavar="RUN")], as_json: AsJson = False
) -> None:
    """Serve what a training run made."""
    with gateway() as client:
        _served(client.post(f"/v1/training-runs/{run}/promote")["bundle"], as_json=as_json)


@models.command()
def rollback(as_json: AsJson = False) -> None:
    """Serve the bundle that was served before."""
    with gateway() as client:
        _served(client.post("/v1/bundles/rollback")["bundle"], as_json=as_json)


def _served(name: str, *, as_json: bool) -> None:
    if as_json:
        show.document({"bundle": name})
    else:
        show.say(f"{name} is served from now on")
