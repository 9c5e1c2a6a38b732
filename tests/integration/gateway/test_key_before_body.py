"""Who may ask is settled before a body is read, and wrong keys do not go on for ever."""

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient

from api_gateway.app import create_app
from tests.support.api_keys import create_api_key
from xraygpt_core.ledger.access.api_keys import revoke_api_key
from xraygpt_core.ledger.access.sessions import open_session
from xraygpt_core.ledger.transaction import open_ledger
from xraygpt_core.states import Role
from xraygpt_core.token_bucket import TokenBucket

World = Any
Message = dict[str, Any]
METRICS_TOKEN = "metrics-" + "m" * 32


@pytest.fixture
def serve(shared: World) -> Iterator[Callable[..., TestClient]]:
    """A gateway of its own, whose budgets are full, with some settings changed."""
    opened = []

    def start(**changes: Any) -> TestClient:
        settings = type(shared.settings)(**(shared.settings.model_dump() | changes))
        opened.append(open_ledger(settings))
        return TestClient(create_app(opened[-1], shared.store, shared.pseudonymiser), raise_server_exceptions=False)

    yield start
    for ledger in opened:
        ledger.close()


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def ask(client: TestClient, path: str, headers: dict[str, str]) -> tuple[list[Message], int]:
    """What is answered to a POST with a large body, and how many pieces of the body were taken."""
    sent: list[Message] = []
    taken = 0

    async def receive() -> Message:
        nonlocal taken
        taken += 1
        return {"type": "http.request", "body": b"x" * 1000, "more_body": taken < 1000}

    async def send(message: Message) -> None:
        sent.append(message)

    raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": "http", "method": "POST", "path": path, "raw_path": path.encode(), "query_string": b""}
    scope |= {"headers": [*raw, (b"transfer-encoding", b"chunked")], "client": ("192.0.2.1", 1), "http_version": "1.1"}
    asyncio.run(client.app(scope | {"scheme": "http", "server": ("gateway", 80), "root_path": ""}, receive, send))
    return sent, taken


@pytest.mark.parametrize("headers", [{}, bearer("wrong"), {"X-API-Key": "wrong"}, {"Authorization": "Basic eA=="}])
@pytest.mark.parametrize("path", ["/v1/studies", "/v1/query", "/v1/lookup", "/v1/events/s3", "/v1/nothing"])
def test_a_stranger_gets_401_and_no_byte_of_his_body_is_read(shared: World, path: str, headers: dict[str, str]) -> None:
    sent, taken = ask(shared.client, path, headers)
    assert sent[0]["status"] == 401
    assert (b"connection", b"close") in sent[0]["headers"]
    assert taken == 0


def test_wrong_keys_lock_their_address_out_and_good_keys_go_on(
    serve: Callable[..., TestClient], shared: World, caplog: pytest.LogCaptureFixture
) -> None:
    client = serve(limit_wrong_key=TokenBucket.read("5+1/h"))
    known = bearer(create_api_key(shared.ledger, "known"))
    late = bearer(create_api_key(shared.ledger, "late"))
    assert client.get("/v1/me", headers=known).status_code == 200
    answers = [client.get("/v1/me", headers=bearer(f"wrong {number}")) for number in range(8)]
    assert [answer.status_code for answer in answers] == [401] * 6 + [429] * 2
    assert int(answers[-1].headers["retry-after"]) >= 1
    assert client.get("/v1/me", headers=known).status_code == 200, "it was good a moment ago"
    assert client.get("/v1/me", headers=late).status_code == 429, "nobody knows yet that it is good"
    assert client.get("/v1/me").status_code == 401
    assert [
        r.message for r in caplog.records if r.levelname == "WARNING" and r.name == "api_gateway.key_before_body"
    ] == ["an address is locked out for a while: too many wrong keys"]


def test_made_up_sessions_lock_out_what_nobody_knows_and_neither_keys_nor_open_sessions(
    serve: Callable[..., TestClient], shared: World
) -> None:
    client = serve(limit_wrong_key=TokenBucket.read("5+1/h"))
    open_one, late = (
        {"Cookie": f"xraygpt={open_session(shared.ledger, 'Dr. Here', [Role.READER], 'test')}"} for _ in range(2)
    )
    assert client.get("/v1/me", headers=open_one).status_code == 200
    made_up = [{"Cookie": f"xraygpt=made-up-{number}"} for number in range(8)]
    unread = {"Authorization": "Basic x"}
    assert {client.get("/v1/me", headers=one | unread).status_code for one in made_up} == {401}, "nobody looked at them"
    answers = [client.get("/v1/me", headers=one).status_code for one in made_up]
    assert answers == [401] * 6 + [429] * 2
    assert client.get("/v1/me", headers=open_one).status_code == 200, "it was open a moment ago"
    assert client.get("/v1/me", headers=late).status_code == 429, "nobody knows yet that it is open"
    assert client.get("/v1/me", headers=bearer(create_api_key(shared.ledger, "beside"))).status_code == 200


def test_a_key_that_was_good_is_refused_once_it_is_revoked(serve: Callable[..., TestClient], shared: World) -> None:
    client = serve()
    headers = bearer(create_api_key(shared.ledger, "leaver"))
    assert client.get("/v1/me", headers=headers).status_code == 200
    revoke_api_key(shared.ledger, "leaver")
    assert client.get("/v1/me", headers=headers).status_code == 401


@pytest.mark.parametrize(
    ("setting", "path", "body"),
    [
        ("limit_lookup", "/v1/lookup", {"accession": "1"}),
        ("limit_query", "/v1/query", {"sql": "SELECT 1"}),
        ("limit_question", "/v1/studies/00000000-0000-7000-8000-000000000000/chat", {"question": "?"}),
        ("limit_request", "/v1/lookup", {"accession": "1"}),
    ],
)
def test_each_key_has_a_budget_of_its_own(
    serve: Callable[..., TestClient], shared: World, analysts: None, setting: str, path: str, body: dict[str, str]
) -> None:
    client = serve(**{setting: TokenBucket.read("2+1/h")})
    one, other = (bearer(create_api_key(shared.ledger, f"{name} {setting} {path}")) for name in ("one", "other"))
    answers = [client.post(path, json=body, headers=one) for _ in range(3)]
    assert [answer.status_code == 429 for answer in answers] == [False, False, True]
    assert 3000 < int(answers[-1].headers["retry-after"]) <= 3600
    assert client.post(path, json=body, headers=other).status_code != 429


def test_a_large_body_costs_as_much_as_several_requests(serve: Callable[..., TestClient], shared: World) -> None:
    client = serve(limit_request=TokenBucket.read("20+1/h"))
    headers = bearer(create_api_key(shared.ledger, "large"))
    statuses = [client.post("/v1/lookup", content=b" " * 100_000, headers=headers).status_code for _ in range(4)]
    assert statuses == [422, 422, 429, 429]


def test_the_metrics_are_told_to_a_key_and_to_their_own_token(serve: Callable[..., TestClient], shared: World) -> None:
    client = serve(metrics_token=METRICS_TOKEN)
    assert client.get("/metrics").status_code == 401
    assert client.get("/metrics", headers=bearer("wrong")).status_code == 401
    assert client.get("/metrics", headers=bearer("webhook-token")).status_code == 401
    assert client.get("/metrics", headers=bearer(METRICS_TOKEN)).status_code == 200
    assert client.get("/v1/me", headers=bearer(METRICS_TOKEN)).status_code == 401
