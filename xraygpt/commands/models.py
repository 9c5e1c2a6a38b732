"""``models``: the bundles in the models directory, and which of them is served."""

import tomllib
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import typer

from xraygpt import show
from xraygpt.commands.options import AsJson
from xraygpt.connect import find_gateway, gateway
from xraygpt_core.errors import BundleError
from xraygpt_core.model.bundle import Bundle, bundles, load_bundle
from xraygpt_core.model.bundle import verify as verify_files
from xraygpt_core.model.compose import compose_bundle, quantise_bundle
from xraygpt_core.paths import models_dir
from xraygpt_core.scope import Scope, parse_scope

models = typer.Typer(help="Model bundles: fetch, import, inspect, serve.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="A bundle's name.", metavar="NAME")]
Scoped = Annotated[
    Path | None, typer.Option("--scope", help="A TOML file with its scope; default: research, not validated.")
]


@models.command()
def fetch(name: Annotated[str, typer.Argument(help="What to fetch: demo.")], as_json: AsJson = False) -> None:
    """Fetch a bundle, unless it is there already."""
    if name != "demo":
        raise typer.BadParameter("only the bundle demo can be fetched")
    from xraygpt_core.model.fetch import fetch_demo_bundle  # torch, only if it is needed

    bundle = fetch_demo_bundle(models_dir(), show.say)
    _made(bundle, as_json=as_json)


def _made(bundle: Bundle, hint: str = "", *, as_json: bool, **more: Any) -> None:
    """Show a new bundle."""
    found = {"name": bundle.name, "path": str(bundle.path), "sha256": bundle.sha256, **more}
    show.answer(found, f"bundle {bundle.name} is in {bundle.path}{hint}", as_json=as_json)


@models.command("import")
def import_parts(
    name: Name,
    encoder: Annotated[Path, typer.Option(help="Weights of the image encoder: a file or its folder.")],
    projector: Annotated[Path, typer.Option(help="A checkpoint with llama_proj or an MLP, or a projector of ours.")],
    llm: Annotated[Path, typer.Option(help="A Hugging Face LLaMA folder, or a GGUF file.")],
    template: Annotated[str, typer.Option(help="The prompt template.")] = "xraygpt-code",
    question: Annotated[str | None, typer.Option(help="The question about every film.")] = None,
    dtype: Annotated[str | None, typer.Option(help="float32, bfloat16 or float16; default: the device's own.")] = None,
    max_new_tokens: Annotated[int, typer.Option(help="Longest answer.", min=1, max=4096)] = 300,
    seed: Annotated[int | None, typer.Option(help="Draw the text, with this seed; default: greedy.", min=0)] = None,
    temperature: Annotated[float, typer.Option(help="Temperature of the draw.", min=0.01, max=10.0)] = 1.0,
    top_p: Annotated[float, typer.Option(help="Nucleus of the draw.", min=0.01, max=1.0)] = 0.9,
    scope: Scoped = None,
    as_json: AsJson = False,
) -> None:
    """Turn downloaded weights into a bundle. Nothing is executed, and nothing is left behind if it fails."""
    needs_torch()
    from xraygpt_core.model.importing.importer import ImportRequest, import_bundle

    given: dict[str, Any] = {} if question is None else {"question": question}
    given |= {} if scope is None else {"scope": read_scope(scope)}
    given |= {"template": template, "dtype": dtype, "max_new_tokens": max_new_tokens}
    wanted = ImportRequest(encoder, projector, llm, seed=seed, temperature=temperature, top_p=top_p, **given)
    with show.ProgressLine() as bar:
        bundle, parts = import_bundle(models_dir(), name, wanted, _in_mebibytes(bar))
    for part in parts:
        for line in part.lines():
            show.say(line)
    found = {part.part: part.document() for part in parts}
    _made(bundle, f"; try it with `xraygpt models verify {bundle.name}`", as_json=as_json, **found)


def _in_mebibytes(bar: show.ProgressLine) -> Callable[[int, int, str], None]:
    def update(done: int, total: int, words: str) -> None:
        bar.update(-(-done // 2**20), -(-total // 2**20), f"MiB {words}")

    return update


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
    _made(bundle, f": {bundle.scope.says}", as_json=as_json)


def read_scope(path: Path) -> Scope:
    """The scope that a file declares.

    Raises:
        BundleError: it cannot be read, or declares no scope.
    """
    try:
        return parse_scope(tomllib.loads(path.read_text()))
    except (OSError, TypeError, ValueError) as error:
        raise BundleError(f"{path}: {error}") from error


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
    _made(bundle, "; measure it: python -m training_jobs evaluate, models verify", as_json=as_json)


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


def needs_torch() -> None:
    """Raise BundleError if the model's libraries are not installed."""
    if find_spec("torch") is None:
        raise BundleError(
            "this needs the model's libraries, which are not installed here: pip install 'xraygpt[model]'"
        )


@models.command()
def promote(
    what: Annotated[str, typer.Argument(help="A finished training run, or a bundle.", metavar="RUN|NAME")],
    as_json: AsJson = False,
) -> None:
    """Serve the bundle of a training run, or a fetched or imported bundle."""
    with gateway() as client:
        if what in bundles(models_dir()):
            answer = client.post("/v1/bundles/serve", {"bundle": what})
        else:
            answer = client.post(f"/v1/training-runs/{what}/promote")
        _served(answer["bundle"], as_json=as_json)


@models.command()
def rollback(as_json: AsJson = False) -> None:
    """Serve the bundle that was served before."""
    with gateway() as client:
        _served(client.post("/v1/bundles/rollback")["bundle"], as_json=as_json)


def _served(name: str, *, as_json: bool) -> None:
    show.answer({"bundle": name}, f"{name} is served from now on", as_json=as_json)
