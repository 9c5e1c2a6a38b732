"""Flower as we start it, asked over HTTP in a process of its own; no broker is needed for what is tested here."""

import base64
import hashlib
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator

import httpx
import pytest

from tests.support.loopback import LoopbackServer, QuietHandler, answering
from xraygpt.stack.servers.flower_guard import FREE_FAILURES, Locks
from xraygpt.stack.servers.ports import choose

USER, PASSWORD = "xraygpt", "flower-password"


def environment(port: int) -> dict[str, str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("XRAYGPT_", "FLOWER_"))}
    return clean | {
        "XRAYGPT_REDIS_URL": "redis://127.0.0.1:1/0",
        "XRAYGPT_FLOWER_PORT": str(port),
    }


class Gateway(QuietHandler):
    """Knows the keys of an operator and of a reader."""

    def do_GET(self) -> None:
        roles = {"xgpt_operator": ["operator"], "xgpt_reader": ["reader"]}.get(self.headers["X-API-Key"])
        self.send(401 if roles is None else 200, json.dumps({"roles": roles}).encode())


@pytest.fixture(scope="module")
def gateway() -> Iterator[str]:
    with answering(LoopbackServer(Gateway)) as server:
        yield server.url


@pytest.fixture(scope="module")
def flower(gateway: str) -> Iterator[str]:
    port = choose()
    command = [sys.executable, "-m", "xraygpt.stack.servers.flower"]
    settings = environment(port) | {"XRAYGPT_FLOWER_PASSWORD": PASSWORD, "XRAYGPT_FLOWER_GATEWAY_URL": gateway}
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
    assert ask(flower, path) == 401
    assert ask(flower, path, "wrong") == 401
    assert ask(flower, path, PASSWORD) != 401  # and the failure is forgotten


@pytest.mark.parametrize("auth", [None, (USER, PASSWORD)])
def test_metrics_are_not_there(flower: str, auth: tuple[str, str] | None) -> None:
    assert httpx.get(f"{flower}/metrics", auth=auth, timeout=60, trust_env=False).status_code == 404


@pytest.mark.parametrize("path", ["/", "/tasks"])
def test_pages_are_there_with_the_password(flower: str, path: str) -> None:
    answer = httpx.get(flower + path, auth=(USER, PASSWORD), timeout=60, trust_env=False)
    assert (answer.status_code, "Flower" in answer.text) == (200, True)


def test_flower_does_not_start_without_a_password() -> None:
    command = [sys.executable, "-m", "xraygpt.stack.servers.flower"]
    done = subprocess.run(command, env=environment(choose()), capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == "xraygpt.stack.servers.flower: settings: XRAYGPT_FLOWER_PASSWORD is missing\n"


def ask(flower: str, path: str, password: str | None = None, method: str = "GET", **more: str) -> int:
    auth = None if password is None else (USER, password)
    return httpx.request(method, flower + path, auth=auth, headers=more, timeout=60, trust_env=False).status_code


@pytest.mark.parametrize(
    "path",
    [
        "/api/task/send-task/any.name", "/api/task/apply/any.name", "/api/task/async-apply/any.name",
        "/api/task/revoke/1", "/api/task/abort/1", "/api/task/timeout/x", "/api/task/rate-limit/x",
        "/api/worker/shutdown/w", "/api/worker/pool/restart/w", "/api/worker/pool/grow/w", "/api/worker/pool/shrink/w",
        "/api/worker/pool/autoscale/w", "/api/worker/queue/add-consumer/w", "/api/worker/queue/cancel-consumer/w",
    ],
)  # fmt: skip
def test_nothing_is_changed_through_it(flower: str, path: str) -> None:
    assert ask(flower, path, PASSWORD, "POST") == 404


def test_an_operator_s_key_opens_it_and_no_other_key_does(flower: str) -> None:
    assert ask(flower, "/api/task/types", "xgpt_operator") == 200
    assert ask(flower, "/api/task/types", "xgpt_operator") == 200
    assert ask(flower, "/api/task/types", "xgpt_reader") == 401
    assert ask(flower, "/api/task/types", "xgpt_unknown") == 401
    assert ask(flower, "/api/task/types", PASSWORD) == 200


@pytest.mark.parametrize("path", ["/", "/nowhere", "/static/css/flower.css", "/api/task/types"])
def test_a_browser_is_told_to_be_careful_with_every_answer(flower: str, path: str) -> None:
    headers = httpx.get(flower + path, auth=(USER, PASSWORD), timeout=60, trust_env=False).headers
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert "unsafe-inline" not in headers["content-security-policy"]
    assert headers["x-frame-options"] == "DENY"


def test_the_page_s_own_script_runs_and_no_other(flower: str) -> None:
    answer = httpx.get(flower, auth=(USER, PASSWORD), timeout=60, trust_env=False)
    scripts = re.findall(r"<script[^>]*>([^<]+)</script>", answer.text)
    hashes = [base64.b64encode(hashlib.sha256(one.encode()).digest()).decode() for one in scripts]
    assert len(hashes) == 1
    assert f"script-src 'self' 'sha256-{hashes[0]}';" in answer.headers["content-security-policy"]


def test_who_tries_passwords_has_to_wait_longer_and_longer() -> None:
    now = [0.0]
    locks = Locks(lambda: now[0])
    waits = []
    for _ in range(14):
        locks.failed("a")
        waits.append(locks.wait("a"))
        now[0] += locks.wait("a")
    assert waits == [0.0] * 4 + [1.0, 2.0, 4.0, 8.0, 16.0, 32.0] + [60.0] * 4
    assert locks.wait("b") == 0
    locks.passed("a")
    locks.failed("a")
    assert locks.wait("a") == 0


def test_wrong_passwords_are_soon_not_looked_at_any_more(flower: str) -> None:
    with httpx.Client(base_url=flower, auth=(USER, "wrong"), timeout=60, trust_env=False) as client:
        answers = [client.get("/api/task/types") for _ in range(20)]
    assert [one.status_code for one in answers] == [401] * FREE_FAILURES + [429] * (20 - FREE_FAILURES)
    assert int(answers[-1].headers["retry-after"]) >= 1
    deadline = time.monotonic() + 30
    while ask(flower, "/api/task/types", PASSWORD) == 429:  # the pause is over in a second
        assert time.monotonic() < deadline
        time.sleep(0.05)
