"""``cancel``, ``resummarise``, ``repair``, ``dead``: change what is stored or queued."""

import subprocess
import sys
from collections.abc import Sequence
from typing import Annotated, Any

import httpx
import typer

from xraygpt import show
from xraygpt.client import Gateway, GatewayError
from xraygpt.commands.backlogs import CHANGE_SECONDS
from xraygpt.commands.options import AsJson, HelpfulGroup, Study
from xraygpt.connect import gateway, home, process_environment
from xraygpt.moments import moment
from xraygpt.named_ids import SHORTEST, NotNamed, job_id, study_id
from xraygpt.stack.processes.child import die_with_parent
from xraygpt.stack.settings.home import running_stack

CONDITIONS = ("from_bundle", "since", "until", "view")
SHOWN = 5  # studies whose reason is said
PAGE = 1000  # dead jobs in a request, the most that the gateway allows

dead = typer.Typer(help="Jobs that used up their attempts.", cls=HelpfulGroup, no_args_is_help=True)


def cancel(study: Study, as_json: AsJson = False) -> None:
    """Cancel the open work of a study."""
    with gateway() as client:
        named = study_id(client, study)
        client.post(f"/v1/studies/{named}/cancel")
        try:
            found = client.get(f"/v1/studies/{named}")
        except GatewayError as error:
            if error.status != httpx.codes.FORBIDDEN:
                raise
            found = {"study_id": named, "state": "cancelled"}  # an operator may stop a study, but not read it
    show.answer(found if as_json else {name: found[name] for name in ("study_id", "state")}, as_json=as_json)


def resummarise(
    studies: Annotated[list[str] | None, typer.Argument(help="Studies; or use --where.", metavar="[STUDY]…")] = None,
    where: Annotated[
        list[str] | None,
        typer.Option(help="from_bundle, since, until or view = VALUE; may be repeated.", metavar="NAME=VALUE"),
    ] = None,
    bundle: Annotated[str | None, typer.Option(help="The bundle to use; default: the one that is served.")] = None,
    as_json: AsJson = False,
) -> None:
    """Summarise again, on the backlog lane. A repeat for the same images and bundle does nothing."""
    if bool(studies) == bool(where):
        raise typer.BadParameter("give either studies or --where")
    body: dict[str, Any] = {
        "study_ids": studies or None,
        "where": conditions(where) if where else None,
        "bundle": bundle,
    }
    with gateway() as client:
        if studies:
            body["study_ids"] = [study_id(client, one) for one in studies]
        answer = client.post("/v1/resummarise", body, seconds=CHANGE_SECONDS)
        why = _why_not(client, body["study_ids"] or []) if not answer["queued"] else None
    show.answer(answer, as_json=as_json)
    if why is not None:
        show.say(why)


def _why_not(client: Gateway, studies: Sequence[str]) -> str:
    """Why no summary was queued."""
    if not studies:
        return "nothing was queued: no study meets these conditions, or the served bundle has summarised them all"
    served = client.get("/v1/status")["served"]["name"]
    reasons = []
    for one in studies[:SHOWN]:
        try:
            found = client.get(f"/v1/studies/{one}")
        except GatewayError as error:
            if error.status != httpx.codes.FORBIDDEN:
                raise
            return "nothing was queued: the served bundle has summarised them already, or they are not at their end"
        reasons.append(f"{one[-SHORTEST:]} {_reason(found, served)}")
    return f"nothing was queued: {'; '.join(reasons)}"


def _reason(study: dict[str, Any], served: str) -> str:
    text = study["summary"]
    if text is not None and text["bundle"] == served:
        return f"has its summary by the served bundle {served!r} already"
    if study["state"] not in ("summarised", "dead"):
        return f"is {study['state']}: `xraygpt timeline` says why"
    return "is queued already"


def repair(
    apply: Annotated[bool, typer.Option("--apply", help="Do it; without this, only show it.")] = False,
    as_json: AsJson = False,
) -> None:
    """Part the studies that earlier versions made of two patients with one StudyInstanceUID."""
    stack = running_stack(home()) or {}
    command = [sys.executable, "-m", "workers.repair", *["--apply"] * apply, *["--json"] * as_json]
    done = subprocess.run(command, env=process_environment(stack), check=False, preexec_fn=die_with_parent())
    raise typer.Exit(done.returncode)


def conditions(pairs: list[str]) -> dict[str, str]:
    """``NAME=VALUE`` pairs as a dictionary, moments with their zone; anything else is wrong usage."""
    found = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not (name and equals):
            raise typer.BadParameter(f"{pair} is not NAME=VALUE")
        if name not in CONDITIONS:
            raise typer.BadParameter(f"{name!r} is no condition: use {', '.join(CONDITIONS)}")
        found[name] = moment(value).isoformat() if name in ("since", "until") else value
    return found


@dead.command("list")
def list_dead(
    reason: Annotated[str | None, typer.Option(help="Only with this in their error.")] = None,
    as_json: AsJson = False,
) -> None:
    """List dead jobs, oldest first."""
    with gateway() as client:
        jobs = dead_jobs(client, reason)
    if not jobs:
        show.answer({"jobs": jobs}, "nothing is dead", as_json=as_json)
        return
    columns = list(dict.fromkeys(name for job in jobs for name in job))
    show.listing({"jobs": jobs}, columns, ([job.get(name) for name in columns] for job in jobs), as_json=as_json)


@dead.command("show")
def show_dead(
    job: Annotated[str, typer.Argument(help="A dead job's id, or its last 5 or more digits.", metavar="JOB")],
    as_json: AsJson = False,
) -> None:
    """Show one dead job."""
    with gateway() as client:
        named = job_id(client, job)
        found = next((one for one in dead_jobs(client, None) if one["job_id"] == named), None)
    if found is None:
        raise NotNamed(f"there is no dead job {named}: `xraygpt dead list` shows them")
    show.answer(found, as_json=as_json)


@dead.command("replay")
def replay_dead(
    jobs: Annotated[list[str] | None, typer.Argument(help="Jobs; or use --all or --reason.", metavar="[JOB]…")] = None,
    everything: Annotated[bool, typer.Option("--all", help="All dead jobs.")] = False,
    reason: Annotated[str | None, typer.Option(help="All dead jobs with this in their error.")] = None,
    as_json: AsJson = False,
) -> None:
    """Queue dead jobs again. After an interruption, repeat the command."""
    if bool(jobs) + everything + (reason is not None) != 1:
        raise typer.BadParameter("give either jobs, or --all, or --reason")
    with gateway() as client:
        named = [job_id(client, one) for one in jobs or ()]
        body = {"job_ids": named} if named else {"all": True} if everything else {"reason": reason}
        answer = client.post("/v1/dead/replay", body, seconds=CHANGE_SECONDS)
    show.answer(answer, as_json=as_json)


def dead_jobs(client: Gateway, reason: str | None) -> list[dict[str, Any]]:
    """Every dead job, page by page."""
    found: list[dict[str, Any]] = []
    after = None
    while page := client.get("/v1/dead", reason=reason, limit=PAGE, after=after)["jobs"]:
        found += page
        after = page[-1]["job_id"]
    return found
