"""``compare``: two bundles side by side on this system's own films, computed on this machine."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Annotated, Any

import typer

from xraygpt import show
from xraygpt.client import Gateway
from xraygpt.commands.listing import Worklist
from xraygpt.commands.new_bundle import needs_torch
from xraygpt.commands.options import AsJson
from xraygpt.comparison_lines import show_comparison
from xraygpt.connect import clinical_opener, gateway, setting
from xraygpt.interrupted import goes_on
from xraygpt.moments import moment
from xraygpt.named_ids import SHORTEST, comparison_id
from xraygpt.shadow_inputs import has_words
from xraygpt.shadow_texts import write_texts
from xraygpt_core.errors import ConfigurationError, XrayGPTError
from xraygpt_core.model.bundle import check as check_files
from xraygpt_core.model.server.bundle import AnyBundle, load_any_bundle
from xraygpt_core.paths import models_dir
from xraygpt_core.states import NOTICE

if TYPE_CHECKING:
    from xraygpt_core.clinical_sealing import ClinicalOpener

ONE = ("lane", "bundle", "reviewer")  # of these a study has one
MANY = ("state", "review", "finding", "uncertain", "view", "flag")
MOMENTS = {"since": "received_from", "until": "received_until"}
DAYS = {"taken_since": "acquired_from", "taken_until": "acquired_until"}
CONDITIONS = (*ONE, *MANY, *MOMENTS, *DAYS)
_COLUMNS = ("comparison", "first", "second", "studies", "open", "failed", "begun", "by")

Target = Annotated[
    list[str],
    typer.Argument(help="Two bundles of this machine, or what to show.", metavar="BUNDLE BUNDLE|list|show ID"),
]
Where = Annotated[
    list[str] | None,
    typer.Option(help=f"{', '.join(CONDITIONS[:-1])} or {CONDITIONS[-1]} = VALUE; repeat it.", metavar="NAME=VALUE"),
]
Which = Annotated[Worklist, typer.Option("--list", help="signed: studies with a reviewed text; awaiting: without one.")]


def compare(
    target: Target,
    where: Where = None,
    which: Which = Worklist.ALL,
    limit: Annotated[int, typer.Option(help="How many studies at most, the newest first.", min=1, max=1000)] = 50,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 …")] = "auto",
    batch_size: Annotated[int, typer.Option(help="Films at once.", min=1, max=512)] = 16,
    texts: Annotated[bool, typer.Option("--texts", help="With show: both texts of each study, too.")] = False,
    as_json: AsJson = False,
) -> None:
    """Let two bundles write about the same films, and set their texts side by side; no reader sees these.

    The same command goes on with what is left of a comparison.
    """
    if target == ["list"]:
        _list(as_json=as_json)
        return
    if len(target) != 2:
        raise typer.BadParameter("write two bundles, list, or show with an ID")
    with gateway() as client:
        if target[0] == "show":
            _show(client, comparison_id(client, target[1]), texts=texts, as_json=as_json)
            return
        bundles = [_unchanged(name) for name in target]
        begun = client.post("/v1/comparisons", _question(bundles, which, where or (), limit))
        named, again = begun["comparison_id"], "goes on" if begun["goes_on"] else "begins"
        show.say(f"comparison {named[-SHORTEST:]} {again}: {' and '.join(target)} on {begun['studies']} studies")
        says = f"comparison {named[-SHORTEST:]}: every text that was written is kept; the same command goes on"
        with goes_on(lambda: says, (lambda: {"comparison_id": named}) if as_json else None):
            _write(client, begun, bundles, device, batch_size)
        _show(client, named, texts=texts, as_json=as_json)


def _unchanged(name: str) -> AnyBundle:
    """The bundle of this name, with the files that it says.

    Raises:
        BundleError: it is not on this machine, a file changed, or what it needs is not installed.
    """
    bundle = load_any_bundle(models_dir(), name)
    needs_torch(bundle)
    check_files(bundle)
    return bundle


def _question(bundles: Sequence[AnyBundle], which: Worklist, where: Sequence[str], limit: int) -> dict[str, Any]:
    """What is asked. "7 days ago" is another moment each time, so it is known again by how it was typed."""
    typed = json.dumps([which.value, sorted(where), limit])
    first, second = (
        {"name": one.name, "sha256": one.sha256, "images": list(one.images), "clinical": one.reads_clinical}
        for one in bundles
    )
    return {
        "first": first,
        "second": second,
        "where": {"list": which.value, **conditions(where)},
        "limit": limit,
        "asked": hashlib.sha256(typed.encode()).hexdigest(),
    }


def conditions(pairs: Sequence[str]) -> dict[str, Any]:
    """``NAME=VALUE`` pairs as filters of POST /v1/studies/search; anything else is wrong usage."""
    found: dict[str, Any] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not (equals and value) or name not in CONDITIONS:
            raise typer.BadParameter(f"{pair!r} is no condition: write NAME=VALUE with {', '.join(CONDITIONS)}")
        if name in MANY:
            found.setdefault(name, []).append(value)
            continue
        field = (MOMENTS | DAYS).get(name, name)
        if field in found:
            raise typer.BadParameter(f"{name} can be given once")
        found[field] = moment(value).isoformat() if name in MOMENTS else value
    return found


def _write(
    client: Gateway, begun: Mapping[str, Any], bundles: Sequence[AnyBundle], device: str, batch_size: int
) -> None:
    """Load one bundle after the other, and let each write what is open of it. Raises: see :func:`_opener`."""
    from xraygpt_core.model.opening import open_backend

    total, vllm = 2 * begun["studies"], {name: setting(name) for name in ("vllm_url", "vllm_key")}
    done = total - len(begun["open"])
    opener = _opener(begun)
    with show.ProgressLine() as progress:
        for bundle in bundles:
            films = [one for one in begun["open"] if one["bundle_sha256"] == bundle.sha256]
            if not films:
                continue
            progress.update(done, total, f"{bundle.name} is loaded")

            def moved(name: str = bundle.name) -> None:
                nonlocal done
                done += 1
                progress.update(done, total, name)

            try:
                with closing(open_backend(bundle, device=device, batch_size=batch_size, **vllm)) as backend:
                    write_texts(
                        client,
                        begun["comparison_id"],
                        films,
                        backend,
                        ahead=_ahead(batch_size),
                        moved=moved,
                        opener=opener,
                    )
            except XrayGPTError:
                show.say("every text that was written is kept; the same command goes on")
                raise


def _opener(begun: Mapping[str, Any]) -> "ClinicalOpener | None":
    """What opens the words about the films; None where no text is written with any.

    Raises:
        ConfigurationError: some are, and this machine has no key that opens them.
    """
    with_words = sum(map(has_words, begun["open"]))
    opener = clinical_opener() if with_words else None
    if with_words and opener is None:
        raise ConfigurationError(
            f"{with_words} of the texts are written with what was known of the film, as in service, and this machine "
            "has no key of the clinical text: set XRAYGPT_CLINICAL_KEY_FILE, or run the command where the models are "
            "served"
        )
    return opener


def _ahead(batch_size: int) -> int:
    """Films with the backend at once: as many again are decoded while a batch is written, but for one by one."""
    return 1 if batch_size == 1 else 2 * batch_size


def _list(*, as_json: bool) -> None:
    with gateway() as client:
        found = client.get("/v1/comparisons")
    show.listing(found, _COLUMNS, map(_listed, found["comparisons"]), as_json=as_json)


def _listed(one: Mapping[str, Any]) -> list[Any]:
    counts = [one[name] for name in ("studies", "open", "failed")]
    begun = str(one["begun_at"])[:16].replace("T", " ")
    return [
        one["comparison_id"][-SHORTEST:],
        one["first"]["name"],
        one["second"]["name"],
        *counts,
        begun,
        one["begun_by"],
    ]


def _show(client: Gateway, named: str, *, texts: bool, as_json: bool) -> None:
    found = client.get(f"/v1/comparisons/{named}")
    if texts:
        found["drafts"] = _drafts(client, named)
    if as_json:
        show.document(found)
        return
    show_comparison(found)
    for one in found.get("drafts", ()):
        show.paragraph(f"{one['study_id'][-SHORTEST:]}  {one['bundle']}", style="bold")
        show.paragraph(one["text"] or f"{one['state']}: {one['reason'] or 'still to be written'}")
    if texts:
        show.paragraph(NOTICE, style="bold")


def _drafts(client: Gateway, named: str) -> list[dict[str, Any]]:
    """Both texts of every study, page by page."""
    found: list[dict[str, Any]] = []
    while True:
        after = found[-1]["study_id"] if found else None
        page = client.get(f"/v1/comparisons/{named}/drafts", after=after)["drafts"]
        if not page:
            return found
        found += page
