"""The gateway as a process: it starts, makes keys, serves, streams and ends cleanly."""

import json
import signal
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from tests.support.api_keys import create_api_key
from tests.support.gateway_process import Gateway, create_key
from tests.support.keys import HMAC_KEY
from xraygpt_core.settings import Settings

World = Any


@pytest.fixture
def start() -> Iterator[Callable[[Settings], Gateway]]:
    started: list[Gateway] = []

    def begin(settings: Settings) -> Gateway:
        started.append(Gateway(settings))
        return started[-1]

    yield begin
    for gateway in started:
        if gateway.process.poll() is None:
            gateway.end(signal.SIGKILL)


Start = Callable[[Settings], Gateway]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_serves_and_ends_with_status_zero(start: Start, s3_settings: Settings, number: int) -> None:
    gateway = start(s3_settings).ready()
    headers = {"X-API-Key": create_key(s3_settings)}
    assert httpx.get(f"{gateway.url}/v1/status", headers=headers, timeout=60).status_code == 200
    assert gateway.end(number) == 0


def test_an_open_stream_does_not_hold_it_up(start: Start, world: World) -> None:
    gateway = start(world.settings).ready()
    study_id, _ = world.summarised()
    turn_id = world.client.post(f"/v1/studies/{study_id}/chat", json={"question": "Why?"}).json()["turn_id"]
    headers = {"X-API-Key": create_api_key(world.ledger, "local")}
    with httpx.stream("GET", f"{gateway.url}/v1/turns/{turn_id}/stream", headers=headers, timeout=60) as stream:
        assert stream.status_code == 200
        assert gateway.end() == 0
        with pytest.raises(httpx.TransportError):
            list(stream.iter_lines())


def test_its_log_is_json_and_holds_nothing_of_a_request(start: Start, world: World) -> None:
    gateway = start(world.settings).ready()
    key = create_api_key(world.ledger, "local")
    with httpx.Client(base_url=gateway.url, headers={"Authorization": f"Bearer {key}"}, timeout=60) as client:
        uri = world.put("in/DOE^JANE.dcm")
        client.post("/v1/studies", json={"objects": [{"uri": uri}]}).raise_for_status()
        client.post("/v1/lookup", json={"patient": "DOE^JANE"}).raise_for_status()
        client.post("/v1/query", json={"sql": "SELECT 'DOE^JANE'::int"})
        client.post("/v1/studies", json={"objects": [{"uri": uri + "x"}]})
        client.get("/v1/dead", params={"reason": "DOE^JANE"}).raise_for_status()
        client.get("/DOE^JANE")
    assert gateway.end() == 0
    said = [json.loads(line) for line in gateway.lines]
    assert {line["process"] for line in said} == {"gateway"}
    assert [line["route"] for line in said if line["message"] == "answered" and line["status"] == 202] == [
        "/v1/studies"
    ]
    log = "".join(gateway.lines)
    for secret in ("DOE", key, uri):
        assert secret not in log


def test_a_key_that_made_other_pseudonyms_is_refused(start: Start, s3_settings: Settings) -> None:
    start(s3_settings).ready().end()
    other = s3_settings.model_copy(update={"hmac_key": SecretStr(HMAC_KEY[::-1])})
    gateway = start(other)
    assert gateway.process.wait(120) == 1
    gateway.end()
    assert "back-up" in gateway.lines[-1]


def test_a_database_that_does_not_answer_stops_it_with_a_sentence(start: Start, s3_settings: Settings) -> None:
    nowhere = s3_settings.model_copy(update={"database_url": SecretStr("postgresql://a:b@127.0.0.1:1/x")})
    gateway = start(nowhere)
    assert gateway.process.wait(120) == 1
    gateway.end()
    assert "Traceback" not in "".join(gateway.lines)
    assert "PostgreSQL does not answer" in gateway.lines[-1]
