"""What a row of the audit says of an act, and how its rows are exported and proved."""

import hashlib
import json
from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import pytest

from tests.support.audit_tools import acts, kept
from tests.support.ledger_tools import do
from xraygpt_core.ledger.audit.chain import Verdict, read_head
from xraygpt_core.ledger.audit.export import checked_lines
from xraygpt_core.ledger.audit.seal import head_now, seal
from xraygpt_core.states import Role

World = Any


def test_a_row_names_key_address_and_the_study_behind_an_alias(world: World) -> None:
    (first,), (second,) = world.submit("in/one.dcm"), world.submit("in/two.dcm")
    home = world.ingest(first["image_id"], study_pseudonym="same")
    world.ingest(second["image_id"], study_pseudonym="same")
    world.client.get(f"/v1/studies/{second['study_id']}")
    row = kept(world.ledger)[-1]
    assert (row["what"], str(row["study_id"]), row["actor"], row["address"]) == (
        "study read",
        home,
        "tests",
        "testclient",
    )
    assert row["key_id"] == UUID(world.client.get("/v1/me").json()["key_id"])


def test_a_list_says_which_studies_it_showed(world: World) -> None:
    ids = [world.summarised(f"in/{number}.dcm")[0] for number in range(3)]
    world.client.get("/v1/studies", params={"list": "awaiting", "limit": 2})
    row = kept(world.ledger)[-1]
    assert (row["detail"], [str(one) for one in row["studies"]]) == ({"list": "awaiting"}, ids[:2])


def test_who_is_told_no_text_leaves_no_row_that_says_so(world: World) -> None:
    (image,) = world.submit("in/a.dcm")
    study_id = world.ingest(image["image_id"])
    world.summarise(study_id, "No acute disease.")
    for role, studies in ((Role.READER, [str(study_id)]), (Role.OPERATOR, [])):
        world.as_role(role).post("/v1/images/status", json={"image_ids": [image["image_id"]]})
        assert [str(one) for one in kept(world.ledger)[-1]["studies"]] == studies


def test_a_look_up_says_what_was_found_and_not_what_was_asked(world: World) -> None:
    world.client.post("/v1/lookup", json={"accession": "CANARY-1"})
    assert (kept(world.ledger)[-1]["detail"], kept(world.ledger)[-1]["studies"]) == (
        {"kind": "accession", "hits": 0},
        [],
    )


@pytest.mark.usefixtures("analysts")
@pytest.mark.parametrize(
    ("statement", "outcome"), [("SELECT 1 UNION SELECT 2", "done"), ("SELECT", "done"), ("SELEKT", "failed")]
)
def test_a_query_is_kept_as_a_hash_with_its_outcome(world: World, statement: str, outcome: str) -> None:
    world.client.post("/v1/query", json={"sql": statement})
    row = kept(world.ledger)[-1]
    assert (row["what"], row["outcome"]) == ("query run", outcome)
    assert row["detail"] == {"sha256": hashlib.sha256(statement.encode()).hexdigest()}


def test_a_browser_that_signs_in_and_out_is_kept_and_one_that_fails(world: World) -> None:
    answer = world.stranger.post("/v1/session", headers=dict(world.client.headers))
    token = {"X-CSRF-Token": answer.json()["csrf_token"]}
    assert world.stranger.delete("/v1/session", headers=token).status_code == 204
    assert world.stranger.post("/v1/session", json={"key": "wrong"}).status_code == 401
    assert acts(world.ledger) == ["signed in", "signed out", "sign-in failed"]
    session = {row["session_id"] or row["subject"] for row in kept(world.ledger)[:2]}
    assert len(session) == 1


def test_a_review_says_which_row_it_is_and_whether_a_program_spoke(world: World) -> None:
    _, summary_id = world.summarised()
    world.client.post(f"/v1/summaries/{summary_id}/review", json={"state": "accepted", "reviewer": "Dr. A"})
    row = kept(world.ledger)[-2]
    assert (row["what"], str(row["subject"])) == ("summary accepted", summary_id)
    assert (row["detail"]["kind"], row["detail"]["speaks_for"]) == ("both", True)


def test_an_act_that_comes_too_late_is_kept_as_refused(world: World) -> None:
    study_id, _ = world.summarised()
    assert world.client.post(f"/v1/studies/{study_id}/cancel").status_code == 409
    row = kept(world.ledger)[-1]
    assert (row["what"], row["outcome"], str(row["study_id"])) == ("act refused", "refused", study_id)
    assert row["detail"] == {"route": "POST /v1/studies/{study_id}/cancel", "status": 409}


@pytest.mark.parametrize("method", ["get", "delete"])
def test_what_is_not_there_leaves_no_row_of_its_reading(world: World, method: str) -> None:
    assert world.client.request(method, f"/v1/studies/{uuid4()}").status_code == 404
    assert kept(world.ledger) == []


def test_the_timeline_names_the_key_that_cancelled(world: World) -> None:
    (image,) = world.submit("in/one.dcm")
    world.client.post(f"/v1/studies/{image['study_id']}/cancel")
    steps = world.client.get(f"/v1/studies/{image['study_id']}/timeline").json()["steps"]
    assert (steps[-1]["what"], steps[-1]["who"]) == ("cancelled", "tests")
    assert steps[-1]["detail"] == {"key": world.client.get("/v1/me").json()["key_id"]}


def test_a_purge_leaves_what_was_done_to_the_study(world: World) -> None:
    study_id, _ = world.summarised()
    world.client.get(f"/v1/studies/{study_id}")
    world.client.delete(f"/v1/studies/{study_id}")
    assert [row["what"] for row in kept(world.ledger) if str(row["study_id"]) == study_id] == [
        "study read",
        "study purged",
    ]


def test_a_read_that_cannot_be_kept_is_not_answered(world: World) -> None:
    study_id, _ = world.summarised()
    do(world.ledger, "ALTER TABLE audit RENAME TO away")
    try:
        answer = world.client.get(f"/v1/studies/{study_id}")
    finally:
        do(world.ledger, "ALTER TABLE away RENAME TO audit")
    assert answer.status_code >= 500
    assert "No acute disease" not in answer.text


def lines(world: World, path: str, **query: Any) -> list[dict[str, Any]]:
    answer = world.client.get(path, params=query)
    assert answer.headers["content-type"].startswith("application/x-ndjson"), answer.text
    return [json.loads(line) for line in answer.text.split("\n")[:-1]]


@pytest.fixture
def sealed(world: World) -> Callable[[], None]:
    def do_and_seal() -> None:
        world.client.get("/v1/studies")
        assert seal(world.ledger) is not None

    return do_and_seal


def test_an_export_brings_each_seal_before_its_rows_and_goes_on_behind_one(
    world: World, sealed: Callable[[], None]
) -> None:
    sealed()
    sealed()
    got = lines(world, "/v1/audit")
    assert [one.get("seal") or one["what"] for one in got] == [1, "worklist read", 2, "worklist read"]
    assert [one["seal"] for one in lines(world, "/v1/audit", after=1) if "seal" in one] == [2]
    assert lines(world, "/v1/audit", after=1)[0]["previous"] == got[0]["digest"]


def test_an_export_is_proved_without_us(world: World, sealed: Callable[[], None]) -> None:
    world.client.post("/v1/lookup", json={"patient": "Zoë"})
    sealed()
    sealed()
    text = world.client.get("/v1/audit").text
    (verdict,) = checked_lines(text.splitlines(keepends=True), seen=head_now(world.ledger))
    assert isinstance(verdict, Verdict)
    assert (verdict.ok, verdict.seals, verdict.rows) == (True, 2, 3)


def test_a_check_ends_with_a_verdict_and_the_head(world: World, sealed: Callable[[], None]) -> None:
    sealed()
    verdict = lines(world, "/v1/audit/verify")[-1]
    assert verdict == {"ok": True, "head": str(head_now(world.ledger)), "seals": 1, "rows": 1}
    told = lines(world, "/v1/audit/verify", head=f"9:{read_head(verdict['head']).digest}")
    assert (told[-2]["problem"], told[-1]["ok"]) == ("tail missing", False)
