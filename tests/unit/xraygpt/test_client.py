import hashlib
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from xraygpt.client import Gateway, GatewayError, file_sha256, parse_events


def gateway(handler: Callable[[httpx.Request], httpx.Response], patience: float = 0.0) -> Gateway:
    return Gateway("http://gateway:1/", "key", patience=patience, transport=httpx.MockTransport(handler))


def test_every_request_carries_the_key() -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        assert request.headers["Authorization"] == "Bearer key"
        return httpx.Response(200, json={"path": request.url.path, "query": request.url.query.decode()})

    with gateway(handler) as client:
        assert client.get("/v1/dead", reason="a b", after=None) == {"path": "/v1/dead", "query": "reason=a+b"}


def test_a_problem_is_the_gateway_s_own_sentence() -> None:
    problem = {"title": "conflict", "detail": "the study has no summary yet", "reason_code": None}
    with gateway(lambda _: httpx.Response(409, json=problem)) as client, pytest.raises(GatewayError) as error:
        client.get("/v1/studies/1/chat")
    assert str(error.value) == "the study has no summary yet (409)"
    assert error.value.status == 409


@pytest.mark.parametrize("content", [b"", b"<html>bad gateway</html>", b'"text"'])
def test_an_error_that_is_no_problem_document_is_told_by_its_status(content: bytes) -> None:
    client = gateway(lambda _: httpx.Response(500, content=content))
    with client, pytest.raises(GatewayError, match=r"Internal Server Error \(500\)"):
        client.get("/")


def test_a_gateway_that_comes_back_is_asked_again_under_the_same_idempotency_key() -> None:
    seen: list[str] = []

    def handler(request: httpx.Request) -> httpx.Response:
        seen.append(request.headers["Idempotency-Key"])
        if len(seen) == 1:
            raise httpx.ConnectError("down")
        return httpx.Response(503 if len(seen) == 2 else 202, json={"queued": 1})

    with gateway(handler, patience=60) as client:
        assert client.post("/v1/resummarise") == {"queued": 1}
    assert len(seen) == 3
    assert len(set(seen)) == 1


def test_who_asked_too_much_waits_as_he_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []
    monkeypatch.setattr("xraygpt.client.time.sleep", waited.append)
    answers = [httpx.Response(429, headers={"Retry-After": "7"}), httpx.Response(200, json={})]
    with gateway(lambda _: answers.pop(0), patience=60) as client:
        assert client.get("/v1/me") == {}
    assert waited == [7.0]


def test_who_would_have_to_wait_for_too_long_is_told_so() -> None:
    too_many = httpx.Response(429, headers={"Retry-After": "300"}, json={"detail": "too many of these"})
    with gateway(lambda _: too_many, patience=60) as client, pytest.raises(GatewayError, match="too many of these"):
        client.get("/v1/me")


def test_each_request_that_changes_something_has_an_idempotency_key_of_its_own() -> None:
    seen: set[str] = set()

    def handler(request: httpx.Request) -> httpx.Response:
        seen.add(request.headers["Idempotency-Key"])
        return httpx.Response(204)

    with gateway(handler) as client:
        assert client.post("/a") is None
        assert client.post("/a") is None
        client.delete("/a")
    assert len(seen) == 3


def test_a_gateway_that_stays_away_is_named() -> None:
    def handler(_: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("down")

    said = r"the gateway at http://gateway:1 does not answer \(ConnectError\)"
    with gateway(handler) as client, pytest.raises(GatewayError, match=said):
        client.get("/")


def test_a_file_is_uploaded_whole(tmp_path: Path) -> None:
    content = bytes(range(256)) * 10_000
    (tmp_path / "film.dcm").write_bytes(content)

    def handler(request: httpx.Request) -> httpx.Response:
        assert request.method == "PUT"
        assert request.headers["Content-Length"] == str(len(content))
        assert "Transfer-Encoding" not in request.headers
        return httpx.Response(200, json={"uri": f"s3://b{request.url.path}", "n": len(request.read())})

    with gateway(handler) as client, (tmp_path / "film.dcm").open("rb") as film:
        digest = file_sha256(film)
        assert digest == hashlib.sha256(content).hexdigest()
        assert client.upload(film, digest) == f"s3://b/v1/uploads/{digest}"


def test_an_upload_that_is_interrupted_is_sent_again_from_the_start(tmp_path: Path) -> None:
    (tmp_path / "film.dcm").write_bytes(b"1234")
    bodies: list[bytes] = []

    def handler(request: httpx.Request) -> httpx.Response:
        bodies.append(request.read())
        if len(bodies) == 1:
            raise httpx.ReadError("gone")
        return httpx.Response(200, json={"uri": "s3://b/k"})

    with gateway(handler, patience=60) as client, (tmp_path / "film.dcm").open("rb") as film:
        client.upload(film, "0" * 64)
    assert bodies == [b"1234", b"1234"]


def test_a_file_that_shrinks_while_it_is_sent_is_told(tmp_path: Path) -> None:
    class Shrinking(io.FileIO):
        def read(self, size: int | None = -1, /) -> bytes:
            return b""

    (tmp_path / "film.dcm").write_bytes(b"1234")
    with (
        gateway(lambda request: httpx.Response(200)) as client,
        Shrinking(tmp_path / "film.dcm") as film,
        pytest.raises(OSError, match="changed while"),
    ):
        client.upload(film, "0" * 64)


def test_events_of_a_stream_are_parsed() -> None:
    lines = [
        ": ping",
        "",
        "event: token",
        'data: {"text": "No"}',
        "",
        "event:token",
        'data: {"text":',
        'data: " effusion"}',
        "",
        "data: 1",
        "",
        "event: nothing",
        "",
    ]
    expected: list[tuple[str, Any]] = [("token", {"text": "No"}), ("token", {"text": " effusion"}), ("message", 1)]
    assert list(parse_events(iter(lines))) == expected


def test_a_stream_that_is_refused_tells_why() -> None:
    client = gateway(lambda _: httpx.Response(404, json={"detail": "there is no such turn"}))
    with client, pytest.raises(GatewayError, match="there is no such turn"):
        list(client.stream("/v1/turns/1/stream"))


def test_a_stream_that_breaks_is_an_error_of_ours() -> None:
    def handler(_: httpx.Request) -> httpx.Response:
        raise httpx.RemoteProtocolError("cut")

    with gateway(handler) as client, pytest.raises(GatewayError, match="does not answer"):
        list(client.stream("/v1/turns/1/stream"))


@pytest.mark.parametrize(
    ("url", "checked"),
    [("http://127.0.0.1:1", False), ("https://127.0.0.1:1", True), ("http://gateway", True), ("https://gateway", True)],
)
def test_certificates_are_checked_wherever_there_can_be_any(
    url: str, checked: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: dict[str, Any] = {}
    make = httpx.Client
    monkeypatch.setattr(httpx, "Client", lambda **options: given.update(options) or make(**options))
    with Gateway(url, "key"):
        assert given["verify"] is checked
