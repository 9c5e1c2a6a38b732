"""The commands that read, sign, purge and export, against a real gateway and its database."""

import csv
import io
import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner, Result

from tests.support.api_keys import create_api_key
from tests.support.hostile_strings import STRINGS
from xraygpt import connect
from xraygpt.cli import app
from xraygpt.client import Gateway
from xraygpt.commands import reviewing
from xraygpt_core.states import KeyKind, Rejection, Role

World = Any
Run = Callable[..., Result]

pytestmark = pytest.mark.usefixtures("analysts")


@pytest.fixture
def key(world: World) -> str:
    """Of the person who types."""
    return create_api_key(world.ledger, "Dr. A. Okafor", KeyKind.PERSON, list(Role))


@pytest.fixture
def xraygpt(world: World, key: str, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command line that finds this gateway; ``as_key`` types with another key."""

    def pass_on(request: httpx.Request) -> httpx.Response:
        body, target = request.read(), request.url.raw_path.decode()
        answer = world.stranger.request(request.method, target, content=body, headers=dict(request.headers))
        return httpx.Response(answer.status_code, content=answer.content)

    def run(*words: str, given: str | None = None, as_key: str | None = None) -> Result:
        found = Gateway("http://testserver", as_key or key, patience=0.1, transport=httpx.MockTransport(pass_on))
        monkeypatch.setattr(connect, "find_gateway", lambda *_: found)
        return CliRunner().invoke(app, words, input=given)

    return run


def sql_text(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def test_types_and_digits_come_as_postgresql_has_them(xraygpt: Run) -> None:
    select = (
        "SELECT 1::int2 AS a, 9223372036854775807 AS b, 0.1234567890123456789012::numeric AS c, 0.1::float8 AS d, "
        "'00000000-0000-0000-0000-000000000001'::uuid AS e, ARRAY['x'] AS f, '{\"k\": 0.10}'::jsonb AS g, now() AS h"
    )
    done = xraygpt("query", select, "--json")
    found = json.loads(done.stdout, parse_float=Decimal)
    assert found["types"] == [
        "smallint", "bigint", "numeric", "double precision", "uuid", "text[]", "jsonb", "timestamp with time zone",
    ]  # fmt: skip
    digits = [2**63 - 1, Decimal("0.1234567890123456789012"), Decimal("0.1")]
    assert found["rows"][0][1:4] == digits
    assert found["rows"][0][6] == {"k": Decimal("0.10")}
    assert found["truncated"] is False


def test_hostile_texts_leave_postgresql_as_they_are(xraygpt: Run) -> None:
    rows = ", ".join(f"({number}, {sql_text(text)})" for number, text in enumerate(STRINGS))
    select = f"SELECT t, n FROM (VALUES {rows}, (998, NULL), (999, '')) AS v (n, t) ORDER BY n"
    lines = xraygpt("query", "-", "--format", "jsonl", given=select).stdout_bytes.decode().splitlines()
    assert [json.loads(line)["t"] for line in lines] == [*STRINGS, None, ""]
    written = xraygpt("query", "-", "--format", "csv", "--raw", given=select).stdout_bytes.decode()
    back = list(csv.reader(io.StringIO(written, newline=""), strict=True))[1:]
    assert [row[0] for row in back] == [*STRINGS, "", ""]
    assert written.endswith(',998\r\n"",999\r\n'), "NULL is nothing, empty text is quoted"


def test_missing_rows_end_with_3(xraygpt: Run) -> None:
    done = xraygpt("query", "SELECT generate_series(1, 10001) AS n", "--format", "csv")
    assert done.exit_code == 3
    assert done.stdout_bytes.count(b"\r\n") == 10_001, "the names, and ten thousand rows"
    assert "rows are missing: these are the first 10000" in done.stderr


def test_a_study_is_listed_watched_and_opened(world: World, xraygpt: Run) -> None:
    study_id, _ = world.summarised()
    world.submit("in/b.dcm")
    listed = json.loads(xraygpt("list", "--state", "summarised", "--since", "1h", "--json").stdout)
    assert [one["study_id"] for one in listed["studies"]] == [study_id]
    assert len(json.loads(xraygpt("list", "--json").stdout)["studies"]) == 2
    assert study_id in xraygpt("list", "--list", "awaiting").stdout
    handle = study_id[-9:]
    assert json.loads(xraygpt("watch", handle, "--json").stdout)["state"] == "summarised"
    assert xraygpt("open", handle).stdout == f"http://testserver/#/study/{study_id}\n"
    assert xraygpt("watch", study_id, as_key=create_api_key(world.ledger, "r")).exit_code == 0


def test_what_is_open_is_not_waited_for_longer_than_asked(world: World, xraygpt: Run) -> None:
    (image,) = world.submit("in/a.dcm")
    assert xraygpt("watch", image["study_id"], "--timeout", "0").exit_code == 3
    done = xraygpt("watch", "--timeout", "0", "--json")
    assert (done.exit_code, json.loads(done.stdout)["queued"]) == (3, 1)


def test_top_counts_what_is_queued_and_what_was_written_lately(world: World, xraygpt: Run) -> None:
    world.summarised()
    world.submit("in/b.dcm")
    totals = json.loads(xraygpt("top", "--json").stdout)["totals"]
    assert (totals["queued"], totals["summarised_last_minute"]) == (1, 1)
    assert xraygpt("top").stdout.startswith("1 texts/min · 1 waiting")


@pytest.mark.parametrize(("verdict", "state"), [("accept", "accepted"), ("reject", "rejected")])
def test_a_person_signs_what_was_shown_and_confirmed(
    world: World, xraygpt: Run, monkeypatch: pytest.MonkeyPatch, verdict: str, state: str
) -> None:
    study_id, summary_id = world.summarised()
    monkeypatch.setattr(reviewing, "_somebody_is_there", lambda: True)
    assert xraygpt("review", study_id, verdict, "--reason", "poor_film", given="n\n").exit_code == 3
    assert world.client.get(f"/v1/summaries/{summary_id}").json()["review_state"] == "draft"
    done = xraygpt("review", study_id, verdict, "--reason", "poor_film: Seen.", given="y\n")
    assert done.exit_code == 0, done.stderr
    assert "Clear lungs." in done.stdout
    assert "not a diagnosis" in done.stdout
    assert f"{state}, signed by Dr. A. Okafor" in done.stderr
    (act,) = world.client.get(f"/v1/summaries/{summary_id}/reviews").json()["reviews"]
    assert (act["action"], act["reason"], act["seen"]["review_state"]) == (state, "poor_film: Seen.", "draft")


@pytest.mark.parametrize("words", [(), ("--reason", "nonsense"), ("--reason", "other")])
def test_a_rejection_without_a_code_is_wrong_usage_that_names_the_codes(
    world: World, xraygpt: Run, words: tuple[str, ...]
) -> None:
    study_id, summary_id = world.summarised()
    done = xraygpt("review", study_id, "reject", *words, "--yes")
    assert done.exit_code == 2
    assert [code for code in Rejection if code not in done.stderr] == []
    assert world.client.get(f"/v1/summaries/{summary_id}").json()["review_state"] == "draft"


def test_nobody_signs_unasked(world: World, xraygpt: Run) -> None:
    study_id, summary_id = world.summarised()
    assert xraygpt("review", study_id, "accept").exit_code == 2
    assert xraygpt("review", study_id, "accept", "--json").exit_code == 2
    assert world.client.get(f"/v1/summaries/{summary_id}").json()["review_state"] == "draft"


def test_a_correction_comes_from_a_file_or_standard_input(world: World, xraygpt: Run, tmp_path: Any) -> None:
    study_id, summary_id = world.summarised()
    (tmp_path / "text").write_text("Small left effusion.\n")
    signed = json.loads(xraygpt("review", study_id, "edit", "--text", str(tmp_path / "text"), "--yes", "--json").stdout)
    assert (signed["review_state"], signed["summary"]) == ("edited", "Small left effusion.")
    done = xraygpt("review", study_id, "edit", "--text", "-", "--yes", given="Larger effusion.")
    assert done.exit_code == 0, done.stderr
    assert world.client.get(f"/v1/summaries/{summary_id}").json()["summary"] == "Larger effusion."


@pytest.mark.parametrize("words", [("edit",), ("accept", "--text", "-"), ("sign",)])
def test_wrong_usage_signs_nothing(world: World, xraygpt: Run, words: tuple[str, ...]) -> None:
    study_id, summary_id = world.summarised()
    assert xraygpt("review", study_id, *words, "--yes", given="x").exit_code == 2
    assert world.client.get(f"/v1/summaries/{summary_id}").json()["review_state"] == "draft"


def test_what_the_gateway_refuses_is_said(world: World, xraygpt: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    study_id, summary_id = world.summarised()
    program = create_api_key(world.ledger, "pacs", KeyKind.PROGRAM, (Role.SERVICE,))
    assert "403" in str(xraygpt("review", study_id, "accept", "--yes", as_key=program).exception)
    signed = xraygpt("review", study_id, "accept", "--yes", "--reviewer", "Dr. Who", as_key=program)
    assert "signed by Dr. Who" in signed.stderr
    assert "422" in str(xraygpt("review", study_id, "accept", "--yes", "--reviewer", "Dr. Who").exception)
    other = str(xraygpt("review", study_id, "accept", "--yes", "--summary", "0" * 12).exception)
    assert other == f"the current text is {summary_id}: read it before you sign"


def test_who_signs_what_another_changed_meanwhile_signs_nothing(
    world: World, xraygpt: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    study_id, summary_id = world.summarised()

    def meanwhile(*_: Any, **__: Any) -> None:
        body = {"state": "rejected", "reason": "not_useful", "reviewer": "Dr. B"}
        assert world.client.post(f"/v1/summaries/{summary_id}/review", json=body).status_code == 200

    monkeypatch.setattr(reviewing, "_ask", meanwhile)
    assert "409" in str(xraygpt("review", study_id, "accept").exception)
    assert world.client.get(f"/v1/summaries/{summary_id}").json()["reviewed_by"] == "Dr. B"


def test_a_study_without_a_text_cannot_be_signed(world: World, xraygpt: Run) -> None:
    (image,) = world.submit("in/a.dcm")
    said = str(xraygpt("review", image["study_id"], "accept", "--yes").exception)
    assert said.startswith("the study has no text to review: it is ")


def test_a_purge_says_what_goes_and_asks(world: World, xraygpt: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    study_id, _ = world.summarised()
    assert xraygpt("purge", study_id).exit_code == 2, "nobody can be asked"
    monkeypatch.setattr(reviewing, "_somebody_is_there", lambda: True)
    refused = xraygpt("purge", study_id, given="n\n")
    assert refused.exit_code == 3
    assert "This removes for good" in refused.stderr
    assert "The study is summarised, with a text that is draft; images: 1, reviews: 0." in refused.stderr
    assert world.client.get(f"/v1/studies/{study_id}").json()["summary"] is not None
    admin = create_api_key(world.ledger, "admin", KeyKind.PERSON, (Role.ADMIN,))
    assert xraygpt("purge", study_id, given="y\n", as_key=admin).exit_code == 0, "though it may not read the study"
    assert world.client.get(f"/v1/studies/{study_id}").json()["summary"] is None


def test_only_an_admin_purges(world: World, xraygpt: Run) -> None:
    study_id, _ = world.summarised()
    reader = create_api_key(world.ledger, "reader", KeyKind.PERSON, (Role.READER,))
    assert "403" in str(xraygpt("purge", study_id, "--yes", as_key=reader).exception)
    assert json.loads(xraygpt("purge", study_id, "--yes", "--json").stdout) == {"study_id": study_id, "purged": True}
