"""``up``, ``down``, ``status``, ``doctor``: the one-machine stack."""

import os
from collections.abc import Iterator
from typing import Annotated, Any

import typer

from xraygpt import show
from xraygpt.client import GatewayError
from xraygpt.commands.options import AsJson
from xraygpt.connect import find_gateway, home
from xraygpt.durations import seconds_words
from xraygpt.stack.launch import processes, start, stop
from xraygpt.stack.settings.home import holder, running_stack
from xraygpt_core.exit_codes import UNFINISHED

STATUS_SECONDS = 3.0  # status reports a silent gateway instead of waiting for it
KEEPS_ENDING = 3  # so many ends of a process, none of them long ago, are no accident
SHOWN = ("gateway_url", "flower_url", "s3_endpoint_url", "bucket", "derived_bucket", "external", "started_at", "pids")


def up(
    detach: Annotated[bool, typer.Option("--detach", help="Return once it is ready.")] = False,
    as_json: AsJson = False,
) -> None:
    """Start database, broker, S3, gateway, workers, control and Flower; Ctrl-C stops them."""
    data = home()
    if detach:
        stack = running_stack(data) or start(data, show.say)
        show_stack(stack, as_json=as_json)
    else:
        from xraygpt.stack.supervisor import Supervisor  # drivers of every service: slow to import

        Supervisor(data, os.environ, show.say).run(lambda stack: show_stack(stack, as_json=as_json))


def show_stack(stack: dict[str, Any], *, as_json: bool) -> None:
    """Show the addresses, and what does not stay up; the document names stack.json, with its keys and passwords."""
    if as_json:
        addresses = {name: stack[name] for name in SHOWN}
        show.document({"stack_file": str(home().stack_file), **addresses, "ends": stack.get("ends", {})})
    else:
        show.fields(where_next(stack))
        for line in end_lines(processes(stack)):
            show.say(line)


def end_lines(found: dict[str, dict[str, Any]]) -> Iterator[str]:
    """A sentence about each process that ended lately: how often, and the error that it wrote."""
    for name, one in found.items():
        if one["ends"]:
            times = "once and starts again" if one["ends"] == 1 else f"{one['ends']} times and starts again each time"
            yield f"{name} ended {times}: {one['said'] or f'see `xraygpt logs {name}`'}"


def where_next(stack: dict[str, Any]) -> dict[str, str]:
    """Addresses and commands to go on with."""
    return {
        "reading room": f"{stack['gateway_url']}/ (sign in with the api_key in {home().stack_file})",
        "gateway": f"{stack['gateway_url']}/docs",
        "flower": f"{stack['flower_url']} (user {stack['flower_user']}, password in {home().stack_file})",
        "SQL": f"xraygpt query, or psql with the reader_url in {home().stack_file}",
        "bucket": f"s3://{stack['bucket']} at {stack['s3_endpoint_url']}",
        "commands": "xraygpt submit PATH · summary STUDY · chat STUDY “question” · status · down",
    }


def down(as_json: AsJson = False) -> None:
    """Stop the stack; its data stay."""
    stopped = stop(home())
    show.answer({"stopped": stopped}, "stopped" if stopped else "no stack was up", as_json=as_json)


def status(as_json: AsJson = False) -> None:
    """Show whether the stack is up, its processes, the open work, and the addresses.

    Exit code 3: it is not up, or one of its processes is being started again or keeps ending.
    """
    found = inspect()
    if as_json:
        show.document(found)
    elif not (found["processes"] or found["gateway_url"]):
        show.say(f"{'a stack is starting' if found['starting'] else 'no stack is up'} in {home().root}")
    else:
        _show_work(found)
        where = {
            "reading room": f"{found['gateway_url']}/",
            "gateway": f"{found['gateway_url']}/docs",
            "flower": found["flower_url"],
            "data": found["home"],
        }
        show.fields({"problem": found["problem"], "bundle": found["bundle"]} | where)
        for line in end_lines(found["processes"]):
            show.paragraph(line, style="bold red")
    states = found["processes"].values()
    healthy = all(one["state"] != "restarting" and one["ends"] < KEEPS_ENDING for one in states)
    if not (found["running"] and healthy):
        raise typer.Exit(UNFINISHED)


def _show_work(found: dict[str, Any]) -> None:
    """Tables of what there is; an empty one is a sentence."""
    if found["processes"]:
        rows = ((name, one["state"], one["pid"]) for name, one in found["processes"].items())
        show.table(("process", "state", "pid"), rows)
    if found["jobs"]:
        show.table(("kind", "lane", "state", "jobs", "oldest"), map(_job, found["jobs"]))
    if found["workers"]:
        show.table(("worker", "kind", "jobs", "oldest", "lease"), map(_worker, found["workers"]))
    if found["running"] and not found["jobs"]:
        show.paragraph("nothing is waiting, running or dead")


def _job(one: dict[str, Any]) -> list[Any]:
    return [*_named(one, "kind", "lane", "state", "jobs"), seconds_words(one["oldest_seconds"])]


def _worker(one: dict[str, Any]) -> list[Any]:
    left = one["lease_seconds"]
    lease = seconds_words(left) if left >= 0 else f"lost {seconds_words(-left)} ago"
    return [*_named(one, "worker", "kind", "jobs"), seconds_words(one["oldest_seconds"]), lease]


def _named(values: dict[str, Any], *names: str) -> list[Any]:
    return [values[name] for name in names]


def inspect() -> dict[str, Any]:
    """The document of ``status``. ``running``: the processes are there, and the gateway answers."""
    stack = running_stack(home())
    found: dict[str, Any] = {
        "running": stack is not None,
        "starting": stack is None and holder(home()) is not None,
        "home": str(home().root),
        "gateway_url": None,
        "flower_url": stack["flower_url"] if stack else None,
        "processes": processes(stack) if stack else {},
        "jobs": [],
        "workers": [],
        "bundle": None,
        "problem": None,
    }
    client = find_gateway(STATUS_SECONDS)
    if client is None:
        return found
    found["gateway_url"] = client.url
    try:
        with client:
            now = client.get("/v1/status")
    except GatewayError as error:
        return found | {"running": False, "problem": str(error)}
    return found | {"running": True, "jobs": now["jobs"], "workers": now["workers"], "bundle": now["served"]["name"]}


def doctor(
    deep: Annotated[bool, typer.Option("--deep", help="Hash every file of the model bundles.")] = False,
    as_json: AsJson = False,
) -> None:
    """Check what this machine needs to run the stack."""
    from xraygpt.stack.doctor import examine

    checks = examine(home(), deep=deep)
    if as_json:
        show.document({"ok": all(check.ok for check in checks), "checks": [check.__dict__ for check in checks]})
    else:
        rows = ((one.name, "yes" if one.ok else "NO", one.detail) for one in checks)
        show.table(("check", "ok", "detail"), (row if row[1] == "yes" else [*map(show.alarm, row)] for row in rows))
    if not all(check.ok for check in checks):
        raise typer.Exit(1)
