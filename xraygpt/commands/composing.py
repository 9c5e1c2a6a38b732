"""``models compose``: a bundle of what was trained on this machine, without a stack."""

import json
from pathlib import Path
from typing import Annotated

import typer

from xraygpt.commands.new_bundle import made, needs_torch
from xraygpt.commands.options import AsJson
from xraygpt_core.errors import BundleError
from xraygpt_core.model.bundle import load_bundle
from xraygpt_core.model.compose import compose_bundle
from xraygpt_core.paths import models_dir


def compose(
    out: Annotated[Path, typer.Argument(help="The --out of a local training that is done.", metavar="OUT")],
    as_name: Annotated[str, typer.Option("--as", help="The new bundle's name.")],
    base: Annotated[str | None, typer.Option(help="What it was trained from; default: what its result names.")] = None,
    as_json: AsJson = False,
) -> None:
    """Make a bundle of the result of `train --local`, with the bundle it was trained from."""
    needs_torch()
    result = out / "result" if (out / "result").is_dir() else out
    try:
        told = json.loads((result / "result.json").read_text())
        name, sha256 = base or str(told["base"]), told["base_sha256"]
    except (OSError, ValueError, KeyError, TypeError):
        raise BundleError(f"{out} holds no result: name the folder that `train --local` printed as `out`") from None
    bundle = load_bundle(models_dir(), name)
    if bundle.sha256 != sha256:
        raise BundleError(f"{out} was trained from another bundle than {name} is now: name it with --base")
    parts = {part: path for part in ("adapter", "llm") if (path := result / part).is_dir()}
    projector = path if (path := result / "projector.safetensors").is_file() else None
    composed = compose_bundle(
        bundle, models_dir(), as_name, projector=projector, adapter=parts.get("adapter"), llm=parts.get("llm")
    )
    made(
        composed, f"; `xraygpt models verify {as_name}` tries it, `models promote {as_name}` serves it", as_json=as_json
    )
