"""The guarded protocol on real sockets, in front of an application of a few lines."""

import asyncio
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
from pydantic import SecretStr

from api_gateway import connections
from api_gateway.server import GatewayServer
from xraygpt.stack.servers.ports import choose
from xraygpt_core.settings import Settings

HEAD = b"POST /x HTTP/1.1\r\nHost: 127.0.0.1\r\n"


async def application(scope: Any, receive: Any, send: Any) -> None:
    """Says how long the body was; ``/rude`` answers without reading it, ``/large`` with more than a socket holds."""
    if scope["type"] != "http":
        return
    size, more = 0, scope["path"] != "/rude"
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        size += len(message["body"])
        more = message["more_body"]
    fields = [(b"connection", b"close")] if scope["path"] == "/rude" else []
    text = b"x" * (16 << 20) if scope["path"] == "/large" else str(size).encode()
    fields.append((b"content-length", str(len(text)).encode()))
    await send({"type": "http.response.start", "status": 200, "headers": fields})
    await send({"type": "http.response.body", "body": text})


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., int]]:
    """A server on a port; keyword arguments change settings, and the guard's times where they are written large."""
    running: list[tuple[GatewayServer, threading.Thread]] = []

    def start(**changes: Any) -> int:
        for name in [name for name in changes if name.isupper()]:
            monkeypatch.setattr(connections, name, changes.pop(name))
        values = {"bucket": "a", "derived_bucket": "b", "hmac_key": "5" * 64, "redis_url": "redis://x"}
        port = choose()
        values |= {"gateway_port": port, "database_url": SecretStr("postgresql://x")}
        server = GatewayServer(application, Settings(**(values | changes)))
        monkeypatch.setattr(server._watchdog, "beat", lambda: None)
        thread = threading.Thread(target=lambda: asyncio.run(server._serve()))
        thread.start()
        running.append((server, thread))
        while not server.started:
            time.sleep(0.01)
        return port

    yield start
    for server, thread in running:
        server.should_exit = True
        thread.join()


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=20)


def rest(sock: socket.socket) -> bytes:
    """What is answered until the other side closes."""
    answer = b""
    with sock:
        while piece := sock.recv(1 << 16):
            answer += piece
    return answer


def exchange(port: int, sent: bytes) -> bytes:
    sock = connect(port)
    sock.sendall(sent)
    return rest(sock)


def hear(sock: socket.socket, awaited: bytes) -> bytes:
    """What is answered, up to these bytes."""
    answer = b""
    while not answer.endswith(awaited):
        piece = sock.recv(1 << 16)
        assert piece, answer
        answer += piece
    return answer


def busy(port: int) -> socket.socket:
    """A connection whose request has begun, for certain."""
    sock = connect(port)
    sock.sendall(HEAD + b"Content-Length: 5\r\nExpect: 100-continue\r\n\r\n")
    hear(sock, b"\r\n\r\n")
    return sock


def test_a_whole_request_is_answered_and_the_connection_kept(serve: Callable[..., int]) -> None:
    with connect(serve()) as sock:
        for _ in range(2):
            sock.sendall(HEAD + b"Content-Length: 5\r\n\r\nhello")
            hear(sock, b"\r\n\r\n5")
        sock.sendall(HEAD + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")
        hear(sock, b"\r\n\r\n3")


@pytest.mark.parametrize(
    "sent",
    [
        HEAD
        + b"Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /hidden HTTP/1.1\r\nHost: x\r\n\r\n",
        HEAD + b"Content-Length: 5\r\nContent-Length: 0\r\n\r\nhello",
        HEAD + b"X: y\n\r\n",
        HEAD + b"X: y\r\n z\r\n\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\n\r\n",
        b"GET http://127.0.0.1/ HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"GET /" + b"x" * 20_000,
    ],
)
def test_what_is_not_believed_gets_one_400_and_the_connection_ends(serve: Callable[..., int], sent: bytes) -> None:
    answer = exchange(serve(), sent)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert answer.count(b"HTTP/1.1 400") == 1
    assert b"HTTP/1.1 200" not in answer
    assert b"connection: close" in answer.lower()


def test_a_second_request_in_the_same_bytes_is_looked_at_as_the_first_was(serve: Callable[..., int]) -> None:
    good = HEAD + b"Content-Length: 5\r\n\r\nhello"
    answer = exchange(serve(), good + b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nA : b\r\n\r\n" + good)
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert answer.count(b"HTTP/1.1 ") == 2
    assert b"HTTP/1.1 400 " in answer


def test_a_bad_chunk_behind_good_ones_ends_the_request(serve: Callable[..., int]) -> None:
    sock = connect(serve())
    sock.sendall(HEAD + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
    sock.sendall(b"3;x\r\nabc\r\n0\r\n\r\n")
    assert rest(sock).startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize("sent", [b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX: "])
def test_a_head_that_does_not_come_ends_the_connection(serve: Callable[..., int], sent: bytes) -> None:
    assert exchange(serve(HEAD_SECONDS=0.5), sent).startswith(b"HTTP/1.1 408 ")


def test_a_head_that_trickles_ends_the_connection_too(serve: Callable[..., int]) -> None:
    sock = connect(serve(HEAD_SECONDS=0.5))
    sock.settimeout(0.05)
    end = time.monotonic() + 20
    while time.monotonic() < end:
        try:
            sock.sendall(b"G")
            if sock.recv(100).startswith(b"HTTP/1.1 408 "):
                break
        except TimeoutError:
            continue
    else:
        raise AssertionError("it may trickle for ever")
    sock.close()


def test_a_body_that_stops_ends_the_connection(serve: Callable[..., int]) -> None:
    answer = exchange(serve(SILENT_SECONDS=0.5), HEAD + b"Content-Length: 500\r\n\r\nhello")
    assert answer.startswith(b"HTTP/1.1 408 ")


def test_a_body_that_trickles_ends_the_connection(serve: Callable[..., int]) -> None:
    sock = connect(serve(RATE_AFTER_SECONDS=0.5))
    sock.sendall(HEAD + b"Content-Length: 50000\r\n\r\n")
    sock.settimeout(0.05)
    end = time.monotonic() + 20
    while time.monotonic() < end:
        try:
            sock.sendall(b"x")
            if sock.recv(100).startswith(b"HTTP/1.1 408 "):
                break
        except TimeoutError:
            continue
    else:
        raise AssertionError("it may trickle for ever")
    sock.close()


def test_who_does_not_take_his_answer_is_left(serve: Callable[..., int]) -> None:
    with connect(serve(SILENT_SECONDS=0.5)) as sock:
        sock.sendall(b"GET /large HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        gone = select.poll()
        gone.register(sock, select.POLLRDHUP | select.POLLHUP)
        assert gone.poll(20_000)


def test_an_answer_before_the_body_can_be_read_by_who_still_sends(serve: Callable[..., int]) -> None:
    sock = connect(serve())
    sock.sendall(b"POST /rude HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 4000000\r\n\r\n")
    for _ in range(40):
        sock.sendall(b"x" * 100_000)
    answer = rest(sock)
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert answer.endswith(b"\r\n\r\n0")


def test_where_there_are_too_many_the_oldest_that_asks_nothing_makes_room(serve: Callable[..., int]) -> None:
    port = serve(connections_per_address=5)
    working = busy(port)
    silent = [connect(port) for _ in range(30)]
    asking = connect(port)
    asking.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
    hear(asking, b"\r\n\r\n0")
    working.sendall(b"hello")
    hear(working, b"\r\n\r\n5")
    for sock in (*silent, asking, working):
        sock.close()


def test_where_all_are_busy_a_new_one_is_turned_away(serve: Callable[..., int]) -> None:
    port = serve(connections=2)
    working = [busy(port) for _ in range(2)]
    with connect(port) as late, suppress(ConnectionResetError):
        assert late.recv(100) == b""
    for sock in working:
        sock.sendall(b"hello")
        hear(sock, b"\r\n\r\n5")
        sock.close()


@pytest.mark.parametrize(("proxies", "sender"), [("", "127.0.0.1"), ("127.0.0.0/8", "192.0.2.9")])
def test_only_a_trusted_proxy_says_who_sends(
    serve: Callable[..., int], monkeypatch: pytest.MonkeyPatch, proxies: str, sender: str
) -> None:
    seen: list[str] = []

    async def asked(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            seen.append(scope["client"][0])
        await answer(scope, receive, send)

    answer = application
    monkeypatch.setitem(globals(), "application", asked)
    with connect(serve(trusted_proxies=proxies)) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Forwarded-For: 192.0.2.9\r\n\r\n")
        hear(sock, b"\r\n\r\n0")
    assert seen == [sender]
