"""Flower beside a broker: it asks the workers, and ends while it does."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress

import httpx
import pytest

from tests.support.worker_bench import eventually
from xraygpt.stack.servers.ports import choose
from xraygpt_core.settings import Settings

AUTH = ("xraygpt", "flower-password")


@pytest.fixture
def flower(settings: Settings) -> Iterator[tuple[subprocess.Popen[bytes], httpx.Client]]:
    """Flower as the stack starts it, and a client that knows its password."""
    assert settings.hmac_key is not None
    port = choose()
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("XRAYGPT_", "FLOWER_"))}
    environment = clean | {
        "XRAYGPT_DATABASE_URL": settings.database_url.get_secret_value(),
        "XRAYGPT_REDIS_URL": settings.redis_url.get_secret_value(),
        "XRAYGPT_BUCKET": settings.bucket,
        "XRAYGPT_DERIVED_BUCKET": settings.derived_bucket,
        "XRAYGPT_HMAC_KEY": settings.hmac_key.get_secret_value(),
        "XRAYGPT_FLOWER_PORT": str(port),
        "XRAYGPT_FLOWER_PASSWORD": AUTH[1],
    }
    command = [sys.executable, "-m", "xraygpt.stack.servers.flower"]
    with (
        subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL) as process,
        httpx.Client(base_url=f"http://127.0.0.1:{port}", auth=AUTH, trust_env=False, timeout=120) as client,
    ):
        eventually(lambda: answers(client), "Flower answers")
        yield process, client
        process.kill()


def answers(client: httpx.Client) -> bool:
    with suppress(httpx.TransportError):
        return client.get("/healthcheck").is_success
    return False


Started = tuple[subprocess.Popen[bytes], httpx.Client]


def test_it_asks_the_workers_everything_it_shows_at_once(flower: Started) -> None:
    """Each question takes two connections to the broker; with too few of them none would ever be answered."""
    _, client = flower
    answer = client.get("/api/workers", params={"refresh": "true"})
    assert (answer.status_code, answer.json()) == (200, {})


def test_it_ends_though_it_is_just_asking_the_workers(flower: Started) -> None:
    process, _ = flower
    process.terminate()
    assert process.wait(120) == 0
