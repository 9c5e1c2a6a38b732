"""The embedded S3 server, with the real program."""

import json
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from queue import Queue
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from tests.support.loopback import LoopbackServer, QuietHandler, answering
from tests.support.s3_tools import s3_client
from tests.support.service_tools import CANARY, command_line, kill, started
from tests.support.strangers import listening
from xraygpt.stack.processes.child import StackError
from xraygpt.stack.servers.ports import choose
from xraygpt.stack.servers.s3 import GRPC_OFFSET, ObjectServer
from xraygpt.stack.servers.s3_doors import S3Doors


def client_of(server: ObjectServer) -> Any:
    return s3_client(server.url, server.access_key, server.secret_key)


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
        listening_on(other.pid, ours)


def listening_on(pid: int, ports: set[int]) -> None:
    """Wait until it listens on these and on no others, on loopback alone."""
    deadline = time.monotonic() + 60
    while listening(pid) != {("127.0.0.1", port) for port in ports}:  # its admin server comes last
        assert time.monotonic() < deadline
        time.sleep(0.05)


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


def test_its_own_servers_ask_for_a_certificate(object_server: ObjectServer) -> None:
    http, grpc = {*object_server.ports.values()}, {port + GRPC_OFFSET for port in object_server.ports.values()}
    listening_on(object_server.pid, http | grpc)
    S3Doors(object_server.directory / "certificates").check((http | grpc) - {object_server.ports["s3"]})


def test_it_does_not_start_where_its_certificate_locks_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    locked = S3Doors.environment

    def without(doors: S3Doors) -> dict[str, str]:  # nobody but a stranger calls this one, so nothing else would notice
        return {name: value for name, value in locked(doors).items() if "GRPC_S3" not in name}

    monkeypatch.setattr(S3Doors, "environment", without)
    server = ObjectServer(tmp_path)
    with pytest.raises(StackError, match="asks for no certificate"):
        server.start()
    assert not server.running


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
        authorization, body = posted.get(timeout=120)
        assert authorization == "Bearer token"
        assert (body["event_type"], body["key"]) == ("create", "/buckets/inbox/a b.dcm")
        client.delete_object(Bucket="inbox", Key="a b.dcm")
        while body["event_type"] == "create":  # it may be posted again if it was not answered at once
            _, body = posted.get(timeout=120)
        assert (body["event_type"], body["key"]) == ("delete", "/buckets/inbox/a b.dcm")


@pytest.fixture
def webhook() -> Iterator[tuple[str, Queue[Any]]]:
    posted: Queue[Any] = Queue()

    class Handler(QuietHandler):
        def do_POST(self) -> None:
            posted.put((self.headers["Authorization"], json.loads(self.body())))
            self.send(200)

    with answering(LoopbackServer(Handler)) as server:
        yield f"{server.url}/", posted
