"""``models fetch`` and ``models catalogue``: what others published, by one command each, under their licences."""

import shutil
import tomllib
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from xraygpt import show
from xraygpt.commands.importing import import_parts, in_mebibytes
from xraygpt.commands.model_servers import KeyEnv
from xraygpt.commands.new_bundle import made, needs_torch, tried
from xraygpt.commands.options import AsJson
from xraygpt.interrupted import goes_on
from xraygpt_core.errors import BundleError
from xraygpt_core.model.bundle import FILE, load_bundle
from xraygpt_core.model.catalogue.entries import JUDGES, Entry, Kind, read_catalogue
from xraygpt_core.model.catalogue.memory import check_memory, device_memory, gigabytes
from xraygpt_core.model.catalogue.serving import URL, about_key, make_server_bundle, start_command
from xraygpt_core.model.templates import template_named
from xraygpt_core.paths import models_dir

DOWNLOADS = ".downloads"
Catalogue = Annotated[
    Path | None, typer.Option(help="A catalogue of your own, of the shape of xraygpt_core/model/catalogue/models.toml.")
]

Places = Annotated[
    bool, typer.Option("--places", help="Ask it where each finding is: boxes on the film (MAIRA-2, 450 tokens).")
]
Revision = Annotated[
    str | None, typer.Option(help="The commit, of a model of which the catalogue names none: as an earlier fetch said.")
]


def fetch(
    name: Annotated[str, typer.Argument(help="demo, or a name of `xraygpt models catalogue`.")],
    as_name: Annotated[str | None, typer.Option("--as", help="The bundle's name; default: NAME.")] = None,
    accept_licence: Annotated[
        bool, typer.Option("--accept-licence", help="You have read its licences, and accept them.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Even if this machine has too little memory for it.")] = False,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the downloads beside the bundle.")] = False,
    url: Annotated[str, typer.Option(help="Of a model for a chat server: the server's address.")] = URL,
    api_key_env: KeyEnv = None,
    places: Places = False,
    revision: Revision = None,
    catalogue: Catalogue = None,
    as_json: AsJson = False,
) -> None:
    """Fetch the demo bundle, or a published model: download, check, import, try. What is here already stays.

    Stopped half-way it exits with 130, and the same command goes on from there.
    """
    if name == "demo":
        _fetch_demo(as_json=as_json)
        return
    entries = read_catalogue(catalogue)
    if name not in entries:
        raise typer.BadParameter(f"{name!r} is none of demo, {', '.join(entries)}")
    entry = entries[name] if revision is None else entries[name].at(revision)
    if places:
        _check_places(entry)
    named = _checked(as_name or entry.name)
    if _is_here(entry, named):
        _say_it_is_here(entry, named, places=places, revision=revision, as_json=as_json)
        return
    _check_licences(entry, accepted=accept_licence)
    if entry.kind is Kind.SERVER:
        _serve(entry, named, url, api_key_env, as_json=as_json)
        return
    needs_torch()
    if not force:
        check_memory(entry.title, entry.memory, device_memory())
    _bring(entry, named, places=places, keep=keep, as_json=as_json)


def _check_places(entry: Entry) -> None:
    if entry.template is None or not template_named(entry.template).grounded:
        raise BundleError(f"--places is for a model that says where its findings are; {entry.title} does not")


def _say_it_is_here(entry: Entry, named: str, *, places: bool, revision: str | None, as_json: bool) -> None:
    """What is here is what is wanted, or else a bundle with another question, or of another commit."""
    there = _place(entry, named)
    tables = tomllib.loads((there / FILE).read_text()) if (there / FILE).is_file() else {}
    wrong = None
    if places and tables["prompt"]["question"] != template_named(entry.template or "").grounded:
        wrong = "is not asked for places"
    if revision is not None and revision not in {one["commit"] for one in _commits(tables)}:
        wrong = f"was not made of commit {revision}"
    if wrong is not None:
        raise BundleError(f"bundle {named!r} is here already, in {there}, and {wrong}: name another one with --as")
    found = {"name": named, "kind": entry.kind, "path": str(there)}
    show.answer(found, f"{entry.title} is here already, in {there}", as_json=as_json)


def _commits(tables: Mapping[str, Any] | None) -> list[dict[str, str]]:
    """Repositories and their commits in the table ``[source]`` of a bundle, as far as it has one."""
    listed = ((tables or {}).get("source") or {"repositories": []})["repositories"]
    return [{"repo": one["repo"], "commit": one["commit"]} for one in listed]


def _bring(entry: Entry, named: str, *, places: bool, keep: bool, as_json: bool) -> None:
    from xraygpt_core.model.importing.source import read_source

    make = partial(_make_bundle, places=places) if entry.kind is Kind.ENGINE else _MAKERS[entry.kind]
    folder = models_dir() / DOWNLOADS / entry.name
    with goes_on(lambda: f"stopped; what was downloaded is kept in {folder}, and the same command goes on from there"):
        _download(entry, folder)
        sentence = make(entry, named, folder)
    found: dict[str, Any] = {"name": named, "kind": entry.kind, "path": str(_place(entry, named))}
    found["source"] = _commits({"source": read_source(folder)})
    if not keep:
        shutil.rmtree(folder)
    if entry.kind is not Kind.JUDGE:
        found["sha256"] = load_bundle(models_dir(), named).sha256
    if entry.kind is Kind.ENGINE:
        found |= _tried(named, as_json=as_json)
    show.answer(found, sentence, as_json=as_json)


def _place(entry: Entry, named: str) -> Path:
    return models_dir() / (JUDGES if entry.kind is Kind.JUDGE else "") / named


def _is_here(entry: Entry, named: str) -> bool:
    return (_place(entry, named) / ("config.json" if entry.kind is Kind.JUDGE else FILE)).is_file()


def _checked(name: str) -> str:
    """A name that leads nowhere else."""
    if name != Path(name).name or name.startswith("."):
        raise BundleError(f"{name!r} is no bundle name")
    return name


def _fetch_demo(*, as_json: bool) -> None:
    from xraygpt_core.model.fetch import fetch_demo_bundle  # torch, only if it is needed

    made(fetch_demo_bundle(models_dir(), show.say), as_json=as_json)


def _check_licences(entry: Entry, *, accepted: bool) -> None:
    licences = "; ".join(f"{licence.name} ({licence.url})" for licence in entry.licences)
    if not accepted:
        raise BundleError(f"{entry.title} is under {licences}: read that, and accept it with --accept-licence")
    show.say(f"{entry.title} is under {licences}, which you accept")


def _download(entry: Entry, folder: Path) -> None:
    from xraygpt_core.model.catalogue.download import download

    with show.ProgressLine() as bar:
        download(entry, folder, in_mebibytes(bar), show.say)
    for one in (one for one in entry.repositories if not one.is_pinned):
        show.say(f"the catalogue names no commit of {one.repo}: --revision with the one above fetches the same again")


def _make_bundle(entry: Entry, named: str, folder: Path, *, places: bool) -> str:  # noqa: ARG001  # its files say it
    """Through `models import NAME --from FOLDER`."""
    import_parts(named, downloads=folder, places=places)
    return f"`xraygpt models promote {named}` serves it"


def _make_base(entry: Entry, named: str, folder: Path) -> str:
    from xraygpt_core.model.importing.without_projector import import_base

    encoder, llm = (folder / one.folder for one in entry.repositories)
    prompt = (entry.template or "", entry.question or "")
    with show.ProgressLine() as bar:
        bundle, parts = import_base(models_dir(), named, (encoder, llm), prompt, in_mebibytes(bar))
    for line in (line for part in parts for line in part.lines()):
        show.say(line)
    goes_on_with = f"xraygpt train stage1 --local --base {named} --set projector.kind=MlpProjector"
    return f"bundle {named} is in {bundle.path}, without projector; `{goes_on_with}` trains one"


def _make_judge(entry: Entry, named: str, folder: Path) -> str:
    from xraygpt_core.model.importing.without_projector import import_judge

    path = _place(entry, named)
    with show.ProgressLine() as bar:
        part = import_judge(folder / entry.repositories[0].folder, path, in_mebibytes(bar))
    for line in part.lines():
        show.say(line)
    command = f"python -m training_jobs judge {entry.name} --llm {path} --texts FILE --out FOLDER"
    return f"{entry.title} is in {path}; `{command}` judges with it"


def _tried(named: str, *, as_json: bool) -> dict[str, Any]:
    found = tried(load_bundle(models_dir(), named))
    if not as_json:
        show.say(f"one synthetic film in {found['seconds']} s ({found['dtype']} on {found['device']}):")
        show.paragraph(found["summary"])
    return found


def _serve(entry: Entry, named: str, url: str, key: str | None, *, as_json: bool) -> None:
    """Nothing is downloaded here: the server does that, on its own machine."""
    bundle = make_server_bundle(models_dir(), named, entry, url, key)
    url = bundle.server.url
    start = start_command(entry, url)
    show.say(f"start its server on a machine with a GPU of {gigabytes(entry.memory.total)} or more:")
    show.say(f"    {start}")
    if key is not None:
        show.say(about_key(url, key))
    if entry.gated:
        show.say("it is gated: accept its licence on its page first, and set HF_TOKEN for the server")
    found = {"name": named, "kind": entry.kind, "path": str(bundle.path), "sha256": bundle.sha256, "start": start}
    hint = f"`xraygpt models verify {named}` tries it, `models promote {named}` serves it"
    show.answer(found, f"bundle {named} asks {url}; once the server is up, {hint}", as_json=as_json)


_MAKERS: dict[Kind, Callable[[Entry, str, Path], str]] = {
    Kind.BASE: _make_base,
    Kind.JUDGE: _make_judge,
}


def catalogue(file: Catalogue = None, as_json: AsJson = False) -> None:
    """List the published models that can be fetched: size, memory, licence."""
    rows = [one.document() | {"here": _is_here(one, one.name)} for one in read_catalogue(file).values()]
    columns = ("name", "what it is", "download", "memory", "gated", "licence", "here")
    show.listing({"models": str(models_dir()), "entries": rows}, columns, map(_listed, rows), as_json=as_json)


def _listed(row: dict[str, Any]) -> list[Any]:
    licences = ", ".join(licence["name"] for licence in row["licences"])
    download = "by its server" if row["kind"] == Kind.SERVER else gigabytes(row["download_bytes"])
    what = f"{row['title']} ({row['kind']})"
    return [row["name"], what, download, gigabytes(row["memory_bytes"]), row["gated"], licences, row["here"]]
