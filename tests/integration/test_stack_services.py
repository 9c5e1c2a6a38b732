"""The three embedded services, each with the real program."""

import http.server
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from queue import Queue
from typing import Any

import boto3
import httpx
import psycopg
import pytest
import redis
from botocore.config import Config
from botocore.exceptions import ClientError

from xraygpt.stack import postgres as postgres_module
from xraygpt.stack.broker import Broker
from xraygpt.stack.ports import choose
from xraygpt.stack.postgres import Postgres, identity
from xraygpt.stack.process import StackError
from xraygpt.stack.s3 import GRPC_OFFSET, ObjectServer

CANARY = "CANARY^SURNAME"


@contextmanager
def started(service: Any) -> Iterator[Any]:
    service.start()
    try:
        yield service
    finally:
        service.stop()


def kill(service: Any) -> None:
    """SIGKILL, and reap it."""
    os.kill(service.pid, 9)
    os.waitpid(service.pid, 0)


def command_line(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_text()


def client_of(server: ObjectServer) -> Any:
    return boto3.client(
        "s3",
        endpoint_url=server.url,
        aws_access_key_id=server.access_key,
        aws_secret_access_key=server.secret_key,
        region_name="us-east-1",
        config=Config(signature_version="s3v4", s3={"addressing_style": "path"}),
    )


# PostgreSQL


def test_postgres_keeps_its_rows_port_and_password_over_a_crash(tmp_path: Path) -> None:
    with started(Postgres(tmp_path)) as first, psycopg.connect(first.url, autocommit=True) as connection:
        connection.execute("CREATE TABLE kept (n int)")
        connection.execute("INSERT INTO kept VALUES (7)")
        kill(first)
    with started(Postgres(tmp_path)) as second, psycopg.connect(second.url) as connection:
        assert second.url == first.url
        row = connection.execute("SELECT n FROM kept").fetchone()
        assert row == (7,)


def test_postgres_asks_for_the_password_and_shows_it_nowhere(postgres: Postgres) -> None:
    wrong = postgres.url.replace(postgres.password, "wrong")
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(wrong)
    assert postgres.password not in command_line(postgres.pid)
    assert (postgres.directory / "service.json").stat().st_mode & 0o077 == 0


def test_the_application_role_is_no_superuser_and_durability_is_on(postgres: Postgres) -> None:
    with psycopg.connect(postgres.url) as connection:
        assert connection.execute("SELECT rolsuper FROM pg_roles WHERE rolname = current_user").fetchone() == (False,)
        for setting in ("fsync", "synchronous_commit", "full_page_writes"):
            assert connection.execute(f"SHOW {setting}".encode()).fetchone() == ("on",)


def test_a_failing_statement_leaves_no_value_in_the_log(postgres: Postgres) -> None:
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        connection.execute("CREATE TEMP TABLE people (name text PRIMARY KEY)")
        connection.execute("INSERT INTO people VALUES (%s)", [CANARY])
        with pytest.raises(psycopg.errors.UniqueViolation):
            connection.execute("INSERT INTO people VALUES (%s)", [CANARY])
    assert CANARY not in postgres.log.read_text()


def test_a_stale_pid_file_of_another_process_does_not_stop_postgres(tmp_path: Path) -> None:
    with started(Postgres(tmp_path)) as first:
        kill(first)
    pid_file = first.data / "postmaster.pid"
    lines = pid_file.read_text().splitlines()
    pid_file.write_text("\n".join([str(os.getppid()), *lines[1:]]) + "\n")
    with started(Postgres(tmp_path)) as second:
        assert second.running


def test_an_unfinished_initdb_is_begun_again(tmp_path: Path) -> None:
    (tmp_path / "data.new").mkdir()
    (tmp_path / "data.new" / "PG_VERSION").write_text("18\n")
    with started(Postgres(tmp_path)) as server:
        assert server.running


def test_postgres_on_a_taken_port_says_where_its_log_is(tmp_path: Path, postgres: Postgres) -> None:
    with pytest.raises(StackError, match=r"postgres ended with exit code 1 while starting; see .*postgres\.log"):
        Postgres(tmp_path, port=postgres.port).start()


@pytest.fixture
def no_namespaces(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As where a container forbids user namespaces; a normal user never needs them."""
    identity.cache_clear()
    monkeypatch.setattr(postgres_module.shutil, "which", lambda _: None)
    yield
    identity.cache_clear()


def test_without_user_namespaces_postgres_still_does_not_run_as_root(no_namespaces: None) -> None:
    with tempfile.TemporaryDirectory() as open_to_all:  # pytest's own folders are closed to nobody
        Path(open_to_all).chmod(0o711)
        home = Path(open_to_all) / "home"
        home.mkdir(mode=0o700)
        with started(Postgres(home / "postgres")) as server, psycopg.connect(server.url):
            assert Path(f"/proc/{server.pid}").stat().st_uid != 0
            assert server.data.stat().st_mode & 0o077 == 0


def test_a_directory_that_nobody_cannot_enter_is_named(no_namespaces: None, tmp_path: Path) -> None:
    if os.geteuid() == 0:
        (tmp_path / "closed").mkdir(mode=0o700)
        with pytest.raises(StackError, match="the user nobody cannot pass through"):
            Postgres(tmp_path / "closed" / "home" / "postgres").start()


# The broker


def test_the_broker_keeps_its_messages_over_a_crash(tmp_path: Path) -> None:
    with started(Broker(tmp_path)) as first, redis.Redis.from_url(first.url) as connection:
        connection.lpush("queue", *range(1000))
        connection.execute_command("WAITAOF", 1, 0, 5000)
        kill(first)
    with started(Broker(tmp_path)) as second, redis.Redis.from_url(second.url) as connection:
        assert second.url == first.url
        assert connection.llen("queue") == 1000


def test_the_broker_asks_for_the_password_and_shows_it_nowhere(broker: Broker) -> None:
    with redis.Redis(port=broker.port) as stranger, pytest.raises(redis.AuthenticationError):
        stranger.ping()
    assert broker.password not in command_line(broker.pid)
    assert broker.password not in broker.log.read_text()


def test_the_broker_never_drops_a_message_and_writes_every_second(broker: Broker) -> None:
    with redis.Redis.from_url(broker.url, decode_responses=True) as connection:
        assert connection.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
        assert connection.config_get("appendfsync") == {"appendfsync": "everysec"}
        assert connection.config_get("appendonly") == {"appendonly": "yes"}


def test_a_broker_on_a_taken_port_says_where_its_log_is(tmp_path: Path, broker: Broker) -> None:
    with pytest.raises(StackError, match=r"broker ended with exit code 1 while starting; see .*broker\.log"):
        Broker(tmp_path, port=broker.port).start()


# S3


def test_objects_survive_a_crash(tmp_path: Path) -> None:
    with started(ObjectServer(tmp_path)) as first, closing(client_of(first)) as client:
        client.create_bucket(Bucket="inbox")
        client.put_object(Bucket="inbox", Key="a.dcm", Body=b"1" * 100_000, ContentType="application/dicom")
        kill(first)
    with started(ObjectServer(tmp_path)) as second, closing(client_of(second)) as client:
        assert second.url == first.url
        found = client.get_object(Bucket="inbox", Key="a.dcm")
        assert (found["ContentLength"], found["ContentType"]) == (100_000, "application/dicom")


def test_objects_are_found_on_other_ports(tmp_path: Path) -> None:
    with started(ObjectServer(tmp_path)) as first, closing(client_of(first)) as client:
        client.create_bucket(Bucket="inbox")
        client.put_object(Bucket="inbox", Key="a.dcm", Body=b"1")
    second = ObjectServer(tmp_path)
    second.ports = {}
    with started(second), closing(client_of(second)) as client:
        assert second.url != first.url
        assert client.get_object(Bucket="inbox", Key="a.dcm")["Body"].read() == b"1"


def test_two_servers_run_side_by_side_on_loopback_only(tmp_path: Path, object_server: ObjectServer) -> None:
    with started(ObjectServer(tmp_path)) as other:
        ours = {port + offset for port in other.ports.values() for offset in (0, GRPC_OFFSET)}
        theirs = {port + offset for port in object_server.ports.values() for offset in (0, GRPC_OFFSET)}
        assert not ours & theirs
        expected = {("127.0.0.1", port) for port in ours}
        deadline = time.monotonic() + 20
        while listening(other.pid) != expected:  # its admin part comes last
            assert time.monotonic() < deadline


def listening(pid: int) -> set[tuple[str, int]]:
    """TCP sockets a process listens on, from /proc."""
    inodes = {
        os.readlink(link)[8:-1]
        for link in Path(f"/proc/{pid}/fd").iterdir()
        if link.is_symlink() and os.readlink(link).startswith("socket:")
    }
    found = set()
    for line in [
        *Path("/proc/net/tcp").read_text().splitlines()[1:],
        *Path("/proc/net/tcp6").read_text().splitlines()[1:],
    ]:
        fields = line.split()
        if fields[3] == "0A" and fields[9] in inodes:
            address, port = fields[1].split(":")
            found.add(("127.0.0.1" if address == "0100007F" else address, int(port, 16)))
    return found


def test_a_wrong_key_is_refused(object_server: ObjectServer) -> None:
    stranger = boto3.client(
        "s3",
        endpoint_url=object_server.url,
        aws_access_key_id=object_server.access_key,
        aws_secret_access_key="wrong",
        region_name="us-east-1",
    )
    with closing(stranger), pytest.raises(ClientError, match="SignatureDoesNotMatch"):
        stranger.list_buckets()


def test_the_filer_s_own_port_gives_no_object_away(object_server: ObjectServer) -> None:
    with closing(client_of(object_server)) as client:
        client.create_bucket(Bucket="closed")
        client.put_object(Bucket="closed", Key="a.dcm", Body=b"1")
    filer = f"http://127.0.0.1:{object_server.ports['filer']}"
    assert httpx.get(f"{filer}/buckets/closed/a.dcm", trust_env=False).status_code == 401
    assert httpx.get(f"{filer}/buckets/closed/", trust_env=False).status_code == 401


def test_neither_log_nor_command_line_tells_keys_and_secrets(tmp_path: Path) -> None:
    unheard = f"http://127.0.0.1:{choose()}/"
    with started(ObjectServer(tmp_path, webhook_url=unheard, webhook_token="bearer")) as server:
        with closing(client_of(server)) as client:
            client.create_bucket(Bucket="inbox")
            client.put_object(Bucket="inbox", Key=f"{CANARY}/a.dcm", Body=b"1")
            client.delete_object(Bucket="inbox", Key=f"{CANARY}/a.dcm")
        line = command_line(server.pid)
    assert server.secret_key not in line
    assert "bearer" not in line
    assert CANARY not in server.log.read_text()
    assert "S3           ready" in server.log.read_text()


def test_the_webhook_posts_what_changes_in_its_bucket(tmp_path: Path, webhook: tuple[str, Queue[Any]]) -> None:
    url, posted = webhook
    server = ObjectServer(tmp_path, webhook_url=url, webhook_token="token", webhook_bucket="inbox")
    with started(server), closing(client_of(server)) as client:
        for bucket in ("inbox", "other"):
            client.create_bucket(Bucket=bucket)
        client.put_object(Bucket="other", Key="b.dcm", Body=b"1")
        client.put_object(Bucket="inbox", Key="a b.dcm", Body=b"1")
        authorization, body = posted.get(timeout=20)
        assert authorization == "Bearer token"
        assert (body["event_type"], body["key"]) == ("create", "/buckets/inbox/a b.dcm")
        client.delete_object(Bucket="inbox", Key="a b.dcm")
        _, body = posted.get(timeout=20)
        assert (body["event_type"], body["key"]) == ("delete", "/buckets/inbox/a b.dcm")


@pytest.fixture
def webhook() -> Iterator[tuple[str, Queue[Any]]]:
    posted: Queue[Any] = Queue()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            posted.put((self.headers["Authorization"], json.loads(body)))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/", posted
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("make", [Postgres, Broker, ObjectServer])
def test_a_service_whose_starter_is_killed_ends_and_starts_again(tmp_path: Path, make: Callable[[Path], Any]) -> None:
    program = (
        f"import sys, time; from pathlib import Path; from {make.__module__} import {make.__name__} as Service\n"
        "service = Service(Path(sys.argv[1])); service.start(); print(service.pid, flush=True); time.sleep(600)"
    )
    command = [sys.executable, "-c", program, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as starter:
        assert starter.stdout is not None
        first = int(starter.stdout.readline())
        starter.kill()
    with started(make(tmp_path)) as again:
        assert again.pid != first
        assert again.running
