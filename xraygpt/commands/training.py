"""``train``, ``curate``, ``evaluate``: training jobs, through the queue or as a child process of this command."""

import json
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from xraygpt import show
from xraygpt.client import Gateway
from xraygpt.commands.options import AsJson, Timeout, Wait
from xraygpt.connect import find_gateway, home
from xraygpt.following import SHORT, follow_run, shown
from xraygpt.named_ids import run_id
from xraygpt.stack.processes.child import die_with_parent
from xraygpt.training_data import LAYOUTS, sets_of
from xraygpt_core.errors import TrainingError
from xraygpt_core.exit_codes import START_AGAIN, UNFINISHED
from xraygpt_core.model.bundle import load_bundle
from xraygpt_core.paths import models_dir
from xraygpt_core.training.mixture import parse_mixture

Stage = Literal["encoder", "medical-llm", "stage1", "stage2"]
WRONG_USAGE = 2
PASS_ON = {"allow_extra_args": True, "ignore_unknown_options": True}


def train(
    stage: Annotated[Stage, typer.Argument(help="What to train; each stage starts from the one before.")],
    preset: Annotated[str | None, typer.Option(help="A named recipe, for example paper-stage1.")] = None,
    data: Annotated[
        list[str] | None,
        typer.Option(help=f"What to train on, recognised by its look: {LAYOUTS}. May be repeated.", metavar="PATH"),
    ] = None,
    from_ledger: Annotated[
        list[str] | None,
        typer.Option(help="Signed-off studies of this system (through the queue).", metavar="'reviewed since DATE …'"),
    ] = None,
    config: Annotated[Path | None, typer.Option(help="JSON file with the configuration.", exists=True)] = None,
    steps: Annotated[int | None, typer.Option(help="Optimiser steps.", min=1)] = None,
    batch: Annotated[int | None, typer.Option(help="Samples in a step.", min=1)] = None,
    lr: Annotated[float | None, typer.Option(help="Learning rate.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of everything random.")] = None,
    checkpoint_every: Annotated[int | None, typer.Option(help="Steps between two checkpoints.", min=1)] = None,
    phantoms: Annotated[int | None, typer.Option(help="Drawn films to train on.", min=1)] = None,
    films: Annotated[Path | None, typer.Option(help="Data directory with manifest.jsonl.", file_okay=False)] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="Any value of the configuration, as JSON.", metavar="NAME=VALUE")
    ] = None,
    parent: Annotated[str | None, typer.Option(help="The finished run to start from (through the queue).")] = None,
    base: Annotated[str | None, typer.Option(help="The bundle to start from (without a stack); default: demo.")] = None,
    out: Annotated[Path | None, typer.Option(help="Directory for the results (without a stack).")] = None,
    local: Annotated[bool, typer.Option("--local", help="On this machine, even if a stack is up.")] = False,
    explain: Annotated[
        bool, typer.Option("--explain", help="Print what --preset sets and why; train nothing.")
    ] = False,
    check: Annotated[bool, typer.Option("--check", help="Read and check the data; train nothing.")] = False,
    wait: Wait = False,
    timeout: Timeout = None,
    as_json: AsJson = False,
) -> None:
    """Train through the queue if a stack is up, otherwise on this machine."""
    flags: dict[str, Any] = {"steps": steps, "batch": batch, "lr": lr, "seed": seed, "phantoms.count": phantoms}
    flags |= {"checkpoint_every": checkpoint_every, "films": films and str(films.absolute()), "preset": preset}
    pairs = [f"{name}={json.dumps(value)}" for name, value in flags.items() if value is not None]
    chosen = with_sets(configuration(config, pairs + (settings or [])), sets_of(data or [], from_ledger or []))
    if explain:
        explain_preset(chosen)
        return
    if check:
        check_data(chosen, as_json)
        return
    if local or (client := find_gateway()) is None:
        if from_ledger:
            raise TrainingError("signed studies are read by the workers of a stack: start one with `xraygpt up`")
        if parent:
            raise typer.BadParameter("--parent names a run of the queue; here, --base names the bundle to start from")
        result = train_here(stage, base or "demo", out or home().root / "training" / stage, chosen)
        show.answer(result if as_json else _in_short(result), as_json=as_json)
        show.say(f"`xraygpt models compose {result['out']} --as NAME` makes a bundle of it")
        return
    if base or out:
        raise typer.BadParameter(
            "--base and --out are for training on this machine (--local): a run of the queue starts from the served "
            "bundle (`xraygpt models promote NAME`) or from --parent RUN, and its result lies in the bucket"
        )
    run = train_by_queue(client, {"stage": stage, "config": chosen}, parent, timeout, wait=wait)
    show.answer(run, as_json=as_json)
    if wait and run["state"] != "done":
        raise typer.Exit(UNFINISHED)


def with_sets(config: dict[str, Any], sets: list[dict[str, Any]]) -> dict[str, Any]:
    """The configuration with these sets beside those of its mixture."""
    if not sets:
        return config
    before = config.get("mixture") or {"sets": []}
    if not isinstance(before, dict) or not isinstance(before.get("sets"), list):
        raise typer.BadParameter("the configuration's mixture must be an object with one list, sets")
    return {**config, "mixture": {"sets": [*before["sets"], *sets]}}


def explain_preset(config: dict[str, Any]) -> None:
    """Print every value of the preset: its source, the original's, ours, and why it differs."""
    if config.get("preset") is None:
        raise typer.BadParameter("--explain explains a preset: name one with --preset")
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(config, file)
        file.flush()
        print(run_job(["presets", config["preset"], "--config", file.name]), end="")


def check_data(config: dict[str, Any], as_json: bool) -> None:
    """Print what the sets of a configuration hold and what is wrong with them; exit code 1 if no run could start."""
    from xraygpt.training_check import checked  # only this needs the readers

    mixture = config.get("mixture")
    if mixture is None:
        raise typer.BadParameter("--check reads data: name some with --data, or in a mixture")
    found = checked(parse_mixture(mixture))
    for one, wanted in zip(found["sets"], mixture["sets"], strict=True):
        if one["reader"] == "ledger" and (client := find_gateway()) is not None:
            with client:
                one |= client.post("/v1/training-runs/selection", {"select": wanted["select"]})
    rows = ([one["name"], one["reader"], one["pairs"], one["patients"], one["left_out"]] for one in found["sets"])
    show.listing(found, ("set", "layout", "pairs", "patients", "problems"), rows, as_json=as_json)
    for one in found["sets"] if not as_json else ():
        for problem in one["problems"]:
            show.say(f"{one['name']}: {problem}")
    if found["errors"]:
        raise typer.Exit(1)


def _in_short(result: dict[str, Any]) -> dict[str, Any]:
    """A result for people: its settings stand in its report and in ``result.json``."""
    return {name: value for name, value in result.items() if name not in ("config", "preset")}


def train_by_queue(
    client: Gateway, wanted: dict[str, Any], parent: str | None, timeout: float | None, *, wait: bool
) -> dict[str, Any]:
    """Queue a run; the run as it is now, or with ``wait`` as :func:`follow_run` has it."""
    with client:
        before = None if parent is None else run_id(client, parent)
        made = client.post("/v1/training-runs", {**wanted, "parent_run": before})["run_id"]
        show.say(f"training run {made}")
        if wait:
            return follow_run(client, made, timeout)
        show.say(f"`xraygpt runs watch {made[-SHORT:]}` follows it")
        run: dict[str, Any] = client.get(f"/v1/training-runs/{made}")
        return run


def configuration(file: Path | None, pairs: list[str]) -> dict[str, Any]:
    """The file's values, then the ``NAME=VALUE`` pairs: a value is JSON or else text, ``a.b=1`` goes inside ``a``."""
    found: dict[str, Any] = json.loads(file.read_text()) if file else {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not (name and equals):
            raise typer.BadParameter(f"{pair} is not NAME=VALUE")
        *outer, last = name.split(".")
        inside = found
        for part in outer:
            inside = inside.setdefault(part, {})
        inside[last] = value
        with suppress(ValueError):
            inside[last] = json.loads(value)
    return found


def train_here(stage: str, base: str, out: Path, config: dict[str, Any]) -> dict[str, Any]:
    """Run the job as a child process; from its last checkpoint if ``out`` has one. Returns its result."""
    arguments = [stage, "--base", str(load_bundle(models_dir(), base).path), "--out", str(out)]
    if any(out.glob("checkpoints/step-*")):
        show.say(f"going on from the last checkpoint in {out}")
        arguments += ["--resume", "latest"]
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(config, file)
        file.flush()
        with shown(out / "progress.jsonl"):
            run_job([*arguments, "--config", file.name])
    result: dict[str, Any] = json.loads((out / "result" / "result.json").read_text())
    return result | {"out": str(out)}


def run_job(arguments: list[str]) -> str:
    """The stdout of ``python -m training_jobs …``, which ends when this command does.

    Raises:
        TrainingError: it ended with an error, which is on stderr.
        typer.Exit: with 3, it was stopped and can go on; with 2, its arguments are wrong.
    """
    command = [sys.executable, "-m", "training_jobs", *arguments]
    done = subprocess.run(command, stdout=subprocess.PIPE, preexec_fn=die_with_parent(), check=False, text=True)
    if done.returncode == WRONG_USAGE:
        raise typer.Exit(WRONG_USAGE)
    if done.returncode == START_AGAIN:
        show.say("stopped with everything kept: the same command goes on from there")
        raise typer.Exit(UNFINISHED)
    if done.returncode:
        raise TrainingError(f"training_jobs {arguments[0]} ended with exit code {done.returncode}")
    return done.stdout


def curate(context: typer.Context, as_json: AsJson = False) -> None:
    """Make texts to learn from of radiology reports. Its arguments are those of `python -m training_jobs curate`.

    `python -m training_jobs curate --help` lists them: REPORTS, --out, --rules-only, --endpoint, --base and others.
    A model behind an endpoint gets its key from XRAYGPT_CURATE_API_KEY.
    """
    with leaving_ctrl_c_to_the_job():
        result = run_job(["curate", *context.args])
    show.answer(json.loads(result), as_json=as_json)


@contextmanager
def leaving_ctrl_c_to_the_job() -> Iterator[None]:
    """A job of the terminal's group gets Ctrl-C itself; this command must not end before it has put down its work."""
    before = signal.signal(signal.SIGINT, lambda *_: None)  # a handler, unlike being ignored, is not inherited
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def evaluate(
    context: typer.Context,
    base: Annotated[str, typer.Option("--base", "--bundle", help="The bundle to score.")] = "demo",
    rexrank: Annotated[
        tuple[Path, Path, Path] | None,
        typer.Option(help="Write the file that the leaderboard ReXrank takes, instead.", metavar="IN OUT IMG_ROOT"),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Score a bundle. Its other options are those of `python -m training_jobs evaluate` (--help lists them).

    --rexrank writes a text for each study of IN; it takes --device and --batch, and a run that was killed goes on.
    """
    path = load_bundle(models_dir(), base).path
    job = ["evaluate"] if rexrank is None else ["rexrank", *map(str, rexrank)]
    show.answer(json.loads(run_job([*job, "--base", str(path), *context.args])), as_json=as_json)
