"""Limits of connections: time limits for a head and a body, and a limit of open connections.

uvicorn limits only idle connections. This protocol adds the other limits, and refuses heads that
:mod:`api_gateway.head_checks` finds faulty. One pass a second visits all connections, so none needs a timer.
"""

import asyncio
import ipaddress
import socket
import struct
import time
from collections import Counter
from http import HTTPStatus
from typing import cast

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from api_gateway.head_checks import Chunks, fault, names_of
from xraygpt_core.metrics import HTTP_REFUSED
from xraygpt_core.settings import Settings

HEAD_SECONDS = 10.0  # for the whole head of a request
SILENT_SECONDS = 15.0  # between two pieces of a body, or while the client reads nothing of an answer
RATE_AFTER_SECONDS, LEAST_RATE = 20.0, 8 << 10  # from then on a body needs so many bytes a second
# The rest of a refused body is read and thrown away, so that its sender can read the answer.
PARTING_SECONDS, PARTING_BYTES = 2.0, 32 << 20
LONGEST_HEAD = 16 << 10


class ConnectionGuard:
    """The open connections of a gateway, and the limits that they share."""

    def __init__(self, settings: Settings) -> None:
        self.is_ours = names_of(settings)
        self._most = settings.connections
        self._most_of_one = settings.connections_per_address
        self._proxies = [ipaddress.ip_network(proxy) for proxy in settings.trusted_proxies]
        self._open: dict[GuardedProtocol, None] = {}  # the oldest first
        self._of: Counter[str] = Counter()

    def admit(self, connection: "GuardedProtocol") -> bool:
        """Make room for a new connection, if necessary by ending the oldest that has sent no request yet."""
        self._open[connection] = None
        self._of[connection.sender] += 1
        if self._of[connection.sender] > self._most_of_one and not self._is_proxy(connection.sender):
            return self._evict(connection, connection.sender)
        return len(self._open) <= self._most or self._evict(connection, None)

    def _is_proxy(self, sender: str) -> bool:
        try:
            return any(ipaddress.ip_address(sender) in proxy for proxy in self._proxies)
        except ValueError:
            return False

    def _evict(self, new: "GuardedProtocol", sender: str | None) -> bool:
        mine = [one for one in self._open if sender in (None, one.sender) and one is not new]
        # A connection without any request goes first; an idle one may be used again.
        chosen = next((one for one in mine if one.asks_nothing and one.waits), None)
        chosen = chosen or next((one for one in mine if one.waits), None)
        HTTP_REFUSED.labels("crowded").inc()
        if chosen is not None:
            chosen.drop()
            self.left(chosen)
        return chosen is not None

    def left(self, connection: "GuardedProtocol") -> None:
        """A connection ended."""
        if connection in self._open:
            del self._open[connection]
            self._of[connection.sender] -= 1
            if not self._of[connection.sender]:
                del self._of[connection.sender]

    def look(self) -> None:
        """End late connections; called once a second."""
        now = time.monotonic()
        for connection in list(self._open):
            connection.look(now)


class GuardedProtocol(H11Protocol):
    """uvicorn's protocol with limits. h11 still reads every request."""

    guard: ConnectionGuard

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        self.sender = self.client[0] if self.client else "nowhere"
        self._taken = self._looked = time.monotonic()
        self._head_since: float | None = self._looked
        self._body_since = self._heard = self._looked
        self._body_bytes = self._unsent = 0
        self._chunks: Chunks | None = None
        self._parting: int | None = None
        if not self.guard.admit(self):
            self.drop()

    def connection_lost(self, exc: Exception | None) -> None:
        self.guard.left(self)
        super().connection_lost(exc)

    @property
    def waits(self) -> bool:
        """It has no complete request: to end it loses no answer."""
        return self.conn.their_state is h11.IDLE and (self.cycle is None or self.cycle.response_complete)

    @property
    def asks_nothing(self) -> bool:
        """It was just opened, or a head has begun, and no complete head has come since."""
        return self._head_since is not None

    def data_received(self, data: bytes) -> None:
        if self._parting is not None:
            self._parting += len(data)
            if self._parting > PARTING_BYTES:
                self.drop()
            return
        if self.transport.is_closing():
            return
        now = time.monotonic()
        if self.conn.their_state is h11.SEND_BODY:
            self._body_bytes += len(data)
            self._heard = now
            if self._chunks and not self._chunks.sound(data):
                self._refuse(400, "malformed", "a chunk is its size in hex, CR LF, its bytes, CR LF")
                return
        elif self.conn.their_state is h11.IDLE and self._head_since is None:
            self._head_since = now
        super().data_received(data)

    def handle_events(self) -> None:
        if self.conn.their_state is h11.IDLE:
            waiting, _ = self.conn.trailing_data
            head, end, body = waiting.partition(b"\r\n\r\n")
            found = _too_long(head) or (fault(head + end, self.guard.is_ours) if end else _early_fault(waiting))
            if found is not None:
                self._refuse(400, "host" if "Host:" in found else "malformed", found)
                return
            self._chunks = Chunks() if b"chunked" in head.lower() else None
            if end and self._chunks and not self._chunks.sound(body):
                self._refuse(400, "malformed", "a chunk is its size in hex, CR LF, its bytes, CR LF")
                return
        before = self.cycle
        super().handle_events()
        if self.cycle is not before:
            self.cycle.transport = cast(asyncio.Transport, _Parting(self))
            self._head_since = None
            self._body_since = self._heard = time.monotonic()
            self._body_bytes = 0

    def look(self, now: float) -> None:
        """End this connection if it is late."""
        since_last, self._looked = now - self._looked, now
        if self._head_since is not None and now - self._head_since > HEAD_SECONDS:
            self._refuse(408, "slow head", f"the head of a request comes within {HEAD_SECONDS:.0f} seconds")
        elif self.conn.their_state is h11.SEND_BODY and self._parting is None:
            if self.flow.read_paused or self.cycle.waiting_for_100_continue:  # we do not listen
                self._body_since += since_last
                self._heard = now
            elif self._is_slow(now):
                self._refuse(408, "slow body", f"a body comes with {LEAST_RATE} bytes a second or more, without pauses")
        unsent = self.transport.get_write_buffer_size()
        if not unsent or unsent < self._unsent:
            self._taken = now
        self._unsent = unsent
        if now - self._taken > SILENT_SECONDS:
            HTTP_REFUSED.labels("slow reader").inc()
            self.drop()

    def _is_slow(self, now: float) -> bool:
        took = now - self._body_since
        if self.cycle.response_complete:  # it was answered already
            return took > SILENT_SECONDS
        return now - self._heard > SILENT_SECONDS or (
            took > RATE_AFTER_SECONDS and self._body_bytes < took * LEAST_RATE
        )

    def _refuse(self, status: int, reason: str, sentence: str) -> None:
        """Answer with the fault, if nothing is answered yet, and end the connection."""
        HTTP_REFUSED.labels(reason).inc()
        self._head_since = None
        if self.cycle and not self.cycle.response_complete:  # its application learns that the client is gone
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            text = f"{sentence}\n".encode()
            fields = {
                "content-type": "text/plain; charset=utf-8",
                "content-length": str(len(text)),
                "connection": "close",
            }
            start = h11.Response(status_code=status, headers=list(fields.items()), reason=HTTPStatus(status).phrase)
            for event in (start, h11.Data(data=text), h11.EndOfMessage()):
                self.transport.write(self.conn.send(event))
        self.part()

    def drop(self) -> None:
        """End it now; the kernel drops unsent bytes (SO_LINGER 0, socket(7))."""
        sock = self.transport.get_extra_info("socket")
        if sock is not None and not self.transport.is_closing():
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()

    def part(self) -> None:
        """Close so that a client that is still sending a body can read the answer first (RFC 9112, 9.6)."""
        if self.transport.is_closing() or self._parting is not None:
            return
        self._parting = 0
        self.flow.resume_reading()
        if self.transport.can_write_eof():
            self.transport.write_eof()
            self.loop.call_later(PARTING_SECONDS, self.drop)
        else:  # TLS
            self.transport.close()


def _too_long(head: bytes) -> str | None:
    return f"a head has at most {LONGEST_HEAD} bytes" if len(head) > LONGEST_HEAD else None


def _early_fault(waiting: bytes) -> str | None:
    """The fault of an incomplete head that cannot become a good one."""
    return "lines of a request end with CR LF" if waiting.count(b"\n") != waiting.count(b"\r\n") else None


class _Parting:
    """The transport of one request's cycle: it closes only after the client had a chance to read the answer."""

    def __init__(self, connection: GuardedProtocol) -> None:
        self._connection = connection

    def write(self, data: bytes) -> None:
        self._connection.transport.write(data)

    def is_closing(self) -> bool:
        return self._connection.transport.is_closing()

    def close(self) -> None:
        if self._connection.conn.their_state is h11.SEND_BODY:
            self._connection.part()
        else:
            self._connection.transport.close()


def guarded(guard: ConnectionGuard) -> type[asyncio.Protocol]:
    """The protocol class for ``uvicorn.Config(http=…)``."""
    return cast(type[asyncio.Protocol], type("GuardedBy", (GuardedProtocol,), {"guard": guard}))
