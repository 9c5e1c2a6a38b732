"""Flower as we start it, asked over HTTP in a process of its own; no broker is needed for what is tested here."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator

import httpx
import pytest

from xraygpt.stack.ports import choose

USER, PASSWORD = "xraygpt", "flower-password"


def environment(port: int) -> dict[str, str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("XRAYGPT_", "FLOWER_"))}
    return clean | {
        "XRAYGPT_REDIS_URL": "redis://127.0.0.1:1/0",
        "XRAYGPT_FLOWER_PORT": str(port),
    }


@pytest.fixture(scope="module")
def flower() -> Iterator[str]:
    port = choose()
    command = [sys.executable, "-m", "xraygpt.stack.flower"]
    settings = environment(port) | {"XRAYGPT_FLOWER_PASSWORD": PASSWORD}
    with subprocess.Popen(command, env=settings, stderr=subprocess.DEVNULL) as process:
        url = f"http://127.0.0.1:{port}"
        deadline = time.monotonic() + 120
        while not answers(url):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield url
        process.terminate()
        assert process.wait(120) == 0


def answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/healthcheck", timeout=60, trust_env=False).status_code == 200
    except httpx.TransportError:
        return False


@pytest.mark.parametrize(
    "path", ["/", "/workers", "/tasks", "/broker", "/api/workers", "/api/tasks", "/api/task/types"]
)
def test_nothing_is_shown_without_the_password(flower: str, path: str) -> None:
    assert httpx.get(flower + path, timeout=60, trust_env=False).status_code == 401
    assert httpx.get(flower + path, auth=(USER, "wrong"), timeout=60, trust_env=False).status_code == 401


@pytest.mark.parametrize("auth", [None, (USER, PASSWORD)])
def test_metrics_are_not_there(flower: str, auth: tuple[str, str] | None) -> None:
    assert httpx.get(f"{flower}/metrics", auth=auth, timeout=60, trust_env=False).status_code == 404


@pytest.mark.parametrize("path", ["/", "/tasks"])
def test_pages_are_there_with_the_password(flower: str, path: str) -> None:
    answer = httpx.get(flower + path, auth=(USER, PASSWORD), timeout=60, trust_env=False)
    assert (answer.status_code, "Flower" in answer.text) == (200, True)


def test_flower_does_not_start_without_a_password() -> None:
    command = [sys.executable, "-m", "xraygpt.stack.flower"]
    done = subprocess.run(command, env=environment(choose()), capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == "xraygpt.stack.flower: settings: XRAYGPT_FLOWER_PASSWORD is missing\n"
