import runpy
import socket

import pytest

from xraygpt.stack.processes.child import StackError
from xraygpt.stack.servers import ports
from xraygpt.stack.servers.ports import choose, given, is_free, keep, occupy


def listener() -> tuple[socket.socket, int]:
    """Below the ephemeral ports, one of which the kernel may give to others once this server is closed."""
    port = choose()
    return socket.create_server(("127.0.0.1", port)), port


def test_a_port_somebody_listens_on_is_not_free() -> None:
    server, port = listener()
    with server:
        assert not is_free(port)
    assert is_free(port)


def test_the_remembered_port_is_chosen_while_it_is_free() -> None:
    port = choose()
    assert choose(port) == port


def test_a_remembered_port_that_is_taken_is_replaced() -> None:
    server, port = listener()
    with server:
        assert choose(port) != port


def test_a_port_whose_companion_is_taken_is_not_chosen() -> None:
    server, port = listener()
    with server:
        assert choose(port - 7, offsets=(0, 7)) != port - 7


def test_ports_are_chosen_below_the_ephemeral_range() -> None:
    chosen = [choose(offsets=(0, 10000)) for _ in range(20)]
    assert all(ports.LOWEST <= port <= ports.HIGHEST for port in chosen)
    assert runpy.run_path(ports.__file__)["HIGHEST"] + 10000 < 32768  # a test process may have a part of them only


def test_no_free_port_is_an_error_that_names_the_range(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "is_free", lambda *_: False)
    with pytest.raises(StackError, match=f"between {ports.LOWEST} and {ports.HIGHEST} "):
        choose()


def test_a_port_that_is_held_is_not_chosen_by_anybody_else_and_free_afterwards() -> None:
    port = choose()
    with occupy(port):
        assert not is_free(port)
        with pytest.raises(StackError, match=f"port {port} "):
            occupy(port)
    assert is_free(port)


def test_a_port_with_connections_in_time_wait_can_be_held() -> None:
    server, port = listener()
    with socket.create_connection(("127.0.0.1", port)) as client:
        accepted, _ = server.accept()
        accepted.close()  # whoever closes first waits
        client.recv(1)
    server.close()
    occupy(port).close()


def test_a_port_that_is_set_is_taken_or_refused_in_one_sentence() -> None:
    said: list[str] = []
    server, port = listener()
    with server, pytest.raises(StackError, match=rf"listens on port {port} .* or set XRAYGPT_GATEWAY_PORT to another"):
        keep("gateway", {"XRAYGPT_GATEWAY_PORT": str(port)}, None, said.append)
    assert keep("gateway", {"XRAYGPT_GATEWAY_PORT": str(port)}, 1, said.append) == port
    assert said == []


def test_an_address_that_moves_is_said_with_how_to_keep_one() -> None:
    said: list[str] = []
    server, port = listener()
    assert keep("flower", {}, None, said.append) != 0
    with server:
        moved = keep("flower", {}, port, said.append)
    assert said == [
        f"another program listens on port {port}, so flower moves to port {moved}: bookmarks must be made anew. "
        "XRAYGPT_FLOWER_PORT keeps a port"
    ]
    assert keep("flower", {}, port, said.append) == port
    assert len(said) == 1


@pytest.mark.parametrize("text", ["0", "65536", "-1", "http", "80 ", "٨٠", "8e3"])
def test_what_is_no_port_is_said(text: str) -> None:
    with pytest.raises(StackError, match=r"XRAYGPT_S3_PORT: .* is no port: give a number from 1 to 65535"):
        given("s3", {"XRAYGPT_S3_PORT": text})
    assert given("s3", {"XRAYGPT_S3_PORT": ""}) is None
    assert given("s3", {"XRAYGPT_S3_PORT": "8333"}) == 8333
