"""``models``: the bundles in the models directory, and which of them is served."""

from pathlib import Path
from typing import Annotated, Any

import typer

from xraygpt import show
from xraygpt.commands import fetching
from xraygpt.commands.composing import compose
from xraygpt.commands.evidence import evidence_for
from xraygpt.commands.importing import import_parts
from xraygpt.commands.model_servers import add_server
from xraygpt.commands.new_bundle import Name, made, needs_torch, read_scope, tried
from xraygpt.commands.options import AsJson, HelpfulGroup
from xraygpt.comparison_lines import show_comparison
from xraygpt.connect import find_gateway, gateway
from xraygpt.named_ids import run_id
from xraygpt_core.errors import BundleError
from xraygpt_core.model.bundle import Bundle, bundles, load_bundle
from xraygpt_core.model.bundle import verify as verify_files
from xraygpt_core.model.compose import compose_bundle, quantise_bundle
from xraygpt_core.model.server.bundle import AnyBundle, ServerBundle, declared_anew, load_any_bundle
from xraygpt_core.paths import models_dir

models = typer.Typer(help="Model bundles: fetch, import, inspect, serve.", cls=HelpfulGroup, no_args_is_help=True)


models.command("fetch")(fetching.fetch)
models.command("catalogue")(fetching.catalogue)
models.command("import")(import_parts)
models.command("compose")(compose)
models.command("add-server")(add_server)


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
            bundle = load_any_bundle(models_dir(), name)
        except BundleError as error:
            found: dict[str, Any] = dict.fromkeys(("sha256", "served_by", "made_for", "scope")) | {
                "problem": str(error)
            }
        else:
            declared = bundle.scope.document() | {"validated_on": bundle.scope.figures()}
            found = {"sha256": bundle.sha256, "served_by": _where(bundle), "made_for": bundle.scope.made_for}
            found |= {"scope": declared, "problem": None}
        rows.append({"name": name, "served": name == served} | found)
    columns = ("name", "sha256", "served", "by", "made for", "says", "problem")
    show.listing({"models": str(models_dir()), "bundles": rows}, columns, map(_listed, rows), as_json=as_json)


def _listed(row: dict[str, Any]) -> list[Any]:
    scope = row["scope"] or {"says": None}
    first = [row["name"], (row["sha256"] or "")[:12], row["served"], row["served_by"], row["made_for"]]
    return [*first, scope["says"], row["problem"]]


def _where(bundle: AnyBundle) -> str:
    """What makes its texts: the engine, vLLM, or a server's address."""
    return bundle.server.url if isinstance(bundle, ServerBundle) else bundle.served_by


@models.command()
def declare(
    name: Name,
    scope: Annotated[Path, typer.Argument(help="A TOML file: made_for, says, card, [[validated_on]].")],
    as_name: Annotated[str, typer.Option("--as", help="The new bundle's name.")],
    as_json: AsJson = False,
) -> None:
    """Copy a bundle under a new name, with a declaration of what it was made for and measured on."""
    base, declared = load_any_bundle(models_dir(), name), read_scope(scope)
    bundle: AnyBundle
    if isinstance(base, ServerBundle):
        bundle = declared_anew(base, models_dir(), as_name, declared)
    else:
        bundle = compose_bundle(base, models_dir(), as_name, projector=None, adapter=None, scope=declared)
    made(bundle, f": {bundle.scope.says}", as_json=as_json)


@models.command()
def verify(
    name: Name,
    hashes_only: Annotated[bool, typer.Option("--hashes-only", help="Do not run an image.")] = False,
    as_json: AsJson = False,
) -> None:
    """Check the hash of every file of a bundle; then let it, or its server, summarise one synthetic film."""
    bundle = load_any_bundle(models_dir(), name)
    verify_files(bundle)
    show.say(f"bundle {bundle.name}: {len(bundle.files)} files are unchanged")
    found: dict[str, Any] = {"name": bundle.name, "sha256": bundle.sha256, "ok": True, "summary": None}
    found["scope"] = bundle.scope.document()
    if not hashes_only and not (isinstance(bundle, Bundle) and bundle.projector is None):
        found |= tried(bundle)
    if as_json:
        show.document(found)
    elif found["summary"] is not None:
        show.say(f"one synthetic film in {found['seconds']} s ({found['where']}):")
        show.paragraph(found["summary"])
        show.paragraph(bundle.scope.says)


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
        typer.Argument(
            help="A finished training run (its id, or its last 5 or more digits), or a bundle.", metavar="RUN|NAME"
        ),
    ],
    because: Annotated[
        str | None,
        typer.Option(help="The comparison that speaks for it; the audit keeps its id.", metavar="COMPARISON"),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Serve the bundle of a training run, or a fetched or imported bundle."""
    with gateway() as client:
        if because is not None:
            found = evidence_for(client, what, because)
            answer = client.post("/v1/bundles/serve", {"bundle": what, "because": found["comparison"]["comparison_id"]})
            if as_json:
                show.document({**answer, "evidence": found})
                return
            show_comparison(found)
        elif what in bundles(models_dir()):
            _check_servable(load_any_bundle(models_dir(), what))
            answer = client.post("/v1/bundles/serve", {"bundle": what})
        else:
            answer = client.post(f"/v1/training-runs/{run_id(client, what)}/promote")
        _served(answer["bundle"], as_json=as_json)


def _check_servable(bundle: AnyBundle) -> None:
    """Every GPU worker would leave the bundle that it has, and start in vain."""
    if isinstance(bundle, Bundle) and bundle.projector is None:
        raise BundleError(
            f"bundle {bundle.name!r} has no projector, so no worker could serve it: train one with `xraygpt train "
            f"stage1 --local --base {bundle.name} --set projector.kind=MlpProjector`"
        )


@models.command()
def rollback(as_json: AsJson = False) -> None:
    """Serve the bundle that was served before."""
    with gateway() as client:
        _served(client.post("/v1/bundles/rollback")["bundle"], as_json=as_json)


def _served(name: str, *, as_json: bool) -> None:
    show.answer({"bundle": name}, f"{name} is served from now on", as_json=as_json)
