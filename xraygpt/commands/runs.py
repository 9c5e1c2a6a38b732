"""``runs``, ``exclude``: training runs of the queue, and studies they are not given."""

import os
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from xraygpt import show
from xraygpt.commands.options import AsJson, Study, Timeout
from xraygpt.connect import gateway
from xraygpt.durations import clock
from xraygpt.following import SHORT, follow_run, words
from xraygpt.named_ids import run_id, study_id
from xraygpt_core.exit_codes import UNFINISHED

runs = typer.Typer(help="Training runs of the queue.")

RunName = Annotated[str, typer.Argument(help="A run's id, or its last 5 or more digits.", metavar="RUN")]
File = Literal["report.html", "tensorboard.zip", "log.txt", "problems.json"]
_COLUMNS = ("run", "stage", "state", "step", "loss", "held out", "samples/s", "started", "says")
_NARROW = (0, 1, 2, 3, 4, 7)


@runs.callback(invoke_without_command=True)
def runs_or_list(context: typer.Context, as_json: AsJson = False) -> None:
    """List the runs, or do one of the following with one of them."""
    if context.invoked_subcommand is None:
        list_runs(as_json=as_json)


@runs.command("list")
def list_runs(as_json: AsJson = False) -> None:
    """List the last hundred runs, the newest first."""
    with gateway() as client:
        found = client.get("/v1/training-runs")
    none = "there is no training run: `xraygpt train` begins one"
    show.listing(found, _COLUMNS, map(_row, found["runs"]), as_json=as_json, narrow=_NARROW, empty=none)


@runs.command("show")
def show_run(run: RunName, as_json: AsJson = False) -> None:
    """Show one run: where it is, its losses, its pairs by phase."""
    with gateway() as client:
        found = client.get(f"/v1/training-runs/{run_id(client, run)}")
    pairs = found.get("phases")
    told = found if as_json or not pairs else {**found, "phases": ", ".join(f"{n} {name}" for name, n in pairs.items())}
    show.answer(told, as_json=as_json)


@runs.command("watch")
def watch(run: RunName, timeout: Timeout = None, as_json: AsJson = False) -> None:
    """Follow a run until it has ended."""
    with gateway() as client:
        found = follow_run(client, run_id(client, run), timeout)
    show.answer(found, as_json=as_json)
    if found["state"] != "done":
        raise typer.Exit(UNFINISHED)


@runs.command("pause")
def pause(run: RunName, as_json: AsJson = False) -> None:
    """Let a run wait: it writes a checkpoint and gives its device back."""
    _change(run, "pause", as_json)


@runs.command("resume")
def resume(run: RunName, as_json: AsJson = False) -> None:
    """Let a paused run go on from its last checkpoint."""
    _change(run, "resume", as_json)


@runs.command("cancel")
def cancel_run(run: RunName, as_json: AsJson = False) -> None:
    """Stop a run for good."""
    _change(run, "cancel", as_json)


@runs.command("report")
def report(
    run: RunName,
    file: Annotated[File, typer.Option(help="Which of the run's files.")] = "report.html",
    out: Annotated[
        Path | None, typer.Option(help="Where it is written; default: RUN-FILE here.", dir_okay=False)
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Fetch a run's report, with its films and texts: that takes a key with the role trainer."""
    with gateway() as client:
        named = run_id(client, run)
        content = client.download(f"/v1/training-runs/{named}/files/{file}")
    path = (out or Path(f"{named[-SHORT:]}-{file}")).absolute()
    keep_private(path, content)
    show.answer({"run_id": named, "file": str(path), "bytes": len(content)}, f"{path}", as_json=as_json)


def exclude(
    study: Study,
    undo: Annotated[bool, typer.Option("--undo", help="Let runs have it again.")] = False,
    as_json: AsJson = False,
) -> None:
    """Give a study to no training run from now on. That takes a key with the role lead or trainer."""
    with gateway() as client:
        named = study_id(client, study)
        path = f"/v1/studies/{named}/exclusion"
        if undo:
            client.delete(path)
        else:
            client.post(path)
    show.answer({"study_id": named, "excluded": not undo}, as_json=as_json)


def keep_private(path: Path, content: bytes) -> None:
    """Write a file that only its owner reads; films and texts may stand in it."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(descriptor, "wb") as file:
        os.fchmod(descriptor, 0o600)
        file.write(content)


def _change(run: str, wanted: str, as_json: bool) -> None:
    with gateway() as client:
        named = run_id(client, run)
        client.post(f"/v1/training-runs/{named}/{wanted}")
        found = client.get(f"/v1/training-runs/{named}")
    show.answer(found, f"{named}: {words(found)}", as_json=as_json)


def _row(run: dict[str, Any]) -> list[Any]:
    steps = f"{run['step']}/{run['steps']}" if run.get("steps") else str(run["step"])
    says = words(run).partition(", ")[2] if run["state"] not in ("running", "done") else ""
    figures = [_figure(run.get(name)) for name in ("loss", "held_out", "samples_per_s")]
    started = clock(run["created_at"]) if run.get("created_at") else ""
    return [run["run_id"][-SHORT:], run["stage"], run["state"], steps, *figures, started, says]


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"
