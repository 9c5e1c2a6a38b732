"""Every act through the gateway leaves its row in the audit, and so does what is refused; nothing of a patient does."""

import hashlib
import json
from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import pytest

from tests.support.ledger_tools import do
from xraygpt_core.ledger.audit.chain import Verdict, read_head
from xraygpt_core.ledger.audit.export import checked_lines
from xraygpt_core.ledger.audit.seal import head_now, seal
from xraygpt_core.states import JobKind, Role

World = Any

# What each operation leaves. Who adds one says here what it leaves; what shows nothing of anybody leaves nothing.
ACTS: dict[str, list[str]] = {
    "GET /healthz": [],
    "GET /readyz": [],
    "GET /metrics": [],
    "GET /v1/status": [],
    "GET /v1/me": [],
    "GET /v1/backlogs": [],
    "GET /v1/backlogs/{backlog_id}": [],
    "GET /v1/training-runs": [],
    "GET /v1/training-runs/{run_id}": [],
    "GET /v1/training-runs/{run_id}/points": [],
    "GET /v1/dead": [],
    "GET /v1/studies": ["worklist read"],
    "POST /v1/studies": ["images submitted"],
    "GET /v1/studies/{study_id}": ["study read"],
    "GET /v1/studies/{study_id}/timeline": ["timeline read"],
    "GET /v1/studies/{study_id}/preview.png": ["film read"],
    "POST /v1/studies/{study_id}/chat": ["question asked"],
    "GET /v1/studies/{study_id}/chat": ["transcript read"],
    "GET /v1/turns/{turn_id}": ["turn read"],
    "GET /v1/turns/{turn_id}/stream": ["turn read"],
    "GET /v1/summaries/{summary_id}": ["summary read"],
    "GET /v1/summaries/{summary_id}/origin": ["origin read"],
    "GET /v1/summaries/{summary_id}/image.png": ["film read"],
    "GET /v1/summaries/{summary_id}/reviews": ["reviews read"],
    "POST /v1/summaries/{summary_id}/review": ["summary accepted", "summary read"],
    "POST /v1/images/status": ["images read"],
    "POST /v1/images/lookup": ["images read"],
    "POST /v1/lookup": ["number looked up"],
    "POST /v1/query": ["query run"],
    "PUT /v1/uploads/{sha256}": ["file uploaded"],
    "POST /v1/events/s3": ["images announced"],
    "POST /v1/backlogs": ["backlog created"],
    "POST /v1/backlogs/{backlog_id}/{wanted}": ["backlog paused"],
    "POST /v1/resummarise": ["studies resummarised"],
    "POST /v1/dead/replay": ["jobs replayed"],
    "POST /v1/training-runs": ["run started"],
    "GET /v1/training-runs/{run_id}/files": ["run files listed"],
    "GET /v1/training-runs/{run_id}/files/{name}": ["run file read"],
    "GET /v1/training-runs/{run_id}/report": ["run file read"],
    "POST /v1/studies/{study_id}/exclusion": ["study excluded from training"],
    "DELETE /v1/studies/{study_id}/exclusion": ["study allowed for training"],
    "POST /v1/training-runs/{run_id}/promote": ["run promoted"],
    "POST /v1/training-runs/selection": ["signed studies counted"],
    "POST /v1/training-runs/{run_id}/pause": ["run paused"],
    "POST /v1/training-runs/{run_id}/resume": ["run resumed"],
    "POST /v1/training-runs/{run_id}/cancel": ["run cancelled"],
    "POST /v1/bundles/serve": ["bundle served"],
    "POST /v1/bundles/rollback": ["bundle rolled back"],
    "GET /v1/audit": ["audit exported"],
    "GET /v1/audit/verify": ["audit verified"],
    "POST /v1/studies/{study_id}/cancel": ["study cancelled"],
    "GET /v1/keys": ["keys listed"],
    "POST /v1/keys": ["key created"],
    "POST /v1/keys/{key_id}/rotate": ["key rotated"],
    "DELETE /v1/keys/{key_id}": ["key ended"],
    "DELETE /v1/studies/{study_id}": ["study purged"],
}
# Signed by Amazon: tests/integration/gateway/test_sns.py. Of a browser: below.
ELSEWHERE = {"POST /v1/events/sns", "POST /v1/session", "GET /v1/session", "DELETE /v1/session"}
ISSUED = "CANARY-77"


class Scene:
    """A summarised study with a question, an open one, a backlog and runs: what each operation may be tried upon."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.study_id, self.summary_id = world.summarised("in/CANARY^JANE.dcm")
        (image,) = world.submit("in/CANARY^OPEN.dcm")
        self.open_id = image["study_id"]
        self.image_id = image["image_id"]
        digest = hashlib.sha256(b"png").hexdigest()
        for folder in ("preview", "normalised"):
            change = f"UPDATE images SET {folder}_key = '{folder}/film.png', {folder}_sha256 = '{digest}'"
            do(world.ledger, f"{change} WHERE study_id = :id", id=self.study_id)
            world.s3.put_object(Bucket=world.settings.derived_bucket, Key=f"{folder}/film.png", Body=b"png")
        asked = world.client.post(f"/v1/studies/{self.study_id}/chat", json={"question": "CANARY?"})
        self.turn_id = asked.json()["turn_id"]
        world.write(self.turn_id)[1]("CANARY: no.")
        self.key_id = self._made("/v1/keys", {"name": "ward", "roles": ["reader"]}, "key_id")
        self.backlog_id = self._made("/v1/backlogs", {"uri": f"s3://{world.settings.bucket}/CANARY/"}, "backlog_id")
        self.runs = [self._made("/v1/training-runs", {"stage": "stage1"}, "run_id") for _ in range(2)]
        do(world.ledger, "UPDATE training_runs SET state = 'done' WHERE id = :id", id=UUID(self.runs[0]))
        world.s3.put_object(Bucket=world.settings.derived_bucket, Key="reports/1", Body=b"png")
        keep = "INSERT INTO training_files (run_id, name, key, sha256, bytes) VALUES (:id, 'report.html', 'reports/1', "
        do(world.ledger, f"{keep} '{digest}', 3)", id=UUID(self.runs[0]))
        (dead,) = world.submit("in/CANARY^DEAD.dcm")
        self.dead_id = world.kill(JobKind.INGEST, dead["image_id"])

    def _made(self, path: str, body: dict[str, Any], name: str) -> str:
        return str(self.world.client.post(path, json=body).json()[name])

    def path(self, operation: str) -> str:
        """The operation's address, with ids for what it is tried upon."""
        path = operation.partition(" ")[2]
        study = self.open_id if operation.endswith("/cancel") else self.study_id
        run = self.runs[operation.endswith(("/cancel", "/pause", "/resume"))]
        ids = {"study_id": study, "summary_id": self.summary_id, "turn_id": self.turn_id, "run_id": run}
        ids |= {"backlog_id": self.backlog_id, "wanted": "pause", "key_id": self.key_id}
        ids["name"] = "report.html"
        ids["sha256"] = hashlib.sha256(b"film").hexdigest()
        return path.format(**ids)

    def body(self, operation: str) -> dict[str, Any]:
        """What is sent with it."""
        source = f"s3://{self.world.settings.bucket}/in/CANARY^JANE.dcm"
        record = {"s3": {"bucket": {"name": self.world.settings.bucket}, "object": {"key": "in/new", "eTag": "e"}}}
        bodies: dict[str, Any] = {
            "POST /v1/studies": {"objects": [{"uri": source}]},
            "POST /v1/studies/{study_id}/chat": {"question": "CANARY again?"},
            "POST /v1/summaries/{summary_id}/review": {"state": "accepted", "reviewer": "Dr. CANARY"},
            "POST /v1/images/status": {"image_ids": [self.image_id]},
            "POST /v1/images/lookup": {"objects": [{"uri": source, "etag": "e"}]},
            "POST /v1/lookup": {"patient": ISSUED},
            "POST /v1/query": {"sql": "SELECT 'CANARY' AS name"},
            "POST /v1/events/s3": {"Records": [{"eventName": "ObjectCreated:Put", "eventVersion": "2.1", **record}]},
            "POST /v1/backlogs": {"uri": f"s3://{self.world.settings.bucket}/CANARY2/"},
            "POST /v1/resummarise": {"study_ids": [self.study_id]},
            "POST /v1/dead/replay": {"job_ids": [self.dead_id]},
            "POST /v1/training-runs": {"stage": "stage1", "config": {"films": "CANARY"}},
            "POST /v1/training-runs/selection": {"select": "reviewed since 2026-01-01"},
            "POST /v1/bundles/serve": {"bundle": "CANARY bundle"},
            "POST /v1/keys": {"name": "next ward", "roles": ["reader"]},
            "POST /v1/keys/{key_id}/rotate": {"overlap_seconds": 60},
        }
        return {"json": bodies[operation]} if operation in bodies else {}

    def tried(self, operation: str) -> list[str]:
        """Send it; what it left."""
        before = acts(self.world)
        more = {"content": b"film"} if operation.startswith("PUT") else self.body(operation)
        answer = self.world.client.request(operation.partition(" ")[0], self.path(operation), **more)
        assert answer.is_success, (operation, answer.text)
        return acts(self.world)[len(before) :]


def acts(world: World) -> list[str]:
    return [row["what"] for row in audit(world)]


def audit(world: World) -> list[dict[str, Any]]:
    with world.ledger.work() as work:
        return [dict(row) for row in work.rows("SELECT * FROM audit ORDER BY id")]


def newest(world: World) -> dict[str, Any]:
    return audit(world)[-1]


@pytest.mark.usefixtures("analysts")
def test_every_operation_leaves_exactly_what_it_must_and_nothing_of_a_patient(world: World) -> None:
    described = world.client.get("/openapi.json").json()["paths"]
    operations = {f"{method.upper()} {path}" for path, methods in described.items() for method in methods}
    assert operations == set(ACTS) | ELSEWHERE
    scene = Scene(world)
    assert {operation: scene.tried(operation) for operation in ACTS} == ACTS
    written = [row for row in audit(world) if row["actor"] != "tests" or row["key_id"] is None]
    assert written == []
    assert "CANARY" not in str(audit(world))
    assert scene.world.pseudonymiser.patient(ISSUED, None) not in str(audit(world))


def test_a_row_names_key_address_and_the_study_behind_an_alias(world: World) -> None:
    (first,), (second,) = world.submit("in/one.dcm"), world.submit("in/two.dcm")
    home = world.ingest(first["image_id"], study_pseudonym="same")
    world.ingest(second["image_id"], study_pseudonym="same")
    world.client.get(f"/v1/studies/{second['study_id']}")
    row = newest(world)
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
    row = newest(world)
    assert (row["detail"], [str(one) for one in row["studies"]]) == ({"list": "awaiting"}, ids[:2])


def test_who_is_told_no_text_leaves_no_row_that_says_so(world: World) -> None:
    (image,) = world.submit("in/a.dcm")
    study_id = world.ingest(image["image_id"])
    world.summarise(study_id, "No acute disease.")
    for role, studies in ((Role.READER, [str(study_id)]), (Role.OPERATOR, [])):
        world.as_role(role).post("/v1/images/status", json={"image_ids": [image["image_id"]]})
        assert [str(one) for one in newest(world)["studies"]] == studies


def test_a_look_up_says_what_was_found_and_not_what_was_asked(world: World) -> None:
    world.client.post("/v1/lookup", json={"accession": "CANARY-1"})
    assert (newest(world)["detail"], newest(world)["studies"]) == ({"kind": "accession", "hits": 0}, [])


@pytest.mark.usefixtures("analysts")
@pytest.mark.parametrize(
    ("statement", "outcome"), [("SELECT 1 UNION SELECT 2", "done"), ("SELECT", "done"), ("SELEKT", "failed")]
)
def test_a_query_is_kept_as_a_hash_with_its_outcome(world: World, statement: str, outcome: str) -> None:
    world.client.post("/v1/query", json={"sql": statement})
    row = newest(world)
    assert (row["what"], row["outcome"]) == ("query run", outcome)
    assert row["detail"] == {"sha256": hashlib.sha256(statement.encode()).hexdigest()}


def test_a_browser_that_signs_in_and_out_is_kept_and_one_that_fails(world: World) -> None:
    answer = world.stranger.post("/v1/session", headers=dict(world.client.headers))
    token = {"X-CSRF-Token": answer.json()["csrf_token"]}
    assert world.stranger.delete("/v1/session", headers=token).status_code == 204
    assert world.stranger.post("/v1/session", json={"key": "wrong"}).status_code == 401
    assert acts(world) == ["signed in", "signed out", "sign-in failed"]
    session = {row["session_id"] or row["subject"] for row in audit(world)[:2]}
    assert len(session) == 1


def test_a_review_says_which_row_it_is_and_whether_a_program_spoke(world: World) -> None:
    _, summary_id = world.summarised()
    world.client.post(f"/v1/summaries/{summary_id}/review", json={"state": "accepted", "reviewer": "Dr. A"})
    row = audit(world)[-2]
    assert (row["what"], str(row["subject"])) == ("summary accepted", summary_id)
    assert (row["detail"]["kind"], row["detail"]["speaks_for"]) == ("both", True)


def test_an_act_that_comes_too_late_is_kept_as_refused(world: World) -> None:
    study_id, _ = world.summarised()
    assert world.client.post(f"/v1/studies/{study_id}/cancel").status_code == 409
    row = newest(world)
    assert (row["what"], row["outcome"], str(row["study_id"])) == ("act refused", "refused", study_id)
    assert row["detail"] == {"route": "POST /v1/studies/{study_id}/cancel", "status": 409}


@pytest.mark.parametrize("method", ["get", "delete"])
def test_what_is_not_there_leaves_no_row_of_its_reading(world: World, method: str) -> None:
    assert world.client.request(method, f"/v1/studies/{uuid4()}").status_code == 404
    assert audit(world) == []


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
    assert [row["what"] for row in audit(world) if str(row["study_id"]) == study_id] == ["study read", "study purged"]


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
