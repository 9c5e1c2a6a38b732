"""Whatever the API's own description allows is sent, and what it does not: nothing ends in a 5xx."""

from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import response_schema_conformance

World = Any

pytestmark = pytest.mark.usefixtures("analysts")  # a reader that may not log in is a 503
METHODS = ["get", "post", "put", "delete"]


@pytest.mark.parametrize("method", METHODS)
def test_the_api_answers_as_it_describes_itself(shared: World, method: str) -> None:
    described = schemathesis.openapi.from_asgi("/openapi.json", shared.client.app)
    headers = {"Authorization": shared.client.headers["Authorization"]}
    operations = [found.ok() for found in described.get_all_operations()]
    for operation in (one for one in operations if one.method == method):

        @settings(max_examples=10, deadline=None, database=None, suppress_health_check=list(HealthCheck))
        @given(case=operation.as_strategy())
        def answers(case: Any) -> None:
            case.call_and_validate(headers=headers, checks=[not_a_server_error, response_schema_conformance])

        answers()


def test_no_operation_is_left_out(shared: World) -> None:
    paths = shared.client.get("/openapi.json").json()["paths"]
    assert {method for operations in paths.values() for method in operations} <= set(METHODS)
