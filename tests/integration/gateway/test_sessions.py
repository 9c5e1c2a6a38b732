"""Signing in for a cookie: what it opens, to whom, and for how long."""

import threading
from typing import Any

import pytest
from fastapi.testclient import TestClient

from api_gateway.app import create_app
from tests.support.api_keys import create_api_key
from tests.support.ledger_tools import do, one
from xraygpt_core.ledger.access.api_keys import check_api_key, revoke_api_key
from xraygpt_core.ledger.access.sessions import open_session, still_valid
from xraygpt_core.states import Role

World = Any
HOME = "http://testserver"


class Browser:
    """Keeps cookies, and says where a request comes from, as browsers do."""

    def __init__(self, world: World, base: str = HOME) -> None:
        self.client = TestClient(world.client.app, base_url=base, raise_server_exceptions=False)
        self.token = ""

    def sign_in(self, key: str) -> Any:
        answer = self.client.post("/v1/session", json={"key": key})
        if answer.status_code == 201:
            self.token = answer.json()["csrf_token"]
        return answer

    def get(self, path: str, **headers: str) -> int:
        return int(self.client.get(path, headers=headers).status_code)

    def send(self, method: str, path: str, body: Any = None, **headers: str) -> int:
        """A change, with the page's token unless another one is given."""
        sent = {"X-CSRF-Token": self.token, "Origin": HOME, "Sec-Fetch-Site": "same-origin"} | headers
        sent = {name: value for name, value in sent.items() if value}
        return int(self.client.request(method, path, json=body, headers=sent).status_code)


@pytest.fixture
def reader(world: World) -> Browser:
    """Dr. R has signed in."""
    browser = Browser(world)
    assert browser.sign_in(create_api_key(world.ledger, "Dr. R", roles=[Role.READER])).status_code == 201
    return browser


def test_a_key_becomes_a_cookie_that_scripts_and_other_sites_do_not_get(world: World) -> None:
    answer = Browser(world).sign_in(create_api_key(world.ledger, "Dr. R", roles=[Role.READER]))
    name, _, rest = answer.headers["set-cookie"].partition("=")
    assert name == "xraygpt"
    assert rest.partition("; ")[2] == "HttpOnly; Path=/; SameSite=strict"
    assert answer.json()["me"]["roles"] == ["reader"]
    assert (answer.json()["idle_seconds"], answer.json()["left_seconds"]) == pytest.approx((1800, 43200), abs=5)


def test_over_tls_the_cookie_is_bound_to_this_host_and_to_tls(world: World) -> None:
    browser = Browser(world, "https://testserver")
    answer = browser.sign_in(create_api_key(world.ledger, "Dr. R"))
    assert answer.headers["set-cookie"].startswith("__Host-xraygpt=")
    assert answer.headers["set-cookie"].endswith("; HttpOnly; Path=/; SameSite=strict; Secure")
    assert browser.get("/v1/me") == 200


def test_the_database_holds_neither_the_cookie_nor_the_token(world: World, reader: Browser) -> None:
    (cookie,) = reader.client.cookies.values()
    kept = one(world.ledger, "SELECT s::text FROM sessions s")
    assert cookie not in kept
    assert reader.token not in kept


def test_a_session_has_the_roles_of_its_key(reader: Browser) -> None:
    assert (reader.get("/v1/studies"), reader.get("/v1/dead"), reader.get("/v1/me")) == (200, 403, 200)


def test_what_changes_something_needs_the_token_of_this_session(world: World, reader: Browser) -> None:
    other = Browser(world)
    other.sign_in(create_api_key(world.ledger, "Dr. S"))
    number = {"accession": "1"}
    assert reader.send("POST", "/v1/lookup", number) == 200
    for token in ("", "0" * 64, other.token):
        assert reader.send("POST", "/v1/lookup", number, **{"X-CSRF-Token": token}) == 401
    assert reader.get("/v1/studies", **{"X-CSRF-Token": other.token}) == 401, "a page of somebody who signed in before"


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://testserver:81"},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "cross-site"},
    ],
)
def test_another_page_cannot_use_the_session_of_a_browser(reader: Browser, headers: dict[str, str]) -> None:
    headers = {"Sec-Fetch-Site": ""} | headers
    assert reader.send("POST", "/v1/lookup", {"accession": "1"}, **headers) == 403
    said = {name: value for name, value in headers.items() if value}
    assert reader.get("/v1/studies", **said) == 403
    assert reader.client.post("/v1/session", json={"key": "x"}, headers=said).status_code == 403


@pytest.mark.parametrize(
    "headers", [{"Origin": "https://testserver", "Sec-Fetch-Site": ""}, {"Origin": "https://room.example"}]
)
def test_the_page_is_known_behind_a_proxy_that_speaks_tls(reader: Browser, headers: dict[str, str]) -> None:
    assert reader.send("POST", "/v1/lookup", {"accession": "1"}, **headers) == 200


@pytest.mark.parametrize("header", ["Authorization", "X-API-Key"])
@pytest.mark.parametrize("value", ["", "Bearer wrong", "Basic eDp5", "wrong"])
def test_a_cookie_never_helps_another_credential(reader: Browser, header: str, value: str) -> None:
    assert reader.get("/v1/me", **{header: value}) == 401
    assert reader.get("/v1/me") == 200


def test_a_session_ends_when_it_is_not_used(world: World, reader: Browser) -> None:
    do(world.ledger, "UPDATE sessions SET used_at = used_at - interval '29 minutes'")
    assert reader.client.get("/v1/session", headers={"X-Background": "1"}).json()["idle_seconds"] < 61
    assert reader.get("/v1/studies") == 200  # used: it has half an hour again
    assert reader.client.get("/v1/session", headers={"X-Background": "1"}).json()["idle_seconds"] > 1790
    do(world.ledger, "UPDATE sessions SET used_at = used_at - interval '29 minutes'")
    assert reader.get("/v1/studies", **{"X-Background": "1"}) == 200
    do(world.ledger, "UPDATE sessions SET used_at = used_at - interval '61 seconds'")
    assert reader.get("/v1/studies") == 401


def test_a_session_ends_though_it_is_used(world: World, reader: Browser) -> None:
    do(world.ledger, "UPDATE sessions SET opened_at = opened_at - interval '12 hours'")
    assert reader.get("/v1/me") == 401


def test_a_session_ends_with_its_key(world: World, reader: Browser) -> None:
    revoke_api_key(world.ledger, "Dr. R")
    assert reader.get("/v1/me") == 401


def test_signing_out_ends_the_session_wherever_its_cookie_is(world: World, reader: Browser) -> None:
    (cookie,) = reader.client.cookies.values()
    assert reader.send("DELETE", "/v1/session") == 204
    assert not reader.client.cookies
    copy = {"Cookie": f"xraygpt={cookie}"}
    assert world.stranger.get("/v1/me", headers=copy).status_code == 401


def test_signing_out_everywhere_ends_the_other_browsers_too(world: World) -> None:
    key = create_api_key(world.ledger, "Dr. R")
    here, there, stranger = Browser(world), Browser(world), Browser(world)
    here.sign_in(key), there.sign_in(key), stranger.sign_in(create_api_key(world.ledger, "Dr. S"))
    assert here.send("DELETE", "/v1/session?everywhere=true") == 204
    assert (there.get("/v1/me"), stranger.get("/v1/me")) == (401, 200)


def test_signing_in_again_ends_the_session_before(world: World, reader: Browser) -> None:
    reader.sign_in(create_api_key(world.ledger, "Dr. S"))
    assert one(world.ledger, "SELECT string_agg(person, ',') FROM sessions WHERE ended_at IS NULL") == "Dr. S"


def test_one_may_sign_in_though_the_browser_holds_a_session_that_is_over(world: World, reader: Browser) -> None:
    do(world.ledger, "UPDATE sessions SET ended_at = clock_timestamp()")
    assert reader.sign_in(create_api_key(world.ledger, "Dr. S")).status_code == 201


def test_a_wrong_key_opens_no_session_and_sets_no_cookie(world: World) -> None:
    answer = Browser(world).sign_in("wrong")
    assert answer.status_code == 401
    assert "set-cookie" not in answer.headers
    assert world.stranger.post("/v1/session").status_code == 401
    assert one(world.ledger, "SELECT count(*) FROM sessions") == 0


def test_a_stranger_at_the_door_sends_little(world: World) -> None:
    assert world.stranger.post("/v1/session", content=b" " * 5000).status_code == 413


def test_who_tries_keys_at_the_door_has_to_wait(world: World) -> None:
    app = create_app(world.ledger, world.store, world.pseudonymiser)
    client = TestClient(app, raise_server_exceptions=False)
    answers = [client.post("/v1/session", json={"key": f"wrong {number}"}).status_code for number in range(12)]
    assert answers == [401] * 10 + [429] * 2


def test_a_key_in_the_header_signs_in_as_well(world: World) -> None:
    key = create_api_key(world.ledger, "Dr. R")
    assert world.stranger.post("/v1/session", headers={"X-API-Key": key}).status_code == 201
    world.stranger.cookies.clear()


def test_a_bare_key_has_no_session(world: World) -> None:
    assert world.client.get("/v1/session").status_code == 404
    assert world.client.delete("/v1/session").status_code == 404


def test_a_login_that_knows_people_needs_no_key(world: World) -> None:
    study_id, summary_id = world.summarised()
    browser = Browser(world)
    browser.client.cookies.set("xraygpt", open_session(world.ledger, "Dr. Login", [Role.READER], "oidc"))
    now = browser.client.get("/v1/session").json()
    assert (now["me"]["name"], now["me"]["key_id"]) == ("Dr. Login", None)
    browser.token = now["csrf_token"]
    seen = {"review_state": "draft", "reviewed_at": None, "superseded_at": None}
    assert browser.send("POST", f"/v1/summaries/{summary_id}/review", {"state": "accepted", "seen": seen}) == 200
    (review,) = world.client.get(f"/v1/studies/{study_id}").json()["reviews"]
    assert (review["reviewer"], review["key_id"]) == ("Dr. Login", None)
    assert browser.send("DELETE", "/v1/session?everywhere=true") == 204
    assert browser.get("/v1/me") == 401


@pytest.mark.parametrize("by", ["key", "session"])
def test_a_stream_ends_with_the_key_or_session_that_watches_it(world: World, reader: Browser, by: str) -> None:
    study_id, _ = world.summarised()
    turn = world.client.post(f"/v1/studies/{study_id}/chat", json={"question": "Normal?"}).json()
    show, finish = world.write(turn["turn_id"])
    show("The heart")
    heard: list[str] = []
    began = threading.Event()

    def listen() -> None:
        with reader.client.stream("GET", f"/v1/turns/{turn['turn_id']}/stream") as stream:
            for line in stream.iter_lines():
                heard.append(line)
                began.set()

    listener = threading.Thread(target=listen)
    listener.start()
    assert began.wait(30)
    if by == "key":
        revoke_api_key(world.ledger, "Dr. R")
    else:
        do(world.ledger, "UPDATE sessions SET ended_at = clock_timestamp()")
    listener.join(30)
    assert not listener.is_alive()
    show("The heart is")
    finish("The heart is normal.")
    assert 'data: {"state": "signed_out"}' in heard
    assert "normal" not in "".join(heard)


def test_a_key_that_watches_is_still_valid_until_it_is_not(world: World) -> None:
    caller = check_api_key(world.ledger, create_api_key(world.ledger, "Dr. R"))
    assert still_valid(world.ledger, caller)
    revoke_api_key(world.ledger, "Dr. R")
    assert not still_valid(world.ledger, caller)
