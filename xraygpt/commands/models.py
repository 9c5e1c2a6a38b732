"""``models``: the bundles in the models directory, and which of them is served."""

from pathlib import Path
from typing import Annotated, Any

import typer

from xraygpt import show
from xraygpt.commands.composing import compose
from xraygpt.commands.importing import import_parts
from xraygpt.commands.new_bundle import Name, made, needs_torch, read_scope
from xraygpt.commands.options import AsJson
from xraygpt.commands.runs import find_run
from xraygpt.connect import find_gateway, gateway
from xraygpt_core.errors import BundleError
from xraygpt_core.model.bundle import Bundle, bundles, load_bundle
from xraygpt_core.model.bundle import verify as verify_files
from xraygpt_core.model.compose import compose_bundle, quantise_bundle
from xraygpt_core.paths import models_dir

models = typer.Typer(help="Model bundles: fetch, import, inspect, serve.", no_args_is_help=True)


@models.command()
def fetch(name: Annotated[str, typer.Argument(help="What to fetch: demo.")], as_json: AsJson = False) -> None:
    """Fetch a bundle, unless it is there already."""
    if name != "demo":
        raise typer.BadParameter("only the bundle demo can be fetched")
    from xraygpt_core.model.fetch import fetch_demo_bundle  # torch, only if it is needed

    bundle = fetch_demo_bundle(models_dir(), show.say)
    made(bundle, as_json=as_json)


models.command("import")(import_parts)
models.command("compose")(compose)


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
            found: dict[str, Any] = {"sha256": None, "made_for": None, "scope": None, "problem": str(error)}
        else:
            declared = bundle.scope.document() | {"validated_on": bundle.scope.figures()}
            found = {"sha256": bundle.sha256, "made_for": bundle.scope.made_for, "scope": declared, "problem": None}
        rows.append({"name": name, "served": name == served} | found)
    columns = ("name", "sha256", "served", "made for", "says", "problem")
    show.listing({"models": str(models_dir()), "bundles": rows}, columns, map(_listed, rows), as_json=as_json)


def _listed(row: dict[str, Any]) -> list[Any]:
    scope = row["scope"] or {"says": None}
    return [row["name"], (row["sha256"] or "")[:12], row["served"], row["made_for"], scope["says"], row["problem"]]


@models.command()
def declare(
    name: Name,
    scope: Annotated[Path, typer.Argument(help="A TOML file: made_for, says, card, [[validated_on]].")],
    as_name: Annotated[str, typer.Option("--as", help="The new bundle's name.")],
    as_json: AsJson = False,
) -> None:
    """Copy a bundle under a new name, with a declaration of what it was made for and measured on."""
    base = load_bundle(models_dir(), name)
    bundle = compose_bundle(base, models_dir(), as_name, projector=None, adapter=None, scope=read_scope(scope))
    made(bundle, f": {bundle.scope.says}", as_json=as_json)


@models.command()
def verify(
    name: Name,
    hashes_only: Annotated[bool, typer.Option("--hashes-only", help="Do not run an image.")] = False,
    as_json: AsJson = False,
) -> None:
    """Check the hash of every file of a bundle; then let it summarise one synthetic film."""
    bundle = load_bundle(models_dir(), name)
    verify_files(bundle)
    show.say(f"bundle {bundle.name}: {len(bundle.files)} files are unchanged")
    found: dict[str, Any] = {"name": bundle.name, "sha256": bundle.sha256, "ok": True, "summary": None}
    found["scope"] = bundle.scope.document()
    if not hashes_only and bundle.projector is not None:
        found |= _tried(bundle)
    if as_json:
        show.document(found)
    elif found["summary"] is not None:
        show.say(f"one synthetic film in {found['seconds']} s ({found['dtype']} on {found['device']}):")
        show.paragraph(found["summary"])
        show.paragraph(bundle.scope.says)


def _tried(bundle: Bundle) -> dict[str, Any]:
    needs_torch()
    from xraygpt_core.model.smoke_test import phantom_png, summarise_once

    made = summarise_once(bundle, phantom_png())
    software = {key: made.software[key] for key in ("device", "dtype")}
    return {"summary": made.text, "tokens": made.tokens, "seconds": round(made.generate_seconds, 2), **software}


@models.command()
def quantise(
    name: Name,
    weights: Annotated[str, typer.Argument(help="int8 (CPUs with VNNI) or fp8 (Hopper GPUs).")],
    as_name: Annotated[str | None, typer.Option("--as", help="The new bundle's name; default: NAME-int8.")] = None,
    as_json: AsJson = False,
) -> None:
    """Make a bundle with eight bits a weight in its language model, under a name of its own."""
    if weights not in ("int8", "fp8"):
        raise typer.BadParameter(f"{weights!r} is neither int8 nor fp8")
    bundle = quantise_bundle(load_bundle(models_dir(), name), models_dir(), as_name or f"{name}-{weights}", weights)
    made(bundle, "; measure it: python -m training_jobs evaluate, models verify", as_json=as_json)


@models.command("export-llm")
def export_llm(
    name: Name,
    folder: Annotated[Path, typer.Argument(help="Where to write it: a new or an empty folder.")],
    dtype: Annotated[str, typer.Option(help="float32, bfloat16 or float16.")] = "bfloat16",
) -> None:
    """Write a bundle's language model, with its adapter merged in, as the folder for a vLLM server."""
    needs_torch()
    from xraygpt_core.model.vllm.export import export_llm as write

    write(load_bundle(models_dir(), name), folder, dtype)
    show.say(f"the language model of {name} is in {folder}")


@models.command()
def promote(
    what: Annotated[
        str,
        typer.Argument(help="A finished training run (its id, or its last letters), or a bundle.", metavar="RUN|NAME"),
    ],
    as_json: AsJson = False,
) -> None:
    """Serve the bundle of a training run, or a fetched or imported bundle."""
    with gateway() as client:
        if what in bundles(models_dir()):
            answer = client.post("/v1/bundles/serve", {"bundle": what})
        else:
            answer = client.post(f"/v1/training-runs/{find_run(client, what)}/promote")
        _served(answer["bundle"], as_json=as_json)


@models.command()
def rollback(as_json: AsJson = False) -> None:
    """Serve the bundle that was served before."""
    with gateway() as client:
        _served(client.post("/v1/bundles/rollback")["bundle"], as_json=as_json)


def _served(name: str, *, as_json: bool) -> None:
    show.answer({"bundle": name}, f"{name} is served from now on", as_json=as_json)
