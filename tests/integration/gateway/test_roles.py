"""Every route with every role, and with every kind of wrong credential; and that the docs tell it as it is."""

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from api_gateway.app import ROUTES, create_app
from api_gateway.roles import Door, doors, table
from tests.support.api_keys import create_api_key
from xraygpt_core.ledger.access.api_keys import revoke_api_key
from xraygpt_core.ledger.access.sessions import open_session
from xraygpt_core.states import Role
from xraygpt_core.token_bucket import TokenBucket

World = Any
DOORS = doors(routes.router for routes in ROUTES)
LOCKED = [door for door in DOORS if door.roles]
OPEN = {"/healthz", "/readyz", "/v1/events/sns"}
NAME = {"{wanted}": "pause", "{sha256}": "0" * 64}
API_MD = Path(__file__).parents[3] / "docs" / "api.md"


@pytest.fixture(scope="module")
def gateway(shared: World) -> Iterator[TestClient]:
    """A gateway that does not tire of wrong keys."""
    settings = {name: TokenBucket.read("1000000+1000/s") for name in ("limit_wrong_key", "limit_login", "limit_lookup")}
    ledger = shared.ledger
    patched = type(ledger)(ledger.settings.model_copy(update=settings), ledger.database, ledger.doorbell)
    app = create_app(patched, shared.store, shared.pseudonymiser)
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client


def ask(client: TestClient, door: Door, headers: dict[str, str] | None = None, query: str = "") -> int:
    path = re.sub(r"\{\w+\}", lambda found: NAME.get(found[0], "00000000-0000-7000-8000-000000000000"), door.path)
    body = {"content": b""} if door.method in ("GET", "DELETE") else {"json": {}}
    status: int = client.request(door.method, path + query, headers=headers, **body).status_code
    return status


def test_every_route_says_whom_it_lets_in() -> None:
    others = {door.path for door in DOORS if not door.roles}
    assert others == OPEN | {"/v1/session", "/v1/me", "/v1/me/preferences"}
    assert {door.path for door in DOORS if door.others == "everybody"} == {"/healthz", "/readyz"}


@pytest.mark.parametrize("role", Role)
def test_a_role_opens_its_routes_and_no_other(gateway: TestClient, shared: World, role: Role) -> None:
    key = {"X-API-Key": create_api_key(shared.ledger, f"only {role}", roles=[role])}
    wrong = [
        (door.method, door.path, status)
        for door in LOCKED
        if ((status := ask(gateway, door, key)) in (401, 403)) == (role in door.roles)
    ]
    assert wrong == []


def _over(shared: World, name: str, **more: Any) -> str:
    return create_api_key(shared.ledger, f"{name} credential", **more)


def _revoked(shared: World) -> str:
    key = _over(shared, "revoked")
    revoke_api_key(shared.ledger, "revoked credential")
    return key


BEARER: dict[str, Callable[[World], str]] = {
    "empty": lambda _: "",
    "unknown": lambda _: "xgpt_" + "x" * 43,
    "webhook": lambda world: world.settings.webhook_token.get_secret_value(),
    "revoked": _revoked,
    "expired": lambda world: _over(world, "expired", expires_at=datetime.now(UTC) - timedelta(seconds=1)),
    "changed": lambda world: _over(world, "changed").swapcase(),
    "longer": lambda world: _over(world, "longer") + "x",
    "hash": lambda _: "0" * 64,
    "session": lambda world: open_session(world.ledger, "Dr. Here", [Role.ADMIN], "test"),
}


@pytest.mark.parametrize("kind", BEARER)
def test_a_wrong_key_opens_no_route(gateway: TestClient, shared: World, kind: str) -> None:
    headers = {"Authorization": f"Bearer {BEARER[kind](shared)}"}
    opened = [
        door for door in DOORS
        if door.path not in OPEN and ask(gateway, door, headers) != 401
        and (kind, door.path) != ("webhook", "/v1/events/s3")
    ]  # fmt: skip
    assert opened == []


@pytest.mark.parametrize("place", ["query", "cookie", "basic", "none", "unknown session", "key in a session's place"])
def test_a_key_in_the_wrong_place_opens_no_route(gateway: TestClient, shared: World, place: str) -> None:
    key = _over(shared, place)
    headers = {
        "cookie": {"Cookie": f"key={key}; X-API-Key={key}"},
        "basic": {"Authorization": f"Basic {key}"},
        "unknown session": {"Cookie": "xraygpt=unknown"},
        "key in a session's place": {"Cookie": f"xraygpt={key}"},
    }.get(place, {})
    query = f"?X-API-Key={key}&key={key}" if place == "query" else ""
    opened = [door for door in DOORS if door.path not in OPEN and ask(gateway, door, headers, query) != 401]
    assert opened == []


def test_a_refusal_names_the_roles_that_would_do(shared: World) -> None:
    answer = shared.as_role(Role.READER).get("/v1/dead")
    assert (answer.status_code, answer.json()["detail"]) == (403, "this needs the role operator; here is reader")


def test_the_docs_have_the_table_that_the_code_makes() -> None:
    assert table(DOORS) == API_MD.read_text().partition("<!-- roles -->\n")[2].partition("<!-- /roles -->")[0]
