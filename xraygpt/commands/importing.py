"""``models import``: downloaded weights become a bundle, named part by part or found in a folder."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from xraygpt import show
from xraygpt.commands.new_bundle import Name, Scoped, Seed, Temperature, TopP, made, needs_torch, read_scope
from xraygpt.commands.options import AsJson
from xraygpt_core.paths import models_dir

if TYPE_CHECKING:
    from xraygpt_core.model.importing.importer import ImportRequest

RELEASE = "xraygpt"


def import_parts(
    name: Name,
    encoder: Annotated[Path | None, typer.Option(help="Weights of the image encoder: a file or its folder.")] = None,
    projector: Annotated[
        Path | None, typer.Option(help="A checkpoint with llama_proj or an MLP, or a projector of ours.")
    ] = None,
    llm: Annotated[Path | None, typer.Option(help="A Hugging Face LLaMA folder, or a GGUF file.")] = None,
    downloads: Annotated[
        Path | None, typer.Option("--from", help="The folder of the downloads, in which the parts are found.")
    ] = None,
    base: Annotated[
        Path | None, typer.Option(help="With --from: the LLaMA that a Vicuna delta or an adapter is added to.")
    ] = None,
    as_name: Annotated[str | None, typer.Option("--as", help="The bundle's name; default: NAME.")] = None,
    template: Annotated[
        str | None, typer.Option(help="The prompt template; default: the model's, or xraygpt-code.")
    ] = None,
    question: Annotated[str | None, typer.Option(help="The question about every film.")] = None,
    dtype: Annotated[str | None, typer.Option(help="float32, bfloat16 or float16; default: the device's own.")] = None,
    places: Annotated[
        bool, typer.Option("--places", help="Ask it where each finding is, where its template can (MAIRA-2).")
    ] = False,
    max_new_tokens: Annotated[
        int | None, typer.Option(help="Longest answer; default: 300, or 450 with --places.", min=1, max=4096)
    ] = None,
    seed: Seed = None,
    temperature: Temperature = 1.0,
    top_p: TopP = 0.9,
    scope: Scoped = None,
    as_json: AsJson = False,
) -> None:
    """Turn downloaded weights into a bundle. Nothing is executed, and nothing is left behind if it fails.

    In a folder of downloads it finds XrayGPT as its authors published it, MAIRA-2, Libra or LLaVA-Rad. Of the name
    xraygpt the folder is this one, unless another is given.
    """
    release = downloads is not None or (name == RELEASE and None in (encoder, projector, llm))
    if not release and (None in (encoder, projector, llm) or base):
        raise typer.BadParameter("give --from FOLDER, or --encoder, --projector and --llm")
    if places and question is not None:
        raise typer.BadParameter("--places asks its own question; leave out --question")
    needs_torch()
    from xraygpt_core.model.importing.importer import ANSWER_TOKENS, PLACES_TOKENS, ImportRequest, import_bundle
    from xraygpt_core.model.importing.source import read_source

    given: dict[str, Any] = {} if question is None else {"question": question}
    given |= {} if scope is None else {"scope": read_scope(scope)}
    given |= {} if template is None else {"template": template}
    given |= {"dtype": dtype, "max_new_tokens": max_new_tokens or (PLACES_TOKENS if places else ANSWER_TOKENS)}
    given |= {"places": places, "source": None if downloads is None else read_source(downloads)}
    given |= {"seed": seed, "temperature": temperature, "top_p": top_p}
    wanted = ImportRequest(encoder or Path(), projector or Path(), llm or Path(), **given)
    with show.ProgressLine() as bar:
        progress = in_mebibytes(bar)
        parts_of: AbstractContextManager[ImportRequest] = nullcontext(wanted)
        if release:
            paths = {"encoder": encoder, "projector": projector, "llm": llm, "base": base}
            parts_of = _released(downloads or Path(), paths, wanted, template, progress)
        with parts_of as request:
            bundle, parts = import_bundle(models_dir(), as_name or name, request, progress)
    for part in parts:
        for line in part.lines():
            show.say(line)
    found = {part.part: part.document() for part in parts}
    made(bundle, f"; try it with `xraygpt models verify {bundle.name}`", as_json=as_json, **found)


def _released(
    folder: Path,
    given: dict[str, Path | None],
    wanted: "ImportRequest",
    template: str | None,
    progress: Callable[[int, int, str], None],
) -> AbstractContextManager["ImportRequest"]:
    """The parts of the published model in a folder, each said and its hash checked."""
    from xraygpt_core.model.importing.release import check_downloads, choose, look, unpacked

    chosen = choose(look(folder), given, template)
    for line in chosen.lines():
        show.say(line)
    for line in check_downloads(chosen, lambda file: progress(0, 1, f"hashing {file}")).lines():
        show.say(line)
    return unpacked(chosen, wanted, models_dir(), progress)


def in_mebibytes(bar: show.ProgressLine) -> Callable[[int, int, str], None]:
    """A progress of bytes, as a bar of mebibytes."""

    def update(done: int, total: int, words: str) -> None:
        bar.update(-(-done // 2**20), -(-total // 2**20), f"MiB {words}")

    return update
