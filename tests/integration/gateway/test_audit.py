"""Every act through the gateway leaves its row in the audit, and so does what is refused; nothing of a patient does."""

import hashlib
from typing import Any
from uuid import UUID

import pytest

from tests.support.audit_tools import acts, kept
from tests.support.ledger_tools import do
from tests.support.pictures import picture
from xraygpt_core.states import JobKind

World = Any


# What each operation leaves. Who adds one says here what it leaves; what shows nothing of anybody leaves nothing.
ACTS: dict[str, list[str]] = {
    "GET /healthz": [],
    "GET /readyz": [],
    "GET /metrics": [],
    "GET /v1/status": [],
    "GET /v1/me": [],
    "PUT /v1/me/preferences": [],
    "GET /v1/backlogs": [],
    "GET /v1/backlogs/{backlog_id}": [],
    "GET /v1/training-runs": [],
    "GET /v1/training-runs/{run_id}": [],
    "GET /v1/training-runs/{run_id}/points": [],
    "GET /v1/dead": [],
    "GET /v1/ops": [],
    "GET /v1/studies": ["worklist read"],
    "POST /v1/studies": ["images submitted"],
    "POST /v1/studies/search": ["worklist read"],
    "POST /v1/studies/counts": ["worklist counted"],
    "POST /v1/studies/export": ["studies exported"],
    "POST /v1/studies/assign": ["studies assigned"],
    "POST /v1/studies/release": ["studies released"],
    "POST /v1/studies/hasten": ["studies hastened"],
    "GET /v1/readers": ["assignable readers listed"],
    "PUT /v1/studies/{study_id}/reading": ["reading begun"],
    "DELETE /v1/studies/{study_id}/reading": ["reading ended"],
    "GET /v1/studies/{study_id}": ["study read"],
    "GET /v1/studies/{study_id}/timeline": ["timeline read"],
    "GET /v1/studies/{study_id}/card": ["card read"],
    "GET /v1/studies/{study_id}/preview.png": ["film read"],
    "GET /v1/studies/{study_id}/thumbnail.png": ["film read"],
    "GET /v1/studies/{study_id}/images/{image_id}.png": ["film read"],
    "GET /v1/studies/{study_id}/images/{image_id}/16-bit.png": ["film read"],
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
    "GET /v1/handles/study/{ends}": ["handle looked up"],
    "GET /v1/handles/summary/{ends}": ["handle looked up"],
    "GET /v1/handles/turn/{ends}": ["handle looked up"],
    "GET /v1/handles/job/{ends}": [],
    "GET /v1/handles/backlog/{ends}": [],
    "GET /v1/handles/run/{ends}": [],
    "GET /v1/studies/{study_id}/readers": ["readers listed"],
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
    "POST /v1/comparisons": ["worklist read", "comparison begun"],
    "GET /v1/comparisons": [],
    "GET /v1/comparisons/{comparison_id}": [],
    "GET /v1/comparisons/{comparison_id}/words/{study_id}": ["sealed words read"],
    "POST /v1/comparisons/{comparison_id}/drafts": ["shadow draft kept"],
    "GET /v1/comparisons/{comparison_id}/drafts": ["shadow drafts read"],
    "GET /v1/handles/comparison/{ends}": [],
    "GET /v1/audit": ["audit exported"],
    "GET /v1/audit/verify": ["audit verified"],
    "POST /v1/studies/{study_id}/cancel": ["study cancelled"],
    "GET /v1/keys": ["keys listed"],
    "POST /v1/keys": ["key created"],
    "POST /v1/keys/{key_id}/rotate": ["key rotated"],
    "DELETE /v1/keys/{key_id}": ["key ended"],
    "DELETE /v1/studies/{study_id}": ["study purged"],
}


# Signed by Amazon: tests/integration/gateway/test_sns.py. Where numbers are kept: test_numbers.py. Of a browser: below.
ELSEWHERE = {
    "GET /v1/studies/{study_id}/numbers",
    "POST /v1/events/sns",
    "POST /v1/session",
    "GET /v1/session",
    "DELETE /v1/session",
}


ISSUED = "CANARY-77"


PNG = picture(size=(8, 8))


class Scene:
    """A summarised study with a question, an open one, a backlog and runs: what each operation may be tried upon."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.study_id, self.summary_id = world.summarised("in/CANARY^JANE.dcm")
        (image,) = world.submit("in/CANARY^OPEN.dcm")
        self.open_id = image["study_id"]
        self.image_id = image["image_id"]
        read = world.client.get(f"/v1/studies/{self.study_id}").json()
        self.film_id = read["images"][0]["image_id"]
        digest = hashlib.sha256(PNG).hexdigest()
        for folder in ("preview", "normalised", "deep"):
            change = f"UPDATE images SET {folder}_key = '{folder}/film.png', {folder}_sha256 = '{digest}'"
            do(world.ledger, f"{change} WHERE study_id = :id", id=self.study_id)
            world.s3.put_object(Bucket=world.settings.derived_bucket, Key=f"{folder}/film.png", Body=PNG)
        asked = world.client.post(f"/v1/studies/{self.study_id}/chat", json={"question": "CANARY?"})
        self.turn_id = asked.json()["turn_id"]
        world.write(self.turn_id)[1]("CANARY: no.")
        self.key_id = self._made("/v1/keys", {"name": "ward", "roles": ["reader"]}, "key_id")
        self.backlog_id = self._made("/v1/backlogs", {"uri": f"s3://{world.settings.bucket}/CANARY/"}, "backlog_id")
        self.runs = [self._made("/v1/training-runs", {"stage": "stage1"}, "run_id") for _ in range(2)]
        do(world.ledger, "UPDATE training_runs SET state = 'done' WHERE id = :id", id=UUID(self.runs[0]))
        world.s3.put_object(Bucket=world.settings.derived_bucket, Key="reports/1", Body=PNG)
        keep = "INSERT INTO training_files (run_id, name, key, sha256, bytes) VALUES (:id, 'report.html', 'reports/1', "
        do(world.ledger, f"{keep} '{digest}', 3)", id=UUID(self.runs[0]))
        self.compared = {
            name: {"name": name, "sha256": digit * 64} for name, digit in (("first", "1"), ("second", "2"))
        }
        self.comparison_id = self._made("/v1/comparisons", self.compared, "comparison_id")
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
        ids |= {"name": "report.html", "ends": self.study_id[-5:], "image_id": self.film_id}
        ids["comparison_id"] = self.comparison_id
        ids["sha256"] = hashlib.sha256(b"film").hexdigest()
        return path.format(**ids)

    def body(self, operation: str) -> dict[str, Any]:
        """What is sent with it."""
        source = f"s3://{self.world.settings.bucket}/in/CANARY^JANE.dcm"
        record = {"s3": {"bucket": {"name": self.world.settings.bucket}, "object": {"key": "in/new", "eTag": "e"}}}
        bodies: dict[str, Any] = {
            "POST /v1/studies": {"objects": [{"uri": source}]},
            "POST /v1/studies/search": {"list": "awaiting", "q": "CANARY"},
            "POST /v1/studies/counts": {"list": "all", "q": "CANARY", "reviewer": "Dr. CANARY"},
            **{f"POST /v1/studies/{act}": {"study_ids": [self.study_id]} for act in ("export", "assign", "release")},
            "POST /v1/studies/hasten": {"study_ids": [self.study_id], "lane": "stat"},
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
            "POST /v1/comparisons": {**self.compared, "where": {"reviewer": "Dr. CANARY", "list": "all"}},
            "POST /v1/comparisons/{comparison_id}/drafts": {
                "study_id": self.study_id,
                "bundle_sha256": "1" * 64,
                "text": "CANARY: no disease.",
            },
            "POST /v1/bundles/serve": {"bundle": "CANARY bundle"},
            "POST /v1/keys": {"name": "next ward", "roles": ["reader"]},
            "POST /v1/keys/{key_id}/rotate": {"overlap_seconds": 60},
            "PUT /v1/me/preferences": {"theme": "dark"},
        }
        return {"json": bodies[operation]} if operation in bodies else {}

    def tried(self, operation: str) -> list[str]:
        """Send it; what it left."""
        before = acts(self.world.ledger)
        more = {"content": b"film"} if operation.startswith("PUT /v1/uploads") else self.body(operation)
        answer = self.world.client.request(operation.partition(" ")[0], self.path(operation), **more)
        assert answer.is_success, (operation, answer.text)
        return acts(self.world.ledger)[len(before) :]


@pytest.mark.usefixtures("analysts")
def test_every_operation_leaves_exactly_what_it_must_and_nothing_of_a_patient(world: World) -> None:
    described = world.client.get("/openapi.json").json()["paths"]
    operations = {f"{method.upper()} {path}" for path, methods in described.items() for method in methods}
    assert operations == set(ACTS) | ELSEWHERE
    scene = Scene(world)
    assert {operation: scene.tried(operation) for operation in ACTS} == ACTS
    written = [row for row in kept(world.ledger) if row["actor"] != "tests" or row["key_id"] is None]
    assert written == []
    assert "CANARY" not in str(kept(world.ledger))
    assert scene.world.pseudonymiser.patient(ISSUED, None) not in str(kept(world.ledger))
