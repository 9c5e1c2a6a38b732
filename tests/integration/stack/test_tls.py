"""One switch, and every server of the stack speaks TLS and nothing else."""

import os
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import httpx
import psycopg
import pytest
import redis
from pydantic import SecretStr

from tests.e2e.conftest import Stack
from tests.e2e.phantom_folder import write_phantoms
from tests.support.service_tools import CANARY, kill, started
from xraygpt.stack.servers.broker import Broker
from xraygpt.stack.servers.postgres import Postgres
from xraygpt.stack.settings.certificates import Authority
from xraygpt_core.db import Database
from xraygpt_core.queue import Ring, open_doorbell
from xraygpt_core.settings import Settings
from xraygpt_core.states import JobKind, Lane


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[Postgres]:
    with started(Postgres(tmp_path_factory.mktemp("tls-postgres"), tls=authority)) as server:
        yield server


@pytest.fixture(scope="module")
def doorbell_server(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[Broker]:
    with started(Broker(tmp_path_factory.mktemp("tls-broker"), tls=authority)) as server:
        yield server


def listening() -> set[int]:
    """The TCP ports of this machine that somebody listens on."""
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    return {int(line.split()[1].split(":")[1], 16) for line in lines if line.split()[3] == "0A"}


def test_the_database_is_reached_by_tls_alone(database: Postgres, tmp_path: Path) -> None:
    assert "sslmode=verify-full" in database.url
    opened = Database(database.url)
    opened.ping()
    opened.close()
    with psycopg.connect(database.url) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    plain = database.url.partition("?")[0]
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(f"{plain}?sslmode=disable", connect_timeout=5)
    stranger = Authority(tmp_path / "stranger")
    with pytest.raises(psycopg.OperationalError, match="certificate verify failed"):
        psycopg.connect(f"{plain}?sslmode=verify-full&sslrootcert={stranger.file}", connect_timeout=5)


def test_no_server_listens_beside_its_tls_port(database: Postgres, doorbell_server: Broker) -> None:
    for server in (database, doorbell_server):
        sockets = {os.readlink(file) for file in Path(f"/proc/{server.pid}/fd").iterdir() if file.is_symlink()}
        inodes = {name[8:-1] for name in sockets if name.startswith("socket:[")}
        lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
        assert not [line for line in lines if line.split()[9] in inodes and line.split()[3] == "0A"]
        assert server.port in listening()


def test_the_broker_is_reached_by_tls_alone(doorbell_server: Broker) -> None:
    settings = Settings(
        database_url=SecretStr("postgresql://nobody@nowhere/none"),
        redis_url=SecretStr(doorbell_server.url),
        bucket="source",
        derived_bucket="derived",
    )
    doorbell = open_doorbell(settings)
    assert doorbell.ring([Ring(JobKind.INGEST, Lane.STAT, 2)]) == 2
    assert doorbell.lengths(["ingest.stat"]) == {"ingest.stat": 2}
    doorbell.close()
    with (
        redis.Redis(port=doorbell_server.port, password=doorbell_server.password, socket_timeout=5) as plain,
        pytest.raises((redis.ConnectionError, redis.TimeoutError)),
    ):
        plain.ping()
    with pytest.raises(ssl.SSLCertVerificationError):
        ssl.create_default_context().wrap_socket(
            socket.create_connection(("127.0.0.1", doorbell_server.port), 5), server_hostname="127.0.0.1"
        )


@pytest.mark.parametrize("words", [b"GET / HTTP/1.0\r\n\r\n", b"\0\0\0\x08\x04\xd2\x16\x30", b""])
def test_who_does_not_ask_for_tls_is_cut_off(database: Postgres, words: bytes) -> None:
    with socket.create_connection(("127.0.0.1", database.port), 5) as stranger:
        stranger.sendall(words)
        stranger.shutdown(socket.SHUT_WR)
        stranger.settimeout(5)
        assert stranger.recv(100) == b""


@pytest.mark.parametrize("part", [pytest.param("server", marks=pytest.mark.long), "front"])
def test_either_half_that_is_killed_is_started_again(tmp_path: Path, authority: Authority, part: str) -> None:
    with started(Postgres(tmp_path, tls=authority)) as server:
        if part == "server":
            kill(server)
        else:
            os.kill(server._front.pid, 9)
            server._front.wait(10)
        assert not server.running
        url = server.url
        server.start()  # as Restarts does
        assert server.url == url
        with psycopg.connect(url) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)


def written(home: Path) -> list[Path]:
    """Logs and memories of the stack: all but what the database and the bucket are made of."""
    inside = {home / "postgres" / "data", home / "s3" / "data", home / "s3" / "home"}
    return [
        path
        for path in home.rglob("*")
        if path.is_file() and not path.is_symlink() and not any(path.is_relative_to(one) for one in inside)
    ]


@pytest.mark.long
@pytest.mark.timeout(900)
def test_a_study_goes_through_a_stack_that_speaks_tls_alone(tmp_path: Path) -> None:
    from xraygpt_core.paths import models_dir

    stack = Stack(tmp_path / "home", models_dir())
    stack.environment |= {"XRAYGPT_STACK_TLS": "true", "XRAYGPT_LOG_LEVEL": "DEBUG"}
    up = stack.call("up", "--detach")
    assert up.code == 0, up.stderr
    try:
        facts = stack.facts
        assert facts["gateway_url"].startswith("https://")
        assert facts["s3_endpoint_url"].startswith("https://")
        assert facts["redis_url"].startswith("rediss://")
        done = stack.call("submit", str(write_phantoms(tmp_path / "films", 92_000, 1)[0]), "--wait")
        assert done.document["counts"] == {"summarised": 1}, stack.logs()
        study = done.document["studies"][0]["study_id"]
        assert stack.call("chat", study, f"Is there an effusion, {CANARY}?").code == 0
        for cast in ("SELECT question::uuid FROM chat_transcripts", "SELECT summary::int FROM study_summaries"):
            assert stack.call("query", cast).code == 1
        assert [path.name for path in written(stack.home) if CANARY.encode() in path.read_bytes()] == []
        plain = facts["gateway_url"].replace("https:", "http:")
        with pytest.raises(httpx.TransportError):
            httpx.get(f"{plain}/healthz", trust_env=False)
    finally:
        stack.down()
