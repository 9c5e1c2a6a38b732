"""A start's look at its doors, and the compaction that is asked for again and again; no S3 server is started."""

import os
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from xraygpt.stack.processes.child import StackError
from xraygpt.stack.servers import s3_compaction
from xraygpt.stack.servers.s3_compaction import Compaction
from xraygpt.stack.servers.s3_doors import S3Doors, asks_for_certificate
from xraygpt.stack.settings.certificates import Authority


@contextmanager
def listening(tls: ssl.SSLContext | None) -> Iterator[int]:
    """A server that greets one client, by TLS or in the clear; the port."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            try:
                connection, _ = server.accept()
                with connection, tls.wrap_socket(connection, server_side=True) if tls else connection as greeted:
                    greeted.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            except OSError:  # refused, or nobody came
                pass

        thread = threading.Thread(target=serve)
        thread.start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
        thread.join()


def tls_of(authority: Authority, verify: ssl.VerifyMode) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(authority.file))
    issued = authority.issue("node")
    context.load_cert_chain(issued.file, issued.key_file)
    context.verify_mode = verify
    return context


def test_a_server_that_asks_for_a_certificate_is_locked(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    with listening(tls_of(authority, ssl.CERT_REQUIRED)) as port:
        assert asks_for_certificate(port, authority.file)


def test_a_server_in_the_clear_is_not(tmp_path: Path) -> None:
    with listening(None) as port, pytest.raises(StackError, match=f"port {port} "):
        S3Doors(tmp_path).check([port])


def test_nor_is_one_that_lets_everybody_in(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    with listening(tls_of(authority, ssl.CERT_NONE)) as port:
        assert not asks_for_certificate(port, authority.file)


def test_nor_is_one_of_somebody_else(tmp_path: Path) -> None:
    with listening(tls_of(Authority(tmp_path / "theirs"), ssl.CERT_REQUIRED)) as port:
        assert not asks_for_certificate(port, Authority(tmp_path / "ours").file)


def program(path: Path, script: str) -> Path:
    """Stands for weed."""
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o700)
    return path


@pytest.mark.parametrize("script", ["cat > /dev/null; echo error: CANARY is locked", "cat > /dev/null; exit 1"])
def test_a_compaction_that_fails_says_so_without_naming_an_object(tmp_path: Path, script: str) -> None:
    compaction = Compaction(program(tmp_path / "weed", script), tmp_path, "derived", tmp_path / "log")
    with pytest.raises(StackError, match=r"^s3: compaction failed$"):
        compaction.run("master", "filer", os.environ)


def test_a_compaction_that_does_not_end_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3_compaction, "SHELL_SECONDS", 0.1)
    compaction = Compaction(program(tmp_path / "weed", "exec sleep 600"), tmp_path, "derived", tmp_path / "log")
    with pytest.raises(StackError, match="took longer"):
        compaction.run("master", "filer", os.environ)


def test_compaction_goes_on_after_a_failure_that_the_log_tells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3_compaction, "SECONDS", 0.01)
    compaction = Compaction(tmp_path / "weed", tmp_path, "derived", tmp_path / "log")
    asked, again = threading.Event(), threading.Event()

    def once() -> None:
        if asked.is_set():
            again.set()
            return
        asked.set()
        raise StackError("s3: compaction failed")

    compaction.keep(once)
    assert again.wait(60)
    compaction.stop()
    assert (tmp_path / "log").read_text() == "s3: compaction failed\n"
