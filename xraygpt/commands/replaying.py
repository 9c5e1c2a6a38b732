"""``replay``: compute a stored summary again on this machine, and compare."""

import difflib
import hashlib
from typing import Annotated, Any

import typer

from xraygpt import caveats, show
from xraygpt.client import Gateway
from xraygpt.commands.new_bundle import needs_torch
from xraygpt.commands.options import AsJson
from xraygpt.connect import gateway
from xraygpt.named_ids import summary_id
from xraygpt_core.errors import BundleError, Unavailable
from xraygpt_core.model.bundle import check as check_files
from xraygpt_core.model.server.bundle import AnyBundle, ServerBundle, load_any_bundle
from xraygpt_core.paths import models_dir
from xraygpt_core.states import ImageRole

DIFFERENT = 1


def replay(
    summary: Annotated[
        str,
        typer.Argument(help="A summary's id, or the last 5 or more digits of it or of its study's.", metavar="SUMMARY"),
    ],
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 …")] = "auto",
    as_json: AsJson = False,
) -> None:
    """Compute a stored summary again, with its bundle, image, prompt, seed and precision. Exit 0: identical; 1: not."""
    with gateway() as client:
        named = summary_id(client, summary)
        origin = client.get(f"/v1/summaries/{named}/origin")
        if origin["provenance"].keys() & {"clinical_sha256", "request_sha256"}:
            raise Unavailable(
                "this summary was made with the hospital's words about the film, which only a GPU worker opens: it "
                "cannot be computed again here"
            )
        pngs = _films(client, named, origin["provenance"])
    bundle = same_bundle(origin)
    needs_torch(bundle)
    if isinstance(bundle, ServerBundle) and bundle.why_never_the_same is not None:
        raise BundleError(bundle.why_never_the_same)
    from xraygpt_core.model.smoke_test import summarise_once

    then = origin["provenance"].get("software", {})
    made = summarise_once(bundle, pngs, device=device, dtype=then.get("dtype"))
    now = {"text": made.text, "prompt": made.prompt, "seed": made.seed, "software": made.software}
    found = compared(origin, now)
    if as_json:
        show.document(found)
    else:
        _print(found)
    if not found["identical"]:
        raise typer.Exit(DIFFERENT)


def _films(client: Gateway, summary: str, provenance: dict[str, Any]) -> dict[ImageRole, bytes]:
    """The films that the summary was made from."""
    pngs = {}
    for role, sha256 in (provenance.get("images") or {ImageRole.FRONTAL: provenance.get("image_sha256")}).items():
        query = "" if role == ImageRole.FRONTAL else f"?role={role}"
        pngs[ImageRole(role)] = png = client.download(f"/v1/summaries/{summary}/image.png{query}")
        if hashlib.sha256(png).hexdigest() != sha256:
            raise Unavailable("the image in the derived bucket is not the one that this summary was made from")
    return pngs


def same_bundle(origin: dict[str, Any]) -> AnyBundle:
    """The unchanged bundle of the summary.

    Raises:
        BundleError: it is not on this machine, or another bundle has its name.
    """
    bundle = load_any_bundle(models_dir(), origin["bundle"])
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
