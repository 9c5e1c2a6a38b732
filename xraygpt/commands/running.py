"""``up``, ``down``, ``status``, ``doctor``: the one-machine stack."""

import os
from typing import Annotated, Any

import typer

from xraygpt import show
from xraygpt.client import GatewayError
from xraygpt.commands.options import AsJson
from xraygpt.connect import find_gateway, home
from xraygpt.stack.launch import processes, start, stop
from xraygpt.stack.settings.home import holder, running_stack
from xraygpt_core.exit_codes import UNFINISHED

STATUS_SECONDS = 3.0  # status reports a silent gateway instead of waiting for it
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
    """Show the addresses; the document names stack.json, which has the keys and passwords."""
    if as_json:
        show.document({"stack_file": str(home().stack_file)} | {name: stack[name] for name in SHOWN})
    else:
        show.fields(where_next(stack))


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
    """Show whether the stack is up, its processes, the open work, and the addresses."""
    found = inspect()
    if as_json:
        show.document(found)
    elif not (found["processes"] or found["gateway_url"]):
        show.say(f"{'a stack is starting' if found['starting'] else 'no stack is up'} in {home().root}")
    else:
        show.table(
            ("process", "state", "pid"),
            ((name, one["state"], one["pid"]) for name, one in found["processes"].items()),
        )
        show.table(
            ("kind", "lane", "state", "jobs", "oldest, s"),
            ([job[name] for name in ("kind", "lane", "state", "jobs", "oldest_seconds")] for job in found["jobs"]),
        )
        show.table(
            ("worker", "kind", "jobs", "oldest, s", "lease, s"),
            (
                [worker[name] for name in ("worker", "kind", "jobs", "oldest_seconds", "lease_seconds")]
                for worker in found["workers"]
            ),
        )
        where = {
            "reading room": f"{found['gateway_url']}/",
            "gateway": f"{found['gateway_url']}/docs",
            "flower": found["flower_url"],
            "data": found["home"],
        }
        show.fields({"problem": found["problem"], "bundle": found["bundle"]} | where)
    healthy = all(one["state"] != "restarting" for one in found["processes"].values())
    if not (found["running"] and healthy):
        raise typer.Exit(UNFINISHED)


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
