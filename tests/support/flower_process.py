"""Flower as the stack starts it, beside the broker of a test."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import httpx
import redis

from tests.support.worker_bench import eventually
from xraygpt.stack.servers.ports import choose

PASSWORD = "flower-password"


class FlowerProcess:
    """A running Flower, and a client that knows its password.

    Attributes:
        before: the tasks of former tests.
    """

    def __init__(self, process: subprocess.Popen[bytes], client: httpx.Client) -> None:
        self.process = process
        self.client = client
        self.before: set[str] = set()

    def tasks(self) -> dict[str, dict[str, Any]]:
        """What it lists, by id."""
        listed = self.client.get("/api/tasks").raise_for_status().json()
        return {task_id: task for task_id, task in listed.items() if task_id not in self.before}

    def workers(self) -> dict[str, dict[str, Any]]:
        """The rows of its page of workers, by name."""
        rows = self.client.get("/workers", params={"json": "1"}).raise_for_status().json()["data"]
        return {row["hostname"]: row for row in rows}


@contextmanager
def running_flower(redis_url: str) -> Iterator[FlowerProcess]:
    """Started, and listening to the broker's events."""
    port = choose()
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("XRAYGPT_", "FLOWER_"))}
    environment = clean | {
        "XRAYGPT_REDIS_URL": redis_url,
        "XRAYGPT_FLOWER_PORT": str(port),
        "XRAYGPT_FLOWER_PASSWORD": PASSWORD,
    }
    command = [sys.executable, "-m", "xraygpt.stack.servers.flower"]
    auth = ("xraygpt", PASSWORD)
    with (
        subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL) as process,
        httpx.Client(base_url=f"http://127.0.0.1:{port}", auth=auth, trust_env=False, timeout=120) as client,
        redis.Redis.from_url(redis_url) as broker,
    ):
        eventually(lambda: _answers(client), "Flower answers")
        eventually(lambda: broker.pubsub_numpat() > 0, "Flower listens to events")
        yield FlowerProcess(process, client)
        process.kill()


def _answers(client: httpx.Client) -> bool:
    with suppress(httpx.TransportError):
        return client.get("/healthcheck").is_success
    return False
