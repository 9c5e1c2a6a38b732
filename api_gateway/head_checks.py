"""Checks of a request's head, before any parser reads it (RFC 9112).

A proxy in front and this gateway must see the same requests in the same bytes, or a sender can hide a second request in
the first. So heads that parsers are known to read in two ways are refused, even if RFC 9112 allows a server to accept.
"""

import ipaddress
import platform
import re
from collections.abc import Callable

from xraygpt_core.settings import Settings

MOST_FIELDS = 100
_BARE = re.compile(rb"(?<!\r)\n|\r(?!\n)")
_REQUEST = re.compile(rb"[A-Z]{1,20} /[!-~]* HTTP/1\.[01]")  # origin-form only: this gateway is no proxy
_FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\x00-\x08\x0a-\x1f\x7f]*)")
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9._-]{1,253})(?::\d{1,5})?")
_ONCE = (b"host", b"content-length", b"transfer-encoding")


def fault(head: bytes, is_ours: Callable[[str], bool]) -> str | None:
    """The fault of a head, its blank line included; None if it has none.

    Args:
        is_ours: whether this gateway answers under a host's name.
    """
    first, *lines = head.removesuffix(b"\r\n\r\n").split(b"\r\n")
    if _BARE.search(head):
        return "lines of a request end with CR LF"
    if not _REQUEST.fullmatch(first):
        return "a request begins with METHOD /path HTTP/1.1"
    if len(lines) > MOST_FIELDS:
        return f"a request has at most {MOST_FIELDS} fields"
    fields: dict[bytes, list[bytes]] = {}
    for line in lines:
        found = _FIELD.fullmatch(line)
        if found is None:
            return "a field is 'Name: value' on one line, without a blank before the colon"
        fields.setdefault(found[1].lower(), []).append(found[2].rstrip(b" \t"))
    if any(len(fields.get(name, ())) > 1 for name in _ONCE):
        return "Host, Content-Length and Transfer-Encoding stand once at most"
    return _length(fields, first.endswith(b".1")) or _host(fields, is_ours)


def _length(fields: dict[bytes, list[bytes]], modern: bool) -> str | None:
    """The fault of the length: a body has exactly one (section 6.3)."""
    (length,), (coding,) = (fields.get(name, [None]) for name in (b"content-length", b"transfer-encoding"))
    if coding is not None and (length is not None or not modern or coding.lower() != b"chunked"):
        return "a body is either chunked or has a Content-Length, not both and in no other coding"
    if length is not None and not re.fullmatch(rb"\d{1,15}", length):
        return "Content-Length is a number"
    return None


def _host(fields: dict[bytes, list[bytes]], is_ours: Callable[[str], bool]) -> str | None:
    host = _HOST.fullmatch(fields.get(b"host", [b""])[0].decode("latin-1"))
    if host is None:
        return "a request names one Host"
    return None if is_ours(host[1]) else "this gateway does not answer under this Host: see XRAYGPT_ALLOWED_HOSTS"


def names_of(settings: Settings) -> Callable[[str], bool]:
    """Whether the gateway answers under a host's name.

    It does under every bare address, the machine's name, ``localhost``, XRAYGPT_GATEWAY_HOST and the names in
    XRAYGPT_ALLOWED_HOSTS. So a foreign page whose name was made to lead here (DNS rebinding) is refused: a browser
    sends that name.
    """
    given = [name.lower() for name in settings.allowed_hosts]
    names = {"localhost", platform.node().lower(), settings.gateway_host.lower(), *given}
    below = tuple(name.removeprefix("*") for name in given if name.startswith(("*.", ".")))

    def is_ours(host: str) -> bool:
        name = host.lower().rstrip(".")
        return "*" in names or name in names or name.endswith(below) or _is_address(name)

    return is_ours


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host.removeprefix("[").removesuffix("]"))
    except ValueError:
        return False
    return True


class Chunks:
    """Checks a chunked body as it arrives: chunks without extensions, CR LF behind each, no trailer (section 7.1)."""

    _SIZE = re.compile(rb"[0-9A-Fa-f]{1,8}")

    def __init__(self) -> None:
        self.whole = False
        self._line = b""
        self._left = 0  # bytes of a chunk and the CR LF behind it
        self._last = False

    def sound(self, data: bytes) -> bool:
        """False if these bytes do not continue the body correctly. Bytes behind its end are not checked."""
        while data and not self.whole:
            if self._left:
                taken = min(len(data), self._left)
                self._left -= taken
                data = data[taken:]
                continue
            line, end, rest = data.partition(b"\n")
            self._line += line + end
            if not end:
                return len(self._line) <= 10
            if not self._ends(self._line):
                return False
            data, self._line = rest, b""
        return True

    def _ends(self, line: bytes) -> bool:
        """A line is whole: the size of the next chunk, or the blank one behind the last chunk."""
        if self._last:
            self.whole = True
            return line == b"\r\n"
        if not line.endswith(b"\r\n") or not self._SIZE.fullmatch(line[:-2]):
            return False
        size = int(line, 16)
        self._last = size == 0
        self._left = size + 2 if size else 0
        return True
