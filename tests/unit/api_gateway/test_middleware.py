"""What every request passes."""

from collections.abc import Iterator

import pytest
from fastapi import FastAPI, Request
from fastapi.testclient import TestClient
from prometheus_client import REGISTRY

from api_gateway.body_limits import LARGE, MAX_BODY_BYTES, BodyLimit
from api_gateway.middleware import Measured
from api_gateway.problems import translate_errors


@pytest.fixture
def client() -> TestClient:
    app = FastAPI()
    translate_errors(app)

    @app.post("/things/{thing}")
    async def post_thing(thing: str, request: Request) -> int:
        return len(await request.body())

    @app.put("/v1/uploads/{name}")
    async def put_upload(name: str, request: Request) -> int:
        return len(await request.body())

    @app.post("/v1/studies")
    async def post_study(request: Request) -> int:
        return len(await request.body())

    @app.get("/broken")
    def get_broken() -> None:
        raise RuntimeError

    app.add_middleware(BodyLimit, uploads_bytes=MAX_BODY_BYTES + 10)
    app.add_middleware(Measured)
    return TestClient(app, raise_server_exceptions=False)


def pieces(size: int) -> Iterator[bytes]:
    """A body whose length is not announced."""
    for start in range(0, size, 100_000):
        yield b"x" * min(100_000, size - start)


def counted(method: str, route: str, status: str) -> float:
    labels = {"method": method, "route": route, "status": status}
    return REGISTRY.get_sample_value("xraygpt_http_requests_total", labels) or 0.0


def test_a_body_of_just_the_limit_passes(client: TestClient) -> None:
    assert client.post("/things/a", content=b"x" * MAX_BODY_BYTES).json() == MAX_BODY_BYTES


@pytest.mark.parametrize("announced", [True, False])
def test_one_byte_more_is_refused(client: TestClient, announced: bool) -> None:
    size = MAX_BODY_BYTES + 1
    answer = client.post("/things/a", content=b"x" * size if announced else pieces(size))
    assert answer.status_code == 413
    assert answer.headers["content-type"] == "application/problem+json"


def test_an_upload_has_its_own_limit(client: TestClient) -> None:
    assert client.put("/v1/uploads/a", content=pieces(MAX_BODY_BYTES + 10)).json() == MAX_BODY_BYTES + 10
    assert client.put("/v1/uploads/a", content=pieces(MAX_BODY_BYTES + 11)).status_code == 413


def test_a_list_of_objects_may_be_longer(client: TestClient) -> None:
    most = LARGE["/v1/studies"]
    assert client.post("/v1/studies", content=pieces(most)).json() == most
    assert client.post("/v1/studies", content=pieces(most + 1)).status_code == 413


def test_all_bodies_together_have_a_limit_and_give_their_room_back(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api_gateway.body_limits.MAX_HELD_BYTES", 1000)
    for _ in range(3):
        answer = client.post("/things/a", content=b"x" * 1001)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
        assert client.post("/things/a", content=b"x" * 1000).status_code == 200
    assert client.put("/v1/uploads/a", content=b"x" * 5000).status_code == 200


def test_browsers_are_told_to_be_careful_and_to_stay_with_tls(client: TestClient) -> None:
    plain = client.get("/nowhere").headers
    assert plain["referrer-policy"] == "no-referrer"
    assert "camera=()" in plain["permissions-policy"]
    assert "strict-transport-security" not in plain
    assert "max-age=" in client.get("https://testserver/nowhere").headers["strict-transport-security"]


def test_a_length_that_lies_does_not_help(client: TestClient) -> None:
    answer = client.post("/things/a", content=pieces(MAX_BODY_BYTES + 1), headers={"Content-Length": "5"})
    assert answer.status_code == 413


def test_answers_stay_out_of_caches(client: TestClient) -> None:
    for answer in (client.post("/things/a", content=b"x"), client.get("/nowhere")):
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cross-origin-resource-policy"] == "same-origin", "no other port shows its pictures"
        assert answer.headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"


def test_requests_are_counted_by_template(client: TestClient) -> None:
    before = counted("POST", "/things/{thing}", "200")
    client.post("/things/DOE", content=b"x")
    assert counted("POST", "/things/{thing}", "200") == before + 1
    assert counted("POST", "/things/DOE", "200") == 0


def test_a_path_nobody_knows_is_no_label(client: TestClient) -> None:
    before = counted("GET", "none", "404")
    client.get("/DOE")
    assert counted("GET", "none", "404") == before + 1


def test_a_method_nobody_knows_is_no_label(client: TestClient) -> None:
    client.request("DOE", "/nowhere")
    assert counted("DOE", "none", "404") == 0
    assert counted("other", "none", "404") >= 1


def test_a_defect_is_counted(client: TestClient) -> None:
    before = counted("GET", "/broken", "500")
    client.get("/broken")
    assert counted("GET", "/broken", "500") == before + 1
