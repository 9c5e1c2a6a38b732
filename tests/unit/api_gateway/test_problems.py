"""How errors leave the gateway."""

import json
from collections.abc import Iterator

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from pydantic import BaseModel

from api_gateway.problems import STATUS, problem, translate_errors
from xraygpt_core import errors
from xraygpt_core.states import ReasonCode


class Body(BaseModel):
    name: str
    number: int


def descendants(kind: type[errors.XrayGPTError]) -> Iterator[type[errors.XrayGPTError]]:
    for child in kind.__subclasses__():
        yield child
        yield from descendants(child)


def client(raised: Exception | None = None) -> TestClient:
    app = FastAPI()
    translate_errors(app)

    @app.get("/raise")
    def get_raise() -> None:
        if raised is not None:
            raise raised

    @app.post("/body")
    def post_body(body: Body) -> Body:
        return body

    return TestClient(app, raise_server_exceptions=False)


def test_every_error_of_the_core_has_a_status() -> None:
    own = [kind for kind in descendants(errors.XrayGPTError) if kind.__module__ == errors.__name__]
    assert [kind.__name__ for kind in own if kind not in STATUS] == []


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.NotFound("no study"), 404),
        (errors.Conflict("not yet"), 409),
        (errors.InvalidRequest("no"), 422),
        (errors.Unauthorised("no key"), 401),
        (errors.Unavailable("away"), 503),
        (errors.Refused("no room on the disk"), 503),
        (errors.Rejected(ReasonCode.BLANK, "every pixel is 0"), 422),
        (errors.Rejected(ReasonCode.TOO_LARGE, "more than 5 bytes"), 413),
    ],
)
def test_an_error_becomes_a_problem(error: errors.XrayGPTError, status: int) -> None:
    answer = client(error).get("/raise")
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    said = answer.json()
    assert (said["type"], said["status"], said["detail"]) == ("about:blank", status, str(error))
    assert said["title"] == (type(error).__doc__ or "").splitlines()[0]


def test_a_rejection_tells_its_reason_code() -> None:
    assert client(errors.Rejected(ReasonCode.BLANK, "x")).get("/raise").json()["reason_code"] == "blank"


def test_what_is_worth_a_repeat_says_when() -> None:
    assert client(errors.Unavailable("away")).get("/raise").headers["retry-after"] == "2"


def test_a_missing_key_says_how_to_send_one() -> None:
    assert client(errors.Unauthorised("no key")).get("/raise").headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("error", [RuntimeError("DOE^JANE"), errors.XrayGPTError("DOE^JANE"), KeyError("DOE^JANE")])
def test_a_defect_is_a_problem_without_details(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    answer = client(error).get("/raise")
    assert answer.status_code == 500
    assert "DOE" not in answer.text
    assert [record.getMessage() for record in caplog.records if record.name == "api_gateway.problems"] == [
        "unexpected error"
    ]


def test_a_malformed_body_names_its_fields_without_their_values() -> None:
    answer = client().post("/body", json={"name": ["DOE^JANE"], "number": "DOE^JANE"})
    said = answer.json()
    assert (answer.status_code, said["title"]) == (422, "The request is malformed.")
    assert [error["where"] for error in said["errors"]] == ["body.name", "body.number"]
    assert "DOE" not in answer.text


def test_a_body_that_is_no_json_is_malformed() -> None:
    answer = client().post("/body", content=b"{", headers={"Content-Type": "application/json"})
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"


def test_an_unknown_path_is_a_problem() -> None:
    answer = client().get("/nowhere")
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json() == {"type": "about:blank", "title": "Not Found", "status": 404}


def test_a_wrong_method_names_the_right_ones() -> None:
    answer = client().delete("/body")
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
    assert answer.json()["title"] == "Method Not Allowed"


def test_a_problem_may_have_further_members() -> None:
    answer = problem(503, "not ready", errors=[{"where": "broker", "problem": "does not answer"}])
    assert json.loads(bytes(answer.body))["errors"] == [{"where": "broker", "problem": "does not answer"}]
