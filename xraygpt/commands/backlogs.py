"""``backlog``: everything below a prefix of the bucket, as one piece of work."""

import contextlib
import os
import time
from collections.abc import Iterator
from datetime import datetime
from typing import Annotated, Any

import typer

from xraygpt import show
from xraygpt.backlog import Speed, proof, tell, words
from xraygpt.client import Gateway
from xraygpt.commands.options import UNFINISHED, AsJson, Timeout, Wait
from xraygpt.commands.submitting import show_rows
from xraygpt.connect import gateway, home
from xraygpt.sources import is_uri, split_uri
from xraygpt.stack.home import running_stack
from xraygpt.submit import all_done, refresh, register
from xraygpt_core.states import Lane

ENDED = frozenset({"done", "cancelled"})
CHANGES = frozenset({"pause", "resume", "cancel"})
POLL_SECONDS = 1.0
POLL_SHARE = 20  # pause so many times as long as the last answer took

Target = Annotated[
    list[str], typer.Argument(help="A prefix of the bucket, or what to do to a backlog.", metavar="s3://…|pause ID|…")
]


def backlog(
    target: Target,
    lane: Annotated[Lane, typer.Option("--lane", help="How urgent it is.")] = Lane.BACKLOG,
    wait: Wait = False,
    timeout: Timeout = None,
    since: Annotated[datetime | None, typer.Option(help="Only objects stored since then (UTC).")] = None,
    as_json: AsJson = False,
) -> None:
    """Summarise everything below s3://bucket/prefix; or pause, resume or cancel a backlog by its ID."""
    if len(target) == 2 and target[0] in CHANGES:
        with gateway() as client:
            changed = client.post(f"/v1/backlogs/{target[1]}/{target[0]}")
            if wait:
                changed = _follow(client, target[1], timeout)
            _show(changed, as_json=as_json)
        return
    if len(target) != 1 or not is_uri(target[0]):
        raise typer.BadParameter("write it as s3://bucket/prefix, or as pause, resume or cancel with an ID")
    started = time.monotonic()
    body: dict[str, Any] = {"uri": target[0]} | ({} if lane is Lane.BACKLOG else {"lane": lane})
    if since:
        body["since"] = f"{since.isoformat()}Z"
    with gateway() as client:
        backlog_id = client.post("/v1/backlogs", body)["backlog_id"]
        show.say(f"backlog {backlog_id}")
        if not wait:
            _show(client.get(f"/v1/backlogs/{backlog_id}"), as_json=as_json)
            return
        _follow(client, backlog_id, timeout)
        # Asked for by name, each object is found again; one the listing never saw would be registered now, and show.
        rows = register(client, list(_objects(target[0], since)), Lane.BACKLOG, show.say)
        refresh(client, rows)
    found = proof(rows)
    show_rows(rows, time.monotonic() - started, as_json=as_json, proof=found)
    tell(found, show.say)
    if not all_done(rows):
        raise typer.Exit(UNFINISHED)


def _show(progress: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        show.document(progress)
    else:
        show.fields(progress)


def _follow(client: Gateway, backlog_id: str, timeout: float | None) -> dict[str, Any]:
    """Until it has ended, or the time is up, or Ctrl-C; what the gateway said last."""
    deadline = None if timeout is None else time.monotonic() + timeout
    speed, now = Speed(), {}
    with show.Progress() as progress, contextlib.suppress(KeyboardInterrupt):
        while True:
            asked = time.monotonic()
            now = client.get(f"/v1/backlogs/{backlog_id}")
            took = time.monotonic() - asked
            done = now["registered"] - now["open"]
            speed.note(done)
            progress.update(done, now["registered"], words(now, speed))
            if now["state"] in ENDED or (deadline is not None and time.monotonic() > deadline):
                break
            # Counting a million images takes the database a while: it shall not do that all the time.
            time.sleep(max(POLL_SECONDS, POLL_SHARE * took))
    return now


def _objects(uri: str, since: datetime | None) -> Iterator[str]:
    """URIs below the prefix. The gateway never tells keys, so the client asks the bucket itself."""
    import boto3  # slow to import, and only this command needs it
    from botocore.config import Config

    bucket, prefix = split_uri(uri)
    stack = running_stack(home()) or {}
    client: Any = boto3.client(
        "s3",
        endpoint_url=os.environ.get("XRAYGPT_S3_ENDPOINT_URL") or stack.get("s3_endpoint_url"),
        aws_access_key_id=os.environ.get("XRAYGPT_S3_ACCESS_KEY") or stack.get("s3_access_key"),
        aws_secret_access_key=os.environ.get("XRAYGPT_S3_SECRET_KEY") or stack.get("s3_secret_key"),
        region_name=os.environ.get("XRAYGPT_S3_REGION", "us-east-1"),
        config=Config(signature_version="s3v4", s3={"addressing_style": "path"}),
    )
    with contextlib.closing(client):
        for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
            for found in page.get("Contents", []):
                if since is None or found["LastModified"].replace(tzinfo=None) >= since:
                    yield f"s3://{bucket}/{found['Key']}"
