"""Whatever is sent, the gateway answers with a problem and never with a defect of its own."""

import json
from typing import Any

import pytest

World = Any

DEEP = "[" * 900 + "]" * 900
VALUES = ["null", "0", "-1", "1e999", "NaN", "99999999999999999999", '""', '"a\\u0000b"', '"\\ud800"', '"s3://\\ud800/x"',
          "[]", "{}", "[null]", '{"a": {"b": [1, "\\u0000"]}}', DEEP, '"' + "x" * 5000 + '"', "true", '["not-a-uuid"]',
          '"9999-12-31T23:59:59Z"', '"infinity"', '"%"', '"\' OR 1=1 --"']  # fmt: skip
UUID = "00000000-0000-7000-8000-000000000000"


def operations(shared: World, method: str) -> list[tuple[str, dict[str, Any]]]:
    document = shared.client.get("/openapi.json").json()
    return [(path, methods[method]) for path, methods in document["paths"].items() if method in methods]


def filled(path: str, value: str = UUID) -> str:
    for name in ("study_id", "turn_id", "summary_id", "run_id", "backlog_id"):
        path = path.replace("{" + name + "}", value)
    return path.replace("{wanted}", "pause").replace("{sha256}", "0" * 64)


def fields(shared: World, operation: dict[str, Any]) -> list[str]:
    schema = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
    if "$ref" not in schema:
        return []
    document = shared.client.get("/openapi.json").json()
    return list(document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]["properties"])


@pytest.mark.usefixtures("analysts")  # a reader that may not log in is a 503, whatever the statement
def test_no_body_makes_a_defect(shared: World) -> None:
    headers = {"Content-Type": "application/json"}
    tried = 0
    for path, operation in operations(shared, "post"):
        names = fields(shared, operation)
        bodies = [*VALUES, *(f'{{"{name}": {value}}}' for name in names for value in VALUES)]
        for body in bodies:
            answer = shared.client.post(filled(path), content=body.encode(), headers=headers)
            assert answer.status_code < 500, (path, body[:100], answer.text)
            tried += 1
    assert tried > 500


@pytest.mark.parametrize("value", ["x", "0", "%00", "..%2f..", "%ff", "a" * 3000, UUID + "0", "{}"])
def test_no_path_makes_a_defect(shared: World, value: str) -> None:
    for method in ("get", "delete", "put", "post"):
        for path, _ in operations(shared, method):
            if "{" in path:
                answer = shared.client.request(method, filled(path, value), content=b"")
                assert answer.status_code in {400, 401, 404, 405, 409, 422, 429}, (method, path, answer.text)


@pytest.mark.parametrize("name", ["reason", "after", "limit"])
@pytest.mark.parametrize("value", ["", "%00", "-1", "1e9", "%", "_", "a" * 3000, "%ff"])
def test_no_query_makes_a_defect(shared: World, name: str, value: str) -> None:
    answer = shared.client.get(f"/v1/dead?{name}={value}")
    assert answer.status_code in {200, 422}


@pytest.mark.parametrize("header", ["Idempotency-Key", "X-API-Key", "Authorization", "Content-Type", "Content-Length"])
@pytest.mark.parametrize("value", [b"\xff\xfe", b"", b" ", b"x" * 5000, b"Bearer", b"Bearer ", b"Bearer \xff", b"-1"])
def test_no_header_makes_a_defect(shared: World, header: str, value: bytes) -> None:
    own = {name: sent.encode() for name, sent in shared.client.headers.items() if name.lower() == "authorization"}
    headers = {**own, header.lower(): value}
    answer = shared.stranger.post("/v1/dead/replay", content=json.dumps({"all": True}).encode(), headers=headers)
    assert answer.status_code < 500
