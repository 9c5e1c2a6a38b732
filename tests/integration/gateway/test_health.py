"""Health, metrics, authentication and what must not leak, on real services."""

import logging
from typing import Any

import pytest
from fastapi.routing import APIRoute
from fastapi.testclient import TestClient

from api_gateway.app import create_app
from tests.support.api_keys import create_api_key
from xraygpt.stack.servers.broker import Broker
from xraygpt_core.ledger.access.api_keys import revoke_api_key
from xraygpt_core.ledger.jobs.claims import claim_next
from xraygpt_core.ledger.transaction import open_ledger
from xraygpt_core.logs import JsonLines
from xraygpt_core.states import JobKind, Lane
from xraygpt_core.storage import ObjectStore

World = Any
OPEN = {"/healthz", "/readyz", "/docs", "/docs/start.js", "/v1/events/sns"}  # SNS shows a signature instead of a key


def test_it_is_alive_and_ready_for_everybody(shared: World) -> None:
    assert shared.stranger.get("/healthz").json() == {"status": "alive"}
    assert shared.stranger.get("/readyz").json() == {"status": "ready"}


@pytest.mark.parametrize(
    ("change", "missing"),
    [
        ({"database_url": "postgresql://a:b@127.0.0.1:1/x"}, {"database", "schema"}),
        ({"redis_url": "redis://127.0.0.1:1/0"}, {"broker"}),
        ({"s3_endpoint_url": "http://127.0.0.1:1"}, {"buckets"}),
        ({"bucket": "never-made"}, {"buckets"}),
    ],
)
def test_it_says_what_it_is_not_ready_for(shared: World, change: dict[str, str], missing: set[str]) -> None:
    values = shared.settings.model_dump() | change
    settings = type(shared.settings)(**values)
    ledger = open_ledger(settings)
    answer = TestClient(create_app(ledger, ObjectStore(settings), shared.pseudonymiser)).get("/readyz")
    ledger.close()
    assert answer.status_code == 503
    assert {error["where"] for error in answer.json()["errors"]} == missing
    assert "127.0.0.1" not in answer.text


def test_it_is_not_ready_on_another_schema(world: World) -> None:
    change = "UPDATE alembic_version SET version_num = :version"
    with world.ledger.work() as work:
        mine = work.row("SELECT version_num AS version FROM alembic_version")
        work.run(change, {"version": "9999"})
    try:
        answer = world.stranger.get("/readyz")
    finally:
        with world.ledger.work() as work:
            work.run(change, mine)
    assert [error["where"] for error in answer.json()["errors"]] == ["schema"]


def test_every_route_but_the_open_ones_wants_a_key(shared: World) -> None:
    routes = [route for route in _routes(shared) if route.path not in OPEN]
    assert len(routes) > 25
    for route in routes:
        for method in sorted(route.methods or ()):
            path = route.path.replace("{wanted}", "pause").replace("{sha256}", "0" * 64)
            path = path.replace("{study_id}", _ID).replace("{turn_id}", _ID).replace("{summary_id}", _ID)
            path = path.replace("{run_id}", _ID).replace("{backlog_id}", _ID)
            answer = shared.stranger.request(method, path, headers={"Authorization": "Bearer wrong"})
            assert answer.status_code == 401, (method, path)
            assert answer.headers["www-authenticate"] == "Bearer"


_ID = "00000000-0000-7000-8000-000000000000"


def _routes(world: World) -> list[APIRoute]:
    document = world.client.get("/openapi.json").json()
    return [
        APIRoute(path, lambda: None, methods=[method.upper()])
        for path, methods in document["paths"].items()
        for method in methods
    ]


def test_both_headers_carry_a_key(shared: World) -> None:
    key = create_api_key(shared.ledger, "x")
    assert shared.stranger.get("/v1/status", headers={"X-API-Key": key}).status_code == 200
    assert shared.stranger.get("/v1/status", headers={"Authorization": f"bearer {key}"}).status_code == 200


def test_a_revoked_key_opens_nothing(world: World) -> None:
    key = create_api_key(world.ledger, "x")
    revoke_api_key(world.ledger, "x")
    assert world.stranger.get("/v1/status", headers={"X-API-Key": key}).status_code == 401


def test_the_status_counts_jobs(world: World) -> None:
    world.submit("in/a.dcm", lane="stat")
    status = world.client.get("/v1/status").json()
    (job,) = status["jobs"]
    assert (job["kind"], job["lane"], job["state"], job["jobs"]) == ("ingest", "stat", "queued", 1)
    assert status["workers"] == []
    assert status["served"] == {"name": "demo", "run_id": None}


def test_the_status_names_who_holds_work(world: World) -> None:
    world.submit("in/a.dcm", lane="stat")
    claim_next(world.ledger, [(JobKind.INGEST, Lane.STAT)], "ingest-7@a")
    (worker,) = world.client.get("/v1/status").json()["workers"]
    assert (worker["worker"], worker["kind"], worker["jobs"]) == ("ingest-7@a", "ingest", 1)


def test_the_metrics_count_jobs_and_requests_by_template(world: World) -> None:
    (image,) = world.submit("in/DOE.dcm")
    world.client.get(f"/v1/studies/{image['study_id']}")
    text = world.client.get("/metrics").text
    assert 'xraygpt_jobs{kind="ingest",lane="routine",state="queued"} 1.0' in text
    assert 'route="/v1/studies/{study_id}"' in text
    assert image["study_id"] not in text
    assert "DOE" not in text


def test_the_metrics_of_the_process_are_told_without_a_database(shared: World, broker: Broker) -> None:
    changes = {"database_url": "postgresql://a:b@127.0.0.1:1/x", "metrics_token": "m" * 32}
    settings = type(shared.settings)(**(shared.settings.model_dump() | changes))
    ledger = open_ledger(settings)
    prometheus = TestClient(create_app(ledger, shared.store, shared.pseudonymiser))
    answer = prometheus.get("/metrics", headers={"Authorization": f"Bearer {'m' * 32}"})
    ledger.close()
    assert answer.status_code == 200
    assert "xraygpt_http_requests_total" in answer.text


def test_nothing_a_caller_sends_reaches_a_log_line(world: World, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.DEBUG, "api_gateway")  # an entry point that ran in this process before had its own
    world.submit("in/DOE^JANE.dcm")
    world.client.post("/v1/lookup", json={"patient": "DOE^JANE"})
    world.client.post("/v1/lookup", json={"patient": {"DOE^JANE": 1}})
    world.client.post("/v1/events/s3", content=b'{"key": "DOE^JANE"')
    world.client.post("/v1/query", json={"sql": "SELECT 'DOE^JANE'::int"})
    world.client.get("/v1/dead", params={"reason": "DOE^JANE"})
    world.client.get("/v1/DOE^JANE")
    lines = [JsonLines("gateway").format(record) for record in caplog.records if not record.name.startswith("httpx")]
    ours = [line for line in lines if "api_gateway" in line]
    assert ours
    assert not [line for line in lines if "DOE" in line]


def test_an_unexpected_error_tells_the_caller_nothing(world: World) -> None:
    body = {"objects": [{"uri": world.put("in/DOE.dcm")}]}
    with world.ledger.work() as work:
        work.run("ALTER TABLE tombstones RENAME TO lost")
    try:
        answer = world.client.post("/v1/studies", json=body)
    finally:
        with world.ledger.work() as work:
            work.run("ALTER TABLE lost RENAME TO tombstones")
    assert answer.status_code == 500
    assert answer.headers["content-type"] == "application/problem+json"
    assert "DOE" not in answer.text
    assert "tombstones" not in answer.text
