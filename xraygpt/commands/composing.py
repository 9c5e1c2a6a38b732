"""``models compose``: a bundle of what was trained on this machine, without a stack."""

import json
from pathlib import Path
from typing import Annotated

import typer

from xraygpt.commands.new_bundle import made, needs_torch
from xraygpt.commands.options import AsJson
from xraygpt_core.errors import BundleError
from xraygpt_core.model.bundle import Bundle, load_bundle
from xraygpt_core.model.compose import ENCODER_FILE, compose_bundle
from xraygpt_core.paths import models_dir

Out = Annotated[
    Path | None, typer.Argument(help="The --out of a local training that is done; without it, --base.", metavar="[OUT]")
]
Encoder = Annotated[
    Path | None, typer.Option(help="Other encoder weights (safetensors): whole, or a delta to those of the base.")
]


def compose(
    as_name: Annotated[str, typer.Option("--as", help="The new bundle's name.")],
    out: Out = None,
    base: Annotated[str | None, typer.Option(help="What it was trained from; default: what its result names.")] = None,
    encoder: Encoder = None,
    as_json: AsJson = False,
) -> None:
    """Make a bundle of the result of `train --local`, of another encoder, or of both, with the bundle it began from."""
    needs_torch()
    if out is not None:
        result = out / "result" if (out / "result").is_dir() else out
        bundle, (projector, adapter, llm) = _trained_from(result, base), _parts(result)
        tuned = result / ENCODER_FILE
        encoder = tuned if encoder is None and tuned.is_file() else encoder
    elif base is not None and encoder is not None:
        bundle, (projector, adapter, llm) = load_bundle(models_dir(), base), (None, None, None)
    else:
        raise typer.BadParameter("name OUT, or both --base and --encoder")
    composed = compose_bundle(
        bundle, models_dir(), as_name, projector=projector, adapter=adapter, llm=llm, encoder=encoder
    )
    made(composed, _what_now(composed), as_json=as_json)


def _what_now(bundle: Bundle) -> str:
    if bundle.projector is None:
        lacks = "projector" if bundle.chest_check else "projector and chest check"
        return f", without {lacks}; `xraygpt train stage1 --local --base {bundle.name}` goes on from it"
    return f"; `xraygpt models verify {bundle.name}` tries it, `models promote {bundle.name}` serves it"


def _parts(result: Path) -> tuple[Path | None, Path | None, Path | None]:
    """Projector, adapter and LLM that a training left, as far as there are such."""
    projector, adapter, llm = result / "projector.safetensors", result / "adapter", result / "llm"
    return (
        projector if projector.is_file() else None,
        adapter if adapter.is_dir() else None,
        llm if llm.is_dir() else None,
    )


def _trained_from(result: Path, base: str | None) -> Bundle:
    """The bundle that a result names, or the one called ``base`` if that is the same."""
    try:
        noted = json.loads((result / "result.json").read_text())
        name, sha256 = base or str(noted["base"]), noted["base_sha256"]
    except (OSError, ValueError, KeyError, TypeError):
        raise BundleError(f"{result} holds no result: name the folder that `train --local` printed as `out`") from None
    bundle = load_bundle(models_dir(), name)
    if bundle.sha256 != sha256:
        raise BundleError(f"{result} was trained from another bundle than {name} is now: name it with --base")
    return bundle
