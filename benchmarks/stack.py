"""The services and processes a benchmark of the queue needs, started in a temporary directory and stopped again."""

import contextlib
import hashlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import psycopg

from migrations.upgrade import upgrade
from xraygpt.stack.processes.child import Child, die_with_parent
from xraygpt.stack.servers.broker import Broker
from xraygpt.stack.servers.ports import choose
from xraygpt.stack.servers.postgres import Postgres

WEBHOOK_TOKEN = "benchmark"
_READY_SECONDS = 60.0


@dataclass
class BenchmarkStack:
    """PostgreSQL, the broker and a bucket; the settings by which a process of ours finds them."""

    directory: Path
    postgres: Postgres
    broker: Broker
    environment: dict[str, str]

    @property
    def gateway_url(self) -> str:
        return f"http://127.0.0.1:{self.environment['XRAYGPT_GATEWAY_PORT']}"

    def connect(self) -> "psycopg.Connection":
        """A connection of the benchmark's own, to look at the database."""
        return psycopg.connect(self.postgres.url, autocommit=True)

    @contextlib.contextmanager
    def processes(self, commands: dict[str, list[str]], **settings: str) -> Iterator[dict[str, Child]]:
        """Our own processes (``python -m …`` by name), killed at the end.

        Args:
            settings: variables ``XRAYGPT_*`` in lower case without the prefix.
        """
        environment = os.environ | self.environment | {f"XRAYGPT_{n.upper()}": v for n, v in settings.items()}
        children = {
            name: Child(
                name,
                [sys.executable, "-m", *command],
                log=self.directory / f"{name}.log",
                directory=Path.cwd(),
                environment=environment,
            )
            for name, command in commands.items()
        }
        try:
            for child in children.values():
                child.start()
            if "gateway" in children:
                children["gateway"].wait_until(self._gateway_answers, _READY_SECONDS)
            yield children
        finally:
            for child in children.values():
                child.stop()

    def _gateway_answers(self) -> bool:
        with contextlib.suppress(httpx.TransportError):
            return httpx.get(f"{self.gateway_url}/healthz", trust_env=False).is_success
        return False


@contextlib.contextmanager
def services() -> Iterator[BenchmarkStack]:
    """PostgreSQL (migrated, durable as delivered), the broker, and an empty bucket."""
    with tempfile.TemporaryDirectory(prefix="xraygpt-bench-") as temporary:
        directory = Path(temporary)
        directory.chmod(0o755)
        postgres, broker = Postgres(directory / "postgres"), Broker(directory / "broker")
        bucket = serve_bucket(0)
        try:
            postgres.start()
            broker.start()
            upgrade(postgres.url)
            yield BenchmarkStack(directory, postgres, broker, _environment(postgres, broker, bucket.url))
        finally:
            bucket.stop()
            broker.stop()
            postgres.stop()


@dataclass
class Bucket:
    """The server of :mod:`benchmarks.bucket`."""

    process: "subprocess.Popen[str]"
    url: str

    def stop(self) -> None:
        self.process.kill()
        self.process.communicate()


def serve_bucket(keys: int) -> Bucket:
    """Start the bucket in a process of its own."""
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.bucket", str(keys)],
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=die_with_parent(),
    )
    assert process.stdout is not None
    return Bucket(process, process.stdout.readline().strip())


def wait_until_quiet(connection: "psycopg.Connection", condition: str, seconds: float = 600.0) -> float:
    """Wait until this SQL condition holds; the moment it was seen to.

    Raises:
        TimeoutError: it does not come true.
    """
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        row = connection.execute(f"SELECT {condition}").fetchone()
        if row is not None and row[0]:
            return time.monotonic()
        time.sleep(0.1)
    raise TimeoutError(f"not within {seconds:g} seconds: {condition}")


def _environment(postgres: Postgres, broker: Broker, bucket_url: str) -> dict[str, str]:
    return {
        "XRAYGPT_DATABASE_URL": postgres.url,
        "XRAYGPT_REDIS_URL": broker.url,
        "XRAYGPT_S3_ENDPOINT_URL": bucket_url,
        "XRAYGPT_S3_ACCESS_KEY": "benchmark",
        "XRAYGPT_S3_SECRET_KEY": "benchmark",
        "XRAYGPT_BUCKET": "source",
        "XRAYGPT_DERIVED_BUCKET": "derived",
        "XRAYGPT_HMAC_KEY": hashlib.sha256(b"the benchmarks of XrayGPT").hexdigest(),
        "XRAYGPT_WEBHOOK_TOKEN": WEBHOOK_TOKEN,
        "XRAYGPT_GATEWAY_PORT": str(choose(None)),
        "XRAYGPT_SWEEP_SECONDS": "0",
    }
