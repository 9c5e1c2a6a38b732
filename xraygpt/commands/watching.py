"""``watch``: follow a study, a backlog, or all open work to its end."""

import time
from collections.abc import Mapping
from typing import Annotated, Any, Protocol

import httpx
import typer

from xraygpt import named_ids, show
from xraygpt.backlog_progress import Speed, progress_line
from xraygpt.client import Gateway, GatewayError
from xraygpt.commands.options import AsJson, Timeout
from xraygpt.connect import gateway
from xraygpt.overview import totals
from xraygpt.submit import ASK_AT_ONCE
from xraygpt.waiting import GAP, reasons
from xraygpt_core.exit_codes import INTERRUPTED, UNFINISHED
from xraygpt_core.states import TERMINAL_STUDY_STATES, StudyState

_POLL_SECONDS = 1.0
_POLL_SHARE = 20  # pause so many times as long as the last answer took
_GOOD = frozenset({StudyState.SUMMARISED, StudyState.REJECTED})

Target = Annotated[str | None, typer.Argument(help="A study or a backlog; default: all open work.", metavar="[ID]")]


class Watched(Protocol):
    """What is followed."""

    def look(self) -> dict[str, Any]:
        """How it stands; raises GatewayError."""

    def progress(self, now: Mapping[str, Any]) -> tuple[int, int, str]:
        """Done, of how many, in words."""

    def ended(self, now: Mapping[str, Any]) -> bool:
        """Is there nothing more to wait for?"""

    def well(self, now: Mapping[str, Any]) -> bool:
        """Was it all summarised or rejected?"""


class _Study:
    """The audit keeps each reading of a study: it is read where the states of its images changed, and not else."""

    def __init__(self, client: Gateway, study_id: str) -> None:
        self._client, self._path = client, f"/v1/studies/{study_id}"
        self._study: dict[str, Any] = {}
        self._states: list[str] | None = None
        self._waits: list[dict[str, Any]] = []

    def look(self) -> dict[str, Any]:
        images = [one["image_id"] for one in self._study.get("images", ())][:ASK_AT_ONCE]
        states = None
        if images:
            found = self._client.post("/v1/images/status", {"image_ids": images})["images"]
            states = [one["state"] for one in found]
            self._waits = [one["waits"] for one in found if one.get("waits")]
        if states is None or states != self._states:
            self._study = self._client.get(self._path)
        self._states = states
        return self._study

    def progress(self, now: Mapping[str, Any]) -> tuple[int, int, str]:
        reason = f": {now['reason_code']}" if now["reason_code"] else ""
        # Images that wait for one job of their study wait for it together.
        jobs = {} if self.ended(now) else {(one["kind"], one["state"]): one for one in self._waits}
        return int(self.ended(now)), 1, GAP.join([f"{now['state']}{reason}", *reasons([*jobs.values()])])

    def ended(self, now: Mapping[str, Any]) -> bool:
        return now["state"] in TERMINAL_STUDY_STATES

    def well(self, now: Mapping[str, Any]) -> bool:
        return now["state"] in _GOOD


class _Backlog:
    def __init__(self, client: Gateway, backlog_id: str) -> None:
        self._client, self._path, self._speed = client, f"/v1/backlogs/{backlog_id}", Speed()

    def look(self) -> dict[str, Any]:
        found: dict[str, Any] = self._client.get(self._path)
        self._speed.note(found["registered"] - found["open"])
        return found

    def progress(self, now: Mapping[str, Any]) -> tuple[int, int, str]:
        return now["registered"] - now["open"], now["registered"], progress_line(dict(now), self._speed)

    def ended(self, now: Mapping[str, Any]) -> bool:
        return now["state"] in ("done", "cancelled")

    def well(self, now: Mapping[str, Any]) -> bool:
        return now["state"] == "done" and not (now["dead"] or now["cancelled"])


class _Everything:
    """The open work of all kinds; what is dead already when it begins is none of it."""

    def __init__(self, client: Gateway) -> None:
        self._client = client
        self._most = 0
        self._dead: int | None = None

    def look(self) -> dict[str, Any]:
        found = totals(self._client.get("/v1/status"))
        self._most = max(self._most, found["queued"] + found["running"])
        self._dead = found["dead"] if self._dead is None else self._dead
        return {**found, "newly_dead": max(0, found["dead"] - self._dead)}

    def progress(self, now: Mapping[str, Any]) -> tuple[int, int, str]:
        left = now["queued"] + now["running"]
        if not self._most:
            return 0, 0, "no work is open: `xraygpt list` shows what there is"
        words = f"{now['queued']} waiting, {now['running']} running, {now['newly_dead']} newly dead"
        return self._most - left, self._most, words

    def ended(self, now: Mapping[str, Any]) -> bool:
        return not (now["queued"] or now["running"])

    def well(self, now: Mapping[str, Any]) -> bool:
        return not now["newly_dead"]


def watch(target: Target = None, timeout: Timeout = None, as_json: AsJson = False) -> None:
    """Follow a study, a backlog or all open work to its end. Exit code 3: not all ended well; 130: Ctrl-C."""
    with gateway() as client:
        watched = _named(client, target)
        now: dict[str, Any] = {}
        try:
            now = _followed(watched, timeout)
        except KeyboardInterrupt:
            again = f"xraygpt watch {target}" if target else "xraygpt watch"
            show.say(f"not waiting any longer; the work goes on: {again}")
            raise typer.Exit(INTERRUPTED) from None
    show.answer(now, watched.progress(now)[2], as_json=as_json)
    if not (watched.ended(now) and watched.well(now)):
        raise typer.Exit(UNFINISHED)


def _followed(watched: Watched, timeout: float | None) -> dict[str, Any]:
    """How it stands once it has ended, or the time is up."""
    deadline = None if timeout is None else time.monotonic() + timeout
    with show.ProgressLine() as progress:
        while True:
            asked = time.monotonic()
            now = watched.look()
            took = time.monotonic() - asked
            progress.update(*watched.progress(now))
            if watched.ended(now) or (deadline is not None and time.monotonic() >= deadline):
                return now
            time.sleep(max(_POLL_SECONDS, _POLL_SHARE * took))


def _named(client: Gateway, text: str | None) -> Watched:
    """The study or backlog of this name.

    Raises:
        NotNamed: there is none. GatewayError: the gateway refuses, or does not answer.
    """
    if text is None:
        return _Everything(client)
    try:
        backlog_id = named_ids.backlog_id(client, text)
        client.get(f"/v1/backlogs/{backlog_id}")
    except named_ids.NotNamed:
        return _Study(client, named_ids.study_id(client, text))
    except GatewayError as error:  # a reader's key sees no backlog
        if error.status not in (httpx.codes.NOT_FOUND, httpx.codes.FORBIDDEN):
            raise
        return _Study(client, named_ids.study_id(client, text))
    return _Backlog(client, backlog_id)
