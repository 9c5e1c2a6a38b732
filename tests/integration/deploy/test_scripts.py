"""The servers of docker-compose.yml, started by its own scripts from the wheels of the same versions."""

import contextlib
import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis
from botocore.exceptions import ClientError
from cryptography import x509

from tests.support.loopback import LoopbackServer, QuietHandler, answering
from tests.support.s3_tools import s3_client
from xraygpt.stack.servers import broker as embedded_broker
from xraygpt.stack.servers import s3 as embedded_s3
from xraygpt.stack.servers.ports import choose
from xraygpt.stack.servers.s3_doors import asks_for_certificate
from xraygpt.stack.servers.s3_identities import IDENTITIES, document

ONCE = {"total_max_attempts": 1}  # it is the test that asks again
DEPLOY = Path(__file__).parents[3] / "deploy"


def weed_ports() -> dict[str, int]:
    """Free ports for each of SeaweedFS's servers and its gRPC."""
    found: dict[str, int] = {}
    for server in embedded_s3.SERVERS:
        while (port := choose(offsets=(0, embedded_s3.GRPC_OFFSET))) in found.values():
            pass
        found[server] = port
    return found


def until(answers: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    """Wait for a server; fail when it ends or takes three minutes."""
    deadline = time.monotonic() + 180
    while not answers():
        assert process.poll() is None, f"it ended with {process.returncode}"
        assert time.monotonic() < deadline, "it does not answer"
        time.sleep(0.05)


@contextlib.contextmanager
def started(command: list[str], directory: Path, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process that is ended as Compose ends it: SIGTERM to the one process it started, and then whatever is left."""
    with (directory / "output").open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=directory,
            env=os.environ | environment,
            stdout=output,
            stderr=output,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                raise
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)


@pytest.fixture
def secrets(tmp_path: Path) -> Path:
    subprocess.run(["sh", str(DEPLOY / "make-secrets.sh"), str(tmp_path / "secrets")], check=True, capture_output=True)
    return tmp_path / "secrets"


def test_the_broker_starts_with_its_password_and_ends_on_sigterm(tmp_path: Path, secrets: Path) -> None:
    port = choose()
    # The configuration on standard input is read last, so the port goes in front of the `-` that stands for it.
    server = ["sh", "-c", f'exec {embedded_broker.program()} "$@" --port {port} --bind 127.0.0.1', "valkey-server"]
    command = ["sh", str(DEPLOY / "broker.sh"), *server]

    def answers() -> bool:
        with redis.Redis(port=port, password=(secrets / "redis_password").read_text()) as client:
            try:
                return bool(client.ping())
            except redis.ConnectionError:
                return False

    with started(command, tmp_path, SECRETS=str(secrets)) as process:
        until(answers, process)
        with redis.Redis(port=port) as stranger, pytest.raises(redis.AuthenticationError):
            stranger.ping()
        with redis.Redis(port=port, password=(secrets / "redis_password").read_text()) as client:
            kept: Any = client.config_get("*")
        assert (kept["appendonly"], kept["maxmemory-policy"], kept["save"]) == ("yes", "noeviction", "")
        assert (secrets / "redis_password").read_text() not in Path(f"/proc/{process.pid}/cmdline").read_text()
    assert process.returncode == 0


class Webhook(LoopbackServer):
    """Stands where the gateway would, and keeps what it is told of one object."""

    def __init__(self, key: bytes) -> None:
        super().__init__(_Posted)
        self.key, self.called = key, threading.Event()
        self.authorization: str | None = None


class _Posted(QuietHandler):
    server: Webhook

    def do_POST(self) -> None:
        about_it = self.server.key in self.body()
        self.send(200)
        if about_it:
            self.server.authorization = self.headers["Authorization"]
            self.server.called.set()


def forgets(client: Any, data: Path, process: subprocess.Popen[bytes]) -> None:
    """What is deleted from the derived bucket leaves the disk, and nothing else does."""
    picture = os.urandom(1000)
    client.create_bucket(Bucket="derived")
    client.put_object(Bucket="derived", Key="normalised/kept.png", Body=b"x")
    client.put_object(Bucket="derived", Key="purged.png", Body=picture)
    assert any(picture in path.read_bytes() for path in data.glob("derived_*.dat"))
    client.delete_object(Bucket="derived", Key="purged.png")
    until(lambda: not any(picture in path.read_bytes() for path in data.glob("derived_*.dat")), process)


def test_the_identities_of_the_containers_are_those_of_the_one_machine_stack() -> None:
    keys = {name: (f"${{S3_{name.upper()}_ACCESS_KEY}}", f"${{S3_{name.upper()}_SECRET_KEY}}") for name in IDENTITIES}
    expected = document(keys, ("SOURCE_BUCKET", "DERIVED_BUCKET"))
    assert json.loads((DEPLOY / "s3-identities.json").read_text()) == expected


def test_secrets_are_made_once_and_a_certificate_anew_before_it_ends(tmp_path: Path) -> None:
    def make() -> dict[str, bytes]:
        subprocess.run(["sh", str(DEPLOY / "make-secrets.sh"), str(tmp_path)], check=True, capture_output=True)
        return {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    first = make()
    assert make() == first
    assert tmp_path.stat().st_mode & 0o777 == 0o700  # so that files may be readable for the servers' own users
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600, 0o444}
    ends = x509.load_pem_x509_certificate(first["s3_inside.crt"]).not_valid_after_utc
    assert ends > datetime.now(UTC) + timedelta(days=700)
    short = ["openssl", "x509", "-in", str(tmp_path / "s3_inside.crt"), "-key", str(tmp_path / "s3_inside.key")]
    soon = subprocess.run([*short, "-days", "399"], check=True, capture_output=True).stdout
    (tmp_path / "s3_inside.crt").write_bytes(soon)
    assert {name for name, content in make().items() if content != first[name]} == {"s3_inside.crt", "s3_inside.key"}


def test_the_bucket_starts_with_its_keys_tells_the_gateway_and_logs_no_object_key(
    tmp_path: Path, secrets: Path
) -> None:
    ports = weed_ports()
    home, data, ca_file = tmp_path / "home", tmp_path / "data", secrets / "s3_inside.crt"
    home.mkdir()
    data.mkdir()
    url = f"http://127.0.0.1:{ports['s3']}"
    options = [f"-dir={data}", "-ip.bind=127.0.0.1", *(f"-{name}.port={port}" for name, port in ports.items())]
    path = f"{embedded_s3.program().parent}:{os.environ['PATH']}"

    def answers() -> bool:
        try:
            return httpx.get(f"{url}/healthz", timeout=5, trust_env=False).is_success
        except httpx.TransportError:
            return False

    with answering(Webhook(b"DOE^JANE")) as webhook:
        environment = {
            "PATH": path,
            "SECRETS": str(secrets),
            "WEBHOOK_URL": f"{webhook.url}/v1/events/s3",
            "WEBHOOK_BUCKET": "source",
            "DERIVED_BUCKET": "derived",
            "COMPACT_SECONDS": "1",
            "MASTER": f"127.0.0.1:{ports['master']}.{ports['master'] + embedded_s3.GRPC_OFFSET}",
            "FILER": f"127.0.0.1:{ports['filer']}.{ports['filer'] + embedded_s3.GRPC_OFFSET}",
            "HOME": str(home),
        }
        with started(["sh", str(DEPLOY / "s3.sh"), *options], home, **environment) as process:
            until(answers, process)
            keys = [(secrets / name).read_text() for name in ("s3_access_key", "s3_secret_key")]
            with contextlib.closing(s3_client(url, *keys, retries=ONCE)) as client:
                client.create_bucket(Bucket="source")

                def takes() -> bool:
                    try:
                        client.put_object(Bucket="source", Key="DOE^JANE/1.dcm", Body=b"x")
                    except ClientError:  # it is well before its volumes are
                        return False
                    return True

                until(takes, process)
                forgets(client, data, process)
            for server, port in ports.items():
                inside = [port + embedded_s3.GRPC_OFFSET, *([] if server == "s3" else [port])]
                until(lambda inside=inside: all(asks_for_certificate(one, ca_file) for one in inside), process)
            gpu = [(secrets / name).read_text() for name in ("s3_gpu_access_key", "s3_gpu_secret_key")]
            with contextlib.closing(s3_client(url, *gpu, retries=ONCE)) as client:
                assert client.get_object(Bucket="derived", Key="normalised/kept.png")["ContentLength"] == 1
                with pytest.raises(ClientError, match="AccessDenied"):
                    client.put_object(Bucket="derived", Key="normalised/kept.png", Body=b"x")
                with pytest.raises(ClientError, match="AccessDenied"):
                    client.get_object(Bucket="source", Key="DOE^JANE/1.dcm")
            with (
                contextlib.closing(s3_client(url, keys[0], "wrong", retries=ONCE)) as stranger,
                pytest.raises(ClientError),
            ):
                stranger.get_object(Bucket="source", Key="DOE^JANE/1.dcm")
            assert webhook.called.wait(120)
        assert webhook.authorization == f"Bearer {(secrets / 'webhook_token').read_text()}"
    assert "DOE" not in (home / "output").read_text()
