"""A body that is nested without end is the sender's mistake, on every route that takes one."""

from dataclasses import replace
from typing import Any

import pytest
from fastapi.testclient import TestClient

from api_gateway.app import create_app
from xraygpt_core.token_bucket import TokenBucket

World = Any
JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize(("levels", "form"), [(70, ('{"a":', "}")), (1500, ("[", "]"))], ids=["objects", "lists"])
def test_a_nested_body_is_refused_on_every_route(shared: World, levels: int, form: tuple[str, str]) -> None:
    settings = shared.settings.model_copy(update={"limit_login": TokenBucket.read("1000+1000/s")})
    ledger = replace(shared.ledger, settings=settings)
    client = TestClient(create_app(ledger, shared.store, shared.pseudonymiser), headers=shared.client.headers)
    nested = form[0] * levels + "1" + form[1] * levels
    nothing = "00000000-0000-7000-8000-000000000000"
    asked = 0
    for path, methods in client.get("/openapi.json").json()["paths"].items():
        if "application/json" not in str(methods.get("post", {}).get("requestBody")):
            continue
        for content in (nested, f'{{"stage": "stage1", "config": {{"a": {nested}}}}}'):
            url = path.replace("{", "").replace("}", "") if "_id" not in path else _with(path, nothing)
            answer = client.post(url, content=content, headers=JSON)
            assert answer.status_code == 422, (path, levels, answer.text)
            assert answer.headers["content-type"] == "application/problem+json"
            asked += 1
    assert asked > 10


@pytest.mark.parametrize("route", ["s3", "sns"])
@pytest.mark.parametrize("levels", [300, 100_000])
def test_a_nested_event_is_refused(shared: World, route: str, levels: int) -> None:
    nested = "[" * levels + "]" * levels
    for content in (nested, f'{{"Records": {nested}}}'):
        assert 400 <= shared.client.post(f"/v1/events/{route}", content=content, headers=JSON).status_code < 500


def _with(path: str, value: str) -> str:
    before, _, rest = path.partition("{")
    return before + value + rest.partition("}")[2]
