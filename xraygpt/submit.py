"""Submit files and objects: upload, register, and follow every image to its end."""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from io import BufferedIOBase
from types import MappingProxyType
from typing import Any, TypeVar

import httpx

from xraygpt.client import Gateway, GatewayError, file_sha256
from xraygpt.film_lines import Film, impression_of
from xraygpt.inputs import is_uri, opened
from xraygpt_core.states import TERMINAL_STUDY_STATES, ReasonCode, StudyState

REGISTER_AT_ONCE = 100
ASK_AT_ONCE = 1000  # the gateway's limit
UPLOADS_AT_ONCE = 4
SHORTEST_PAUSE, LONGEST_PAUSE = 0.2, 2.0

AGE_SLACK = 1.0  # seconds between the clocks' readings; a file that came before the command is older

Item = TypeVar("Item")
NO_WORDS: Mapping[str, str] = MappingProxyType({})
_DOCUMENT = (
    "study_id", "image_id", "source", "state", "reason_code", "lane", "view", "seconds", "known", "summary_id",
    "summary", "flags", "scope", "consistency",
)  # fmt: skip


class UploadInterrupted(KeyboardInterrupt):
    """Ctrl-C while files were sent.

    Attributes:
        sent: how many inputs are with the gateway, of ``count``.
    """

    def __init__(self, sent: int, count: int) -> None:
        super().__init__()
        self.sent, self.count = sent, count


@dataclass
class ResultRow:
    """One input: its source, which only the client knows, and the state of its image.

    ``known``: it was sent before. ``waits`` is what its image waits for, if it has not ended.
    """

    source: str
    lane: str
    state: str = StudyState.RECEIVED
    image_id: str | None = None
    study_id: str | None = None
    reason_code: str | None = None
    summary: str | None = None
    summary_id: str | None = None
    impression: str | None = None
    view: str | None = None
    seconds: float | None = None
    known: bool = False
    waits: dict[str, Any] | None = None
    flags: list[str] = field(default_factory=list)
    scope: dict[str, Any] | None = None
    consistency: list[dict[str, str]] = field(default_factory=list)

    @property
    def ended(self) -> bool:
        return self.state in TERMINAL_STUDY_STATES

    def take(self, image: dict[str, Any]) -> None:
        """Take over the answer of ``POST /v1/images/status`` about its image."""
        for name in ("study_id", "state", "reason_code", "lane", "summary", "view", "seconds", "flags"):
            setattr(self, name, image[name])
        for name in ("summary_id", "impression", "waits"):
            setattr(self, name, image.get(name))
        self.scope, self.consistency = image["scope"], image["consistency"]

    def document(self) -> dict[str, Any]:
        """One element of ``studies`` in the JSON result."""
        return {name: getattr(self, name) for name in _DOCUMENT}

    def film(self, name: str) -> Film:
        """What is shown of it under this name."""
        text = impression_of(self.impression, self.summary)
        shown = (self.state, self.study_id, self.view, self.seconds, self.known, text, self.reason_code, self.flags)
        return Film(name, *shown)


def result(rows: Sequence[ResultRow], seconds: float) -> dict[str, Any]:
    """The document of ``demo`` and ``submit``."""
    counts = Counter(str(row.state) for row in rows)
    return {"seconds": round(seconds, 3), "counts": dict(counts), "studies": [row.document() for row in rows]}


def all_done(rows: Sequence[ResultRow]) -> bool:
    """True if every input is summarised or rejected."""
    return all(row.state in (StudyState.SUMMARISED, StudyState.REJECTED) for row in rows)


def chunks(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    """The items in order, ``size`` at a time."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


def register(
    gateway: Gateway,
    sources: Sequence[str],
    lane: str,
    say: Callable[[str], None],
    words: Mapping[str, str] = NO_WORDS,
) -> list[ResultRow]:
    """Upload the files among ``sources`` and register everything. One row per source, in order.

    Args:
        words: what is known of them (``indication``, ``technique``, ``comparison``): then they are films of one study.

    An unreadable file ends ``cancelled``, one that is too large for the gateway ``rejected``; ``say`` gets the reason.

    Raises:
        GatewayError: the gateway refuses, or does not answer.
        UploadInterrupted: Ctrl-C was pressed; what was sent by then is registered.
    """
    rows: list[ResultRow] = []
    with ThreadPoolExecutor(UPLOADS_AT_ONCE) as pool:
        for some in chunks(sources, REGISTER_AT_ONCE):
            new = [ResultRow(source, lane) for source in some]
            sending = [pool.submit(_uri, gateway, row, say) for row in new]
            try:
                uris = [one.result() for one in sending]
            except KeyboardInterrupt:
                pool.shutdown(cancel_futures=True)  # those on their way are sent to their end
                uris = [None if one.cancelled() or one.exception() else one.result() for one in sending]
                _register(gateway, new, uris, lane, words)
                raise UploadInterrupted(len(rows) + sum(uri is not None for uri in uris), len(sources)) from None
            _register(gateway, new, uris, lane, words)
            rows += new
            if len(sources) > REGISTER_AT_ONCE:
                say(f"{len(rows)} of {len(sources)} submitted")
    return rows


def _register(
    gateway: Gateway, rows: Sequence[ResultRow], uris: Sequence[str | None], lane: str, words: Mapping[str, str]
) -> None:
    register_rows(gateway, [(row, uri) for row, uri in zip(rows, uris, strict=True) if uri], lane, words)


def _uri(gateway: Gateway, row: ResultRow, say: Callable[[str], None]) -> str | None:
    if is_uri(row.source):
        return row.source
    try:
        with opened(row.source) as file:
            return _uploaded(gateway, file)
    except OSError as error:
        row.state = StudyState.CANCELLED
        say(f"{row.source}: {error.strerror}")
    except GatewayError as error:
        if error.reason_code != ReasonCode.TOO_LARGE and error.status != httpx.codes.REQUEST_ENTITY_TOO_LARGE:
            raise
        row.state, row.reason_code = StudyState.REJECTED, ReasonCode.TOO_LARGE
        say(f"{row.source}: {error}")
    return None


def _uploaded(gateway: Gateway, file: BufferedIOBase) -> str:
    sha256 = file_sha256(file)
    try:
        return gateway.upload(file, sha256)
    except GatewayError as error:
        if error.status == httpx.codes.UNPROCESSABLE_ENTITY and file_sha256(file) != sha256:
            raise OSError(None, "it changed while it was read") from error
        raise


def register_rows(
    gateway: Gateway, found: Sequence[tuple[ResultRow, str]], lane: str, words: Mapping[str, str] = NO_WORDS
) -> None:
    """Register the object of each row; raises like :func:`register`."""
    images: dict[str, Any] = {}
    unique = list(dict.fromkeys(uri for _, uri in found))  # byte-identical files are one object
    for some in chunks(unique, REGISTER_AT_ONCE):
        answer = gateway.post("/v1/studies", {"objects": [{"uri": uri} for uri in some], "lane": lane, **words})
        images |= zip(some, answer["images"], strict=True)
    for row, uri in found:
        row.image_id, row.study_id = images[uri]["image_id"], images[uri]["study_id"]


def follow(
    gateway: Gateway, rows: Sequence[ResultRow], *, seconds: float | None, notify: Callable[[Sequence[ResultRow]], None]
) -> None:
    """Ask for the state of every open row until all have ended, or the time is up; ``notify`` gets them each time.

    Raises:
        GatewayError: the gateway refuses, or does not answer.
    """
    deadline = None if seconds is None else time.monotonic() + seconds
    pause, before = SHORTEST_PAUSE, None
    while True:
        refresh(gateway, rows)
        states = [row.state for row in rows]
        pause = SHORTEST_PAUSE if states != before else min(LONGEST_PAUSE, pause * 1.5)
        before = states
        notify(rows)
        if all(row.ended for row in rows) or (deadline is not None and time.monotonic() >= deadline):
            return
        time.sleep(pause)


def refresh(gateway: Gateway, rows: Sequence[ResultRow], *, since: float | None = None) -> None:
    """Bring the rows that have not ended up to date.

    Args:
        since: seconds since the command began: an image that is older was known before.
    """
    waiting: dict[str, list[ResultRow]] = {}
    for row in rows:
        if row.image_id and not row.ended:
            waiting.setdefault(row.image_id, []).append(row)
    for ids in chunks(list(waiting), ASK_AT_ONCE):
        for image in gateway.post("/v1/images/status", {"image_ids": list(ids)})["images"]:
            for row in waiting[image["image_id"]]:
                row.take(image)
                if since is not None:
                    row.known = image.get("age_seconds", 0.0) > since + AGE_SLACK
