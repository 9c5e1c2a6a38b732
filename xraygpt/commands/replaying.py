"""``replay``: compute a stored summary again on this machine, and compare."""

import difflib
import hashlib
from typing import Annotated, Any

import typer

from xraygpt import caveats, show
from xraygpt.commands.new_bundle import needs_torch
from xraygpt.commands.options import AsJson
from xraygpt.connect import gateway
from xraygpt_core.errors import BundleError, Unavailable
from xraygpt_core.model.bundle import Bundle, load_bundle
from xraygpt_core.model.bundle import check as check_files
from xraygpt_core.paths import models_dir

DIFFERENT = 1


def replay(
    summary: Annotated[str, typer.Argument(help="A summary's id.", metavar="SUMMARY")],
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 …")] = "auto",
    as_json: AsJson = False,
) -> None:
    """Compute a stored summary again, with its bundle, image, prompt, seed and precision. Exit 0: identical; 1: not."""
    needs_torch()
    with gateway() as client:
        origin = client.get(f"/v1/summaries/{summary}/origin")
        png = client.download(f"/v1/summaries/{summary}/image.png")
    if hashlib.sha256(png).hexdigest() != origin["provenance"].get("image_sha256"):
        raise Unavailable("the image in the derived bucket is not the one that this summary was made from")
    bundle = same_bundle(origin)
    from xraygpt_core.model.smoke_test import summarise_once

    then = origin["provenance"].get("software", {})
    made = summarise_once(bundle, png, device=device, dtype=then.get("dtype"))
    now = {"text": made.text, "prompt": made.prompt, "seed": made.seed, "software": made.software}
    found = compared(origin, now)
    if as_json:
        show.document(found)
    else:
        _print(found)
    if not found["identical"]:
        raise typer.Exit(DIFFERENT)


def same_bundle(origin: dict[str, Any]) -> Bundle:
    """The unchanged bundle of the summary.

    Raises:
        BundleError: it is not on this machine, or another bundle has its name.
    """
    bundle = load_bundle(models_dir(), origin["bundle"])
    if bundle.sha256 != origin["bundle_sha256"]:
        raise BundleError(
            f"bundle {bundle.name!r} on this machine ({bundle.sha256[:12]}) is not the one this summary was made with "
            f"({origin['bundle_sha256'][:12]})"
        )
    check_files(bundle)
    return bundle


def compared(origin: dict[str, Any], now: dict[str, Any]) -> dict[str, Any]:
    """The differences between the stored and the new text, and between their software."""
    provenance = origin["provenance"]
    then = {name: provenance.get(name) for name in ("prompt", "seed")} | provenance.get("software", {})
    today = {"prompt": now["prompt"], "seed": now["seed"]} | now["software"]
    changed = {
        name: [then.get(name), today.get(name)] for name in {**then, **today} if then.get(name) != today.get(name)
    }
    return {
        "summary_id": origin["summary_id"],
        "identical": now["text"] == origin["text"],
        "bundle": origin["bundle"],
        "bundle_sha256": origin["bundle_sha256"],
        "stored": origin["text"],
        "text": now["text"],
        "flags": origin["flags"],
        "scope": origin["scope"],
        "consistency": origin["consistency"],
        "difference": word_difference(origin["text"], now["text"]),
        "changed": changed,
    }


def word_difference(then: str, now: str) -> list[str]:
    """Removed (``- word``) and added words (``+ word``), in order; empty for equal texts."""
    lines = difflib.ndiff(then.split(" "), now.split(" "))
    return [line for line in lines if line.startswith(("- ", "+ "))] if then != now else []


def _print(found: dict[str, Any]) -> None:
    if found["identical"]:
        show.paragraph(f"identical: bundle {found['bundle']} gives the same text today")
    else:
        show.paragraph("different:", style="bold")
        show.fields({"then": found["stored"], "now": found["text"]})
        for line in found["difference"]:
            show.paragraph(line)
    for name, (before, after) in found["changed"].items():
        show.paragraph(f"{name} was {before}, is {after}")
    for sentence in caveats.below(found):
        show.paragraph(sentence, style="bold")
