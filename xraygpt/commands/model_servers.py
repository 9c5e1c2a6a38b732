"""``models add-server``: a bundle whose model a chat server has, tried on one synthetic film before it is made."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import typer

from xraygpt import show
from xraygpt.commands.new_bundle import Name, Scoped, Seed, Temperature, TopP, made, read_scope
from xraygpt.commands.options import AsJson
from xraygpt_core.model.backend import Generated
from xraygpt_core.model.catalogue.serving import with_path
from xraygpt_core.model.server.bundle import KEY_VARIABLE, write_server_bundle
from xraygpt_core.model.server.thinking import THINKING
from xraygpt_core.paths import models_dir
from xraygpt_core.scope import MadeFor, Scope, scope_table

QUESTION = "Describe the findings and the impression of this chest X-ray."
_RESEARCH = Scope(MadeFor.RESEARCH, "A published model that was not validated on films of this hospital.")

Url = Annotated[str, typer.Option(help="The server's OpenAI-compatible address, such as http://127.0.0.1:8000/v1.")]
Model = Annotated[str, typer.Option(help="The model's name there.")]
KeyEnv = Annotated[
    str | None, typer.Option(help=f"The variable that holds its key: {KEY_VARIABLE}, or {KEY_VARIABLE}_… for another.")
]
Images = Annotated[
    list[str] | None, typer.Option("--image", help="Films to send: frontal, lateral, prior; default: frontal alone.")
]
Clinical = Annotated[
    list[str] | None, typer.Option(help="What goes with them: indication, technique, comparison, prior_report.")
]
Think = Annotated[
    str | None, typer.Option(metavar="BEGIN END", help="The marks around its thinking, such as '<think> </think>'.")
]
Answer = Annotated[str | None, typer.Option(help="boxed or tagged, if only that is its answer; default: all of it.")]


def add_server(
    name: Name,
    url: Url,
    model: Model,
    api_key_env: KeyEnv = None,
    question: Annotated[str, typer.Option(help="The question about every film.")] = QUESTION,
    system: Annotated[str | None, typer.Option(help="The system message.")] = None,
    images: Images = None,
    clinical: Clinical = None,
    image_format: Annotated[str, typer.Option(help="png or jpeg.")] = "png",
    image_size: Annotated[int | None, typer.Option(help="Longer side in pixels; default: as stored.")] = None,
    think: Think = None,
    answer: Answer = None,
    seeds: Annotated[bool, typer.Option(help="Whether it takes a seed.")] = True,
    pin: Annotated[bool, typer.Option(help="Whether it must keep the fingerprint that it states now.")] = True,
    timeout: Annotated[float, typer.Option(help="Seconds of its silence before a study is handed back.")] = 60.0,
    max_new_tokens: Annotated[int, typer.Option(help="Longest answer.", min=1, max=32768)] = 512,
    seed: Seed = None,
    temperature: Temperature = 1.0,
    top_p: TopP = 0.9,
    scope: Scoped = None,
    as_json: AsJson = False,
) -> None:
    """Make a bundle of a model on a chat server that takes images. Once the bundle is served, films are sent there.

    The server must run: it gets one synthetic film, and what it says of itself is kept in the bundle.
    """
    from xraygpt_core.model.smoke_test import try_server  # draws, only if it is needed

    server: dict[str, Any] = {
        "url": with_path(url),
        "model": model,
        "api_key_env": api_key_env,
        "image_format": image_format,
        "image_size": image_size,
        "system": system,
        "think": None if think is None else think.split(),
        "answer": answer,
        "seeds": seeds,
        "timeout": timeout,
    }
    tables = {
        "server": server,
        "prompt": {"question": question, "images": images or ["frontal"], "clinical": clinical or None},
        "decoding": {"max_new_tokens": max_new_tokens} | _draw(seed, temperature, top_p),
        "scope": scope_table(_RESEARCH if scope is None else read_scope(scope)),
    }
    with TemporaryDirectory(prefix="xraygpt-server-") as temporary:
        tried, server["expects"] = try_server(write_server_bundle(Path(temporary), name, tables), pin=pin)
    bundle = write_server_bundle(models_dir(), name, tables)
    show.say(f"one synthetic film in {tried.generate_seconds:.2f} s:")
    if not as_json:
        show.paragraph(tried.text)
    if (found_thinking := _thinking(tried, named=think is not None)) is not None:
        show.say(found_thinking)
    found = {"server": bundle.server.url, "model": model, "summary": tried.text, "expects": server["expects"]}
    made(bundle, f"; `xraygpt models promote {name}` sends films to {bundle.server.url}", as_json=as_json, **found)


def _thinking(tried: Generated, *, named: bool) -> str | None:
    """One sentence on what the model thought before its answer; None if it thought nothing."""
    if tried.reasoning is None:
        return None
    marks = tried.software.get(THINKING)
    where = f"between {marks.replace(' ', ' and ')} in its text" if marks else "apart from its answer"
    said = f"it thought first ({len(tried.reasoning)} letters, {where}), which is kept and is no part of the text"
    if marks is None or named:
        return said
    return f"{said}; with --think '{marks}' no page shows a word before its thinking has ended"


def _draw(seed: int | None, temperature: float, top_p: float) -> dict[str, Any]:
    if seed is None:
        return {"do_sample": False}
    return {"do_sample": True, "seed": seed, "temperature": temperature, "top_p": top_p}
