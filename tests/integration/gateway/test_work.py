"""Summaries, dead jobs, backlogs, training runs and look-ups over HTTP, on real services."""

from typing import Any
from uuid import UUID, uuid4

import pytest

from xraygpt_core.states import JobKind

World = Any


# Summaries


def test_resummarise_queues_once_per_bundle(world: World) -> None:
    study_id, _ = world.summarised()
    body = {"study_ids": [study_id]}
    assert world.client.post("/v1/resummarise", json=body).json() == {"queued": 0}
    with world.ledger.work() as work:
        work.run("UPDATE installation SET served_bundle = 'next'")
    for queued in (1, 0):
        answer = world.client.post("/v1/resummarise", json=body)
        assert (answer.status_code, answer.json()) == (202, {"queued": queued})


def test_resummarise_takes_a_condition(world: World) -> None:
    world.summarised()
    with world.ledger.work() as work:
        work.run("UPDATE installation SET served_bundle = 'next'")
    for where, queued in (({"view": "AP"}, 0), ({"until": "2020-01-01T00:00:00Z"}, 0), ({"from_bundle": "demo"}, 1)):
        assert world.client.post("/v1/resummarise", json={"where": where}).json() == {"queued": queued}


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"study_ids": [str(uuid4())], "where": {}},
        {"where": {"since": "2026-01-01T00:00:00"}},
        {"where": {"since": "0001-01-01T00:00:00+23:59"}},
        {"where": {"until": "9999-12-31T23:59:59-23:59"}},
    ],
)
def test_resummarise_wants_to_know_which(shared: World, body: dict[str, Any]) -> None:
    assert shared.client.post("/v1/resummarise", json=body).status_code == 422


def test_resummarise_with_a_bundle_nobody_serves_is_a_conflict(shared: World) -> None:
    answer = shared.client.post("/v1/resummarise", json={"where": {}, "bundle": "other"})
    assert answer.status_code == 409
    assert "promote" in answer.json()["detail"]


# Dead jobs


def test_dead_jobs_are_listed_page_by_page(world: World) -> None:
    images = world.submit("in/a.dcm", "in/b.dcm", "in/c.dcm")
    jobs = sorted(world.kill(JobKind.INGEST, image["image_id"]) for image in images)
    first = world.client.get("/v1/dead", params={"limit": 2}).json()["jobs"]
    assert [job["job_id"] for job in first] == jobs[:2]
    assert (first[0]["kind"], first[0]["last_error"]) == ("ingest", "the codec crashed")
    rest = world.client.get("/v1/dead", params={"after": jobs[1]}).json()["jobs"]
    assert [job["job_id"] for job in rest] == jobs[2:]


def test_dead_jobs_are_found_and_replayed_by_reason(world: World) -> None:
    one, other = world.submit("in/a.dcm", "in/b.dcm")
    world.kill(JobKind.INGEST, one["image_id"], "the codec crashed")
    world.kill(JobKind.INGEST, other["image_id"], "out of memory")
    found = world.client.get("/v1/dead", params={"reason": "memory"}).json()["jobs"]
    assert [job["subject"] for job in found] == [other["image_id"]]
    assert world.client.post("/v1/dead/replay", json={"reason": "memory"}).json() == {"replayed": 1}
    assert len(world.client.get("/v1/dead").json()["jobs"]) == 1


def test_dead_jobs_are_replayed_by_id_or_all(world: World) -> None:
    jobs = [world.kill(JobKind.INGEST, image["image_id"]) for image in world.submit("in/a.dcm", "in/b.dcm")]
    assert world.client.post("/v1/dead/replay", json={"job_ids": jobs[:1]}).json() == {"replayed": 1}
    assert world.client.post("/v1/dead/replay", json={"all": True}).json() == {"replayed": 1}
    assert world.client.get("/v1/dead").json() == {"jobs": []}


@pytest.mark.parametrize("reason", ["100%", "a_b", "%", "\\"])
def test_what_is_listed_for_a_reason_is_what_is_replayed_for_it(world: World, reason: str) -> None:
    errors = ("the disk is 100% full", "a_b is missing", "a b is missing", "C:\\x")
    for image, error in zip(world.submit("in/a.dcm", "in/b.dcm", "in/c.dcm", "in/d.dcm"), errors, strict=True):
        world.kill(JobKind.INGEST, image["image_id"], error)
    listed = world.client.get("/v1/dead", params={"reason": reason}).json()["jobs"]
    assert [job["last_error"] for job in listed] == [error for error in errors if reason in error]
    assert world.client.post("/v1/dead/replay", json={"reason": reason}).json() == {"replayed": len(listed)}


@pytest.mark.parametrize("body", [{}, {"all": False}, {"all": True, "reason": "x"}, {"job_ids": []}, {"reason": ""}])
def test_a_replay_says_exactly_what_it_means(world: World, body: dict[str, Any]) -> None:
    (image,) = world.submit("in/a.dcm")
    world.kill(JobKind.INGEST, image["image_id"])
    assert world.client.post("/v1/dead/replay", json=body).status_code == 422
    assert len(world.client.get("/v1/dead").json()["jobs"]) == 1


# Backlogs


def test_a_backlog_is_started_paused_resumed_and_cancelled(world: World) -> None:
    answer = world.client.post("/v1/backlogs", json={"uri": f"s3://{world.settings.bucket}/archive/DOE/"})
    assert answer.status_code == 202
    path = f"/v1/backlogs/{answer.json()['backlog_id']}"
    fresh = world.client.get(path)
    assert (fresh.json()["state"], fresh.json()["lane"], fresh.json()["registered"]) == ("listing", "backlog", 0)
    assert "DOE" not in fresh.text
    for wanted, state in (
        ("pause", "paused"),
        ("resume", "listing"),
        ("cancel", "cancelled"),
        ("resume", "listing"),
        ("cancel", "cancelled"),
    ):
        assert world.client.post(f"{path}/{wanted}").json()["state"] == state
    assert world.client.post(f"{path}/pause").status_code == 409
    assert [one["state"] for one in world.client.get("/v1/backlogs").json()["backlogs"]] == ["cancelled"]


def test_the_whole_bucket_is_a_backlog_too(shared: World) -> None:
    for uri in (f"s3://{shared.settings.bucket}", f"s3://{shared.settings.bucket}/"):
        assert shared.client.post("/v1/backlogs", json={"uri": uri, "lane": "routine"}).status_code == 202


@pytest.mark.parametrize("uri", ["s3://elsewhere/x", "archive/", "s3://"])
def test_a_backlog_of_another_bucket_is_refused(shared: World, uri: str) -> None:
    assert shared.client.post("/v1/backlogs", json={"uri": uri}).status_code == 422


def test_a_backlog_can_only_be_paused_resumed_or_cancelled(shared: World) -> None:
    assert shared.client.post(f"/v1/backlogs/{uuid4()}/burn").status_code == 422


# Training


def test_a_run_is_queued_shown_and_cancelled(world: World) -> None:
    answer = world.client.post("/v1/training-runs", json={"stage": "stage1", "config": {"steps": 5}})
    assert answer.status_code == 202
    path = f"/v1/training-runs/{answer.json()['run_id']}"
    run = world.client.get(path).json()
    assert (run["stage"], run["state"], run["step"], run["base_bundle"]) == ("stage1", "queued", 0, "demo")
    assert run.pop("phases") is None  # counted for one run, not for each of a list
    assert world.client.get("/v1/training-runs").json()["runs"] == [run]
    assert world.client.post(f"{path}/promote").status_code == 409
    assert world.client.post(f"{path}/cancel").status_code == 204
    assert world.client.get(path).json()["state"] == "cancelled"
    assert world.client.post(f"{path}/cancel").status_code == 409


def test_a_finished_run_is_promoted(world: World) -> None:
    run_id = world.client.post("/v1/training-runs", json={"stage": "stage2"}).json()["run_id"]
    with world.ledger.work() as work:
        work.run(
            "UPDATE training_runs SET state = 'done', result_prefix = 'runs/x' WHERE id = :id", {"id": UUID(run_id)}
        )
    bundle = world.client.post(f"/v1/training-runs/{run_id}/promote").json()["bundle"]
    served = world.client.get("/v1/status").json()["served"]
    assert served == {"name": bundle, "run_id": run_id}


@pytest.mark.parametrize(
    "content",
    [
        b'{"stage": "stage9"}',
        b'{"stage": "stage1", "config": {"lr": NaN}}',
        b'{"stage": "stage1", "config": {"a": "\\u0000"}}',
        b'{"stage": "stage1", "config": [1]}',
        b'{"stage": "stage1", "parent_run": "x"}',
        b'{"stage": "stage1", "config": {"stepz": 1}}',
        b'{"stage": "stage1", "config": {"workers": 100000}}',
        b'{"stage": "stage1", "config": {"phantoms": {"count": 1e99}}}',
        b'{"stage": "stage1", "config": {"steps": "5"}}',
        b'{"stage": "stage1", "config": {"films": "a\\nb"}}',
    ],
)
def test_an_impossible_run_is_refused(shared: World, content: bytes) -> None:
    headers = {"Content-Type": "application/json"}
    assert shared.client.post("/v1/training-runs", content=content, headers=headers).status_code == 422


def test_a_parent_that_is_not_done_is_a_conflict(shared: World) -> None:
    parent = shared.client.post("/v1/training-runs", json={"stage": "stage1"}).json()["run_id"]
    answer = shared.client.post("/v1/training-runs", json={"stage": "stage2", "parent_run": parent})
    assert answer.status_code == 409


# Look-up


def test_the_hospitals_numbers_lead_to_the_study(world: World) -> None:
    names = world.pseudonymiser
    study_id, _ = world.summarised(
        study_pseudonym=names.study("1.2.840.1"),
        patient_pseudonym=names.patient("4711", "CLINIC"),
        accession_pseudonym=names.accession("A-1"),
    )
    for body in ({"study_uid": "1.2.840.1"}, {"patient": "4711", "issuer": "CLINIC"}, {"accession": " A-1 "}):
        assert world.client.post("/v1/lookup", json=body).json() == {"studies": [study_id], "rejected": {}}
    for body in ({"study_uid": "1.2"}, {"patient": "4711"}, {"accession": "4711"}):
        assert world.client.post("/v1/lookup", json=body).json() == {"studies": [], "rejected": {}}


@pytest.mark.parametrize("body", [{}, {"patient": "1", "accession": "2"}, {"patient": "  "}, {"name": "DOE"}])
def test_a_lookup_needs_one_number(world: World, body: dict[str, str]) -> None:
    answer = world.client.post("/v1/lookup", json=body)
    assert answer.status_code == 422
    assert "DOE" not in answer.text


# Bundles


def test_a_bundle_is_served_and_rolled_back(world: World) -> None:
    assert world.client.post("/v1/bundles/rollback").status_code == 409
    assert world.client.post("/v1/bundles/serve", json={"bundle": "next"}).json() == {"bundle": "next"}
    assert world.client.get("/v1/status").json()["served"]["name"] == "next"
    assert world.client.post("/v1/bundles/rollback").json() == {"bundle": "demo"}
