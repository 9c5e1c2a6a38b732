"""What a host answers to the request for a file, or for the rest of one: whether it can be those bytes at all.

A proxy, a login page or a mirror answers 200 to anything. Nothing that is here is given up for such an answer.
"""

import re
from dataclasses import dataclass

import httpx2

from xraygpt_core.errors import BundleError
from xraygpt_core.model.catalogue.hub import pause_of

PAUSE = 1.0  # seconds before the next try, where the answer asks for none
_PARTIAL, _PAST_THE_END = 206, 416  # RFC 9110, sections 15.3.7 and 15.5.17
_RANGE = re.compile(r"bytes (?P<begins>\d+)-\d+/(?P<size>\d+|\*)")  # RFC 9110, section 14.4
_PAGES = (b"<!doctype html", b"<html")
KEPT = "what was downloaded is kept, and the same command goes on from there"


@dataclass(frozen=True)
class Remote:
    """A file at an address. ``digest``: 64 hex digits of SHA-256, or 40 of git's hash of a blob."""

    url: str
    size: int
    digest: str
    token: str | None = None

    @property
    def host(self) -> str:
        """Where it lies."""
        return httpx2.URL(self.url).netloc.decode()

    @property
    def name(self) -> str:
        """What it is called there."""
        return httpx2.URL(self.url).path.rpartition("/")[2]


class Again(Exception):
    """The answer broke off, cannot be the file, or said to wait: it is asked for once more, or this is said."""

    def __init__(self, sentence: str, pause: float = PAUSE) -> None:
        super().__init__(sentence)
        self.pause = pause


def begins_at(answer: httpx2.Response, remote: Remote, have: int) -> int:
    """The position in the file at which the body of an answer begins: 0, or where ``have`` ends.

    Raises:
        Again: it cannot be these bytes now.
        BundleError: asking again is of no use.
    """
    host, name = remote.host, remote.name
    pause = pause_of(answer)
    if pause is not None or answer.status_code >= httpx2.codes.INTERNAL_SERVER_ERROR:
        what = f"{host} answers {answer.status_code}: try again later; what was downloaded is kept"
        raise Again(what, PAUSE if pause is None else pause)
    if answer.status_code == _PAST_THE_END:
        raise Again(f"{host} has a shorter {name} than it promised: it refuses to go on at byte {have}; {KEPT}")
    if answer.status_code not in (httpx2.codes.OK, _PARTIAL):
        raise BundleError(f"{host} answers {answer.status_code} for {httpx2.URL(remote.url).path}")
    if answer.headers.get("Content-Type", "").lower().startswith(("text/html", "application/xhtml")):
        raise web_page(answer, remote)
    begins = have if answer.status_code == _PARTIAL else 0
    stated = _RANGE.fullmatch(answer.headers.get("Content-Range", ""))
    if begins and stated and (int(stated["begins"]) != have or stated["size"] not in ("*", str(remote.size))):
        raise Again(f"{host} sends another part of {name} than was asked for ({stated[0]}); {KEPT}")
    length = _length(answer)
    if length is not None and answer.status_code == httpx2.codes.OK and length != remote.size:
        if is_page(next(answer.iter_bytes(), b"")):
            raise web_page(answer, remote)
        raise Again(f"{host} sends {length} bytes of {name}, and {remote.size} were promised; {KEPT}")
    return begins


def promises_all(answer: httpx2.Response, remote: Remote) -> bool:
    """Whether its length is that of the whole file."""
    return _length(answer) == remote.size


def _length(answer: httpx2.Response) -> int | None:
    stated = answer.headers.get("Content-Length", "")
    return int(stated) if stated.isdigit() and "Content-Encoding" not in answer.headers else None


def is_page(begin: bytes) -> bool:
    """Whether a body begins as a web page does."""
    return begin[:200].lstrip().lower().startswith(_PAGES)


def web_page(answer: httpx2.Response, remote: Remote) -> BundleError:
    """The sentence about a page where a file was expected."""
    sender = answer.url.netloc.decode()
    return BundleError(
        f"{sender} sends a web page instead of {remote.name}: a proxy or a login page stands between this machine and "
        f"{remote.host}, so log in there, or set HTTPS_PROXY or HF_ENDPOINT; {KEPT}"
    )
