"""The application without services: its document, its pages, its requests' shapes."""

from types import SimpleNamespace
from typing import Any, cast

import pytest
from fastapi.testclient import TestClient
from pydantic import SecretStr, TypeAdapter, ValidationError

from api_gateway.app import create_app
from api_gateway.lookup import Lookup
from api_gateway.schemas import JsonObject, Text
from xraygpt_core.settings import Settings

# Parsed but never reached without a key: no service is called.
LEDGER = cast(
    Any,
    SimpleNamespace(
        settings=Settings(
            database_url=SecretStr("postgresql://nobody@nowhere/none"),
            redis_url=SecretStr("redis://nowhere"),
            bucket="source",
            derived_bucket="derived",
            hmac_key=SecretStr("5" * 64),
        )
    ),
)


@pytest.fixture(scope="module")
def client() -> TestClient:
    return TestClient(create_app(LEDGER, cast(Any, None), cast(Any, None)), raise_server_exceptions=False)


@pytest.fixture(scope="module")
def document(client: TestClient) -> dict[str, Any]:
    found: dict[str, Any] = client.get("/openapi.json").json()
    return found


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("post", "/v1/studies"),
        ("get", "/v1/studies/{study_id}"),
        ("delete", "/v1/studies/{study_id}"),
        ("get", "/v1/studies/{study_id}/timeline"),
        ("get", "/v1/studies/{study_id}/preview.png"),
        ("post", "/v1/studies/{study_id}/cancel"),
        ("post", "/v1/studies/{study_id}/chat"),
        ("get", "/v1/studies/{study_id}/chat"),
        ("get", "/v1/turns/{turn_id}/stream"),
        ("post", "/v1/images/status"),
        ("post", "/v1/images/lookup"),
        ("put", "/v1/uploads/{sha256}"),
        ("post", "/v1/events/s3"),
        ("post", "/v1/lookup"),
        ("post", "/v1/backlogs"),
        ("post", "/v1/summaries/{summary_id}/review"),
        ("post", "/v1/resummarise"),
        ("post", "/v1/training-runs"),
        ("get", "/v1/training-runs"),
        ("get", "/v1/dead"),
        ("post", "/v1/dead/replay"),
        ("post", "/v1/query"),
        ("get", "/v1/status"),
        ("get", "/healthz"),
        ("get", "/readyz"),
        ("get", "/metrics"),
    ],
)
def test_the_promised_routes_are_served(document: dict[str, Any], method: str, path: str) -> None:
    assert method in document["paths"][path]


def test_every_route_says_how_it_fails(document: dict[str, Any]) -> None:
    for methods in document["paths"].values():
        for route in methods.values():
            assert "application/problem+json" in route["responses"]["default"]["content"]


def test_every_reference_of_the_document_leads_somewhere(document: dict[str, Any]) -> None:
    def references(node: object) -> list[str]:
        if isinstance(node, dict):
            own = [node["$ref"]] if isinstance(node.get("$ref"), str) else []
            return own + [found for value in node.values() for found in references(value)]
        return [found for value in node for found in references(value)] if isinstance(node, list) else []

    schemas = {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}
    assert set(references(document)) <= schemas


def test_every_route_but_the_open_ones_is_marked_as_locked(document: dict[str, Any]) -> None:
    unlocked = {
        path for path, methods in document["paths"].items() for route in methods.values() if "security" not in route
    }
    assert unlocked == {"/healthz", "/readyz", "/v1/session", "/v1/events/sns"}  # SNS signs its messages


def test_every_route_and_schema_is_described(document: dict[str, Any]) -> None:
    for path, methods in document["paths"].items():
        for method, route in methods.items():
            assert route.get("description"), (method, path)


def test_the_pages_come_from_here_and_from_nowhere_else(client: TestClient) -> None:
    page = client.get("/docs")
    assert page.status_code == 200
    assert "http://" not in page.text
    assert "https://" not in page.text
    for file in ("/docs/assets/swagger-ui-bundle.js", "/docs/assets/swagger-ui.css", "/docs/start.js"):
        assert file in page.text
        assert client.get(file).status_code == 200


def test_the_page_a_key_is_typed_into_talks_to_nobody_else_and_stands_in_no_frame(client: TestClient) -> None:
    rules = client.get("/docs").headers["content-security-policy"].split("; ")
    assert {"default-src 'none'", "frame-ancestors 'none'"} <= set(rules)
    sources = {source for rule in rules for source in rule.split()[1:]}
    assert sources == {"'self'", "data:", "'none'"}


def test_a_request_without_a_key_is_told_so_before_anything_else(client: TestClient) -> None:
    answer = client.post("/v1/dead/replay", json={"all": True})
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
    assert "API key" in answer.json()["detail"]


def test_a_hundred_thousand_unknown_fields_are_one_mistake() -> None:
    with pytest.raises(ValidationError) as refused:
        Lookup.model_validate({"accession": "1"} | {f"k{number}": 1 for number in range(100_000)})
    assert refused.value.error_count() == 1
    with pytest.raises(ValidationError) as refused:
        Lookup.model_validate({"accession": "1", "acession": "2", "pateint": "3"})
    assert refused.value.error_count() == 2


def test_a_path_is_taken_as_it_is_written(client: TestClient) -> None:
    assert client.get("/healthz/").status_code == 404


@pytest.mark.parametrize("text", ["a\0b", 5, "\ud800"])
def test_a_text_that_cannot_be_stored_is_refused(text: object) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(Text).validate_python(text)


@pytest.mark.parametrize("value", [{"a": float("nan")}, {"a": ["\0"]}, {"\0": 1}, {"a": {"b": "\ud800"}}, [1], "x"])
def test_an_object_that_cannot_be_stored_is_refused(value: object) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(JsonObject).validate_python(value)


def test_an_object_that_can_be_stored_comes_through() -> None:
    value = {"lr": 1e-4, "phantoms": {"count": 5, "names": ["\\u0000"]}}
    assert TypeAdapter(JsonObject).validate_python(value) == value
