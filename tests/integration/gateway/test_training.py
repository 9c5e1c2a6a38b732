"""Training runs over HTTP: who may do what, what is refused before it is queued, and what a trainer alone sees."""

import hashlib
from typing import Any
from uuid import UUID, uuid4

import pytest

from tests.support.ledger_tools import do, one, take
from xraygpt_core.ledger.training.curves import Point, note_progress
from xraygpt_core.ledger.training.files import keep_file
from xraygpt_core.ledger.training.runs import run_input
from xraygpt_core.states import JobKind, Role

World = Any
REPORT = b"<!doctype html><title>CANARY</title><style>p{}</style><img src='data:image/png;base64,'>"


def start(world: World, **more: Any) -> str:
    answer = world.client.post("/v1/training-runs", json={"stage": "stage1", **more})
    assert answer.status_code == 202, answer.text
    return str(answer.json()["run_id"])


def shown(world: World, run_id: str) -> dict[str, Any]:
    answer: dict[str, Any] = world.client.get(f"/v1/training-runs/{run_id}").json()
    return answer


def left(world: World, run_id: str, name: str, content: bytes) -> None:
    """A file of a run, as its worker leaves it."""
    world.s3.put_object(Bucket=world.settings.derived_bucket, Key=f"reports/{name}", Body=content)
    got = take(world.ledger, JobKind.TRAIN, UUID(run_id))
    keep_file(world.ledger, got, name, f"reports/{name}", hashlib.sha256(content).hexdigest(), len(content))


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"stage": "stage3"}, "stage must be one of"),
        ({"stage": "stage1", "config": {"stepz": 1}}, "unknown setting"),
        ({"stage": "stage1", "preset": "none"}, "there is no preset"),
        ({"stage": "stage2", "preset": "demo-stage1"}, "is for stage1"),
        ({"stage": "stage1", "config": {"steps": -1}}, "steps must be"),
        ({"stage": "stage1", "config": {"mixture": {"sets": []}}}, "1 to"),
        ({"stage": "stage1", "config": {"mixture": {"sets": [{"name": "x", "reader": "ledger"}]}}}, "select"),
        (
            {"stage": "stage1", "config": {"mixture": {"sets": [{"name": "x", "reader": "ledger", "select": "all"}]}}},
            "It is written as: reviewed since",
        ),
    ],
)
def test_what_cannot_be_trained_is_refused_before_it_is_queued(world: World, body: dict[str, Any], says: str) -> None:
    answer = world.client.post("/v1/training-runs", json=body)
    assert (answer.status_code, says in answer.json()["detail"]) == (422, True), answer.text
    assert world.client.get("/v1/training-runs").json() == {"runs": []}


def test_signed_studies_are_asked_for_in_words(world: World) -> None:
    select = "reviewed since 2026-01-01 edited limit 40"
    mixture = {"sets": [{"name": "signed studies", "reader": "ledger", "select": select, "split": "by-patient"}]}
    start(world, config={"mixture": mixture})
    assert one(world.ledger, "SELECT config -> 'mixture' -> 'sets' -> 0 ->> 'select' FROM training_runs") == select


def test_a_run_is_paused_resumed_and_cancelled_and_too_late_is_a_conflict(world: World) -> None:
    run_id = start(world)
    for act, state in (("pause", "paused"), ("resume", "queued"), ("pause", "paused"), ("cancel", "cancelled")):
        assert world.client.post(f"/v1/training-runs/{run_id}/{act}").status_code == 204
        assert shown(world, run_id)["state"] == state
    for act in ("pause", "resume", "cancel", "promote"):
        answer = world.client.post(f"/v1/training-runs/{run_id}/{act}")
        assert (answer.status_code, "cancelled" in answer.json()["detail"]) == (409, True)
        assert world.client.post(f"/v1/training-runs/{uuid4()}/{act}").status_code == 404


def test_a_run_shows_its_curves_and_what_became_of_the_base(world: World) -> None:
    run_id = start(world)
    got = take(world.ledger, JobKind.TRAIN, UUID(run_id))
    run_input(world.ledger, got)
    note_progress(world.ledger, got, Point(0, 2, None, None, 3.0, 3.5))
    note_progress(world.ledger, got, Point(1, 2, 2.0, 7.5))
    answer = world.client.get(f"/v1/training-runs/{run_id}/points").json()
    assert answer["points"] == [
        {"step": 0, "loss": None, "samples_per_s": None, "held_out": 3.0, "swapped": 3.5},
        {"step": 1, "loss": 2.0, "samples_per_s": 7.5, "held_out": None, "swapped": None},
    ]
    run = shown(world, run_id)
    assert (run["first_held_out"], run["loss"], run["steps"], run["state"]) == (3.0, 2.0, 2, "running")
    assert world.client.get(f"/v1/training-runs/{uuid4()}/points").status_code == 404


def test_a_trainer_sees_the_report_and_nobody_else_does(world: World) -> None:
    run_id = start(world)
    left(world, run_id, "report.html", REPORT)
    paths = [f"/v1/training-runs/{run_id}/{rest}" for rest in ("files", "files/report.html", "report")]
    for role in Role:
        client = world.as_role(role)
        for path in paths:
            answer = client.get(path)
            assert (answer.status_code == 200) == (role is Role.TRAINER), (role, path)
            assert ("CANARY" in answer.text) == (role is Role.TRAINER and not path.endswith("/files"))
    assert one(world.ledger, "SELECT count(*) FROM audit WHERE what = 'run file read' AND outcome = 'done'") == 2
    assert one(world.ledger, "SELECT count(*) FROM audit WHERE what = 'act refused'") == 3 * (len(Role) - 1)


def test_a_report_can_do_nothing_in_the_browser_that_shows_it(world: World) -> None:
    run_id = start(world)
    left(world, run_id, "report.html", REPORT)
    answer = world.as_role(Role.TRAINER).get(f"/v1/training-runs/{run_id}/report")
    assert answer.content == REPORT
    rules = [rule.split(" ") for rule in answer.headers["content-security-policy"].split("; ")]
    assert ["default-src", "'none'"] in rules
    assert ["sandbox"] in rules
    assert not [rule for rule in rules if rule[0] == "script-src"]
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_other_files_are_kept_not_shown(world: World) -> None:
    run_id = start(world)
    left(world, run_id, "tensorboard.zip", b"PK")
    answer = world.as_role(Role.TRAINER).get(f"/v1/training-runs/{run_id}/files/tensorboard.zip")
    assert (answer.content, answer.headers["content-type"]) == (b"PK", "application/zip")
    assert answer.headers["content-disposition"] == 'attachment; filename="tensorboard.zip"'


@pytest.mark.parametrize("name", ["log.txt", "result.json", "..%2Freport.html", "%00", "a" * 300])
def test_a_file_that_the_run_has_not_is_not_found(world: World, name: str) -> None:
    run_id = start(world)
    assert world.as_role(Role.TRAINER).get(f"/v1/training-runs/{run_id}/files/{name}").status_code == 404


def test_a_file_that_changed_in_the_bucket_is_not_shown_and_one_that_is_gone_not_found(world: World) -> None:
    run_id = start(world)
    left(world, run_id, "report.html", REPORT)
    trainer = world.as_role(Role.TRAINER)
    world.s3.put_object(Bucket=world.settings.derived_bucket, Key="reports/report.html", Body=b"<script>")
    answer = trainer.get(f"/v1/training-runs/{run_id}/report")
    assert (answer.status_code, "script" in answer.text) == (500, False)
    world.s3.delete_object(Bucket=world.settings.derived_bucket, Key="reports/report.html")
    assert trainer.get(f"/v1/training-runs/{run_id}/report").status_code == 404


def test_a_study_is_excluded_from_training_and_let_in_again(world: World) -> None:
    study_id, _ = world.summarised()
    for role in (Role.LEAD, Role.TRAINER):
        client = world.as_role(role)
        assert client.post(f"/v1/studies/{study_id}/exclusion").status_code == 204
        assert client.post(f"/v1/studies/{study_id}/exclusion").status_code == 409
        assert client.delete(f"/v1/studies/{study_id}/exclusion").status_code == 204
        assert client.delete(f"/v1/studies/{study_id}/exclusion").status_code == 409
        assert client.post(f"/v1/studies/{uuid4()}/exclusion").status_code == 404


def test_why_a_run_is_dead_stands_in_our_words(world: World) -> None:
    run_id = start(world)
    do(
        world.ledger,
        "UPDATE training_runs SET state = 'dead', failure = 'not_finite', failure_says = 'the loss is not finite'",
    )
    run = shown(world, run_id)
    assert (run["failure"], run["failure_says"]) == ("not_finite", "the loss is not finite")


def test_what_a_selection_selects_is_counted_and_not_shown(world: World) -> None:
    _, signed = world.summarised("in/a.dcm")
    _, excluded = world.summarised("in/b.dcm")
    for summary_id in (signed, excluded):
        body = {"state": "edited", "text": "CANARY", "reviewer": "Dr. R"}
        assert world.client.post(f"/v1/summaries/{summary_id}/review", json=body).status_code == 200
    study_id = world.client.get(f"/v1/summaries/{excluded}").json()["study_id"]
    world.client.post(f"/v1/studies/{study_id}/exclusion")
    answer = world.as_role(Role.TRAINER).post(
        "/v1/training-runs/selection", json={"select": "reviewed since 2026-01-01"}
    )
    found = answer.json()
    assert (sum(found["pairs"].values()), found["patients"], found["left_out"]) == (1, 1, {"excluded": 1})
    assert "CANARY" not in answer.text
    wrong = world.client.post("/v1/training-runs/selection", json={"select": "all"})
    assert (wrong.status_code, "reviewed since" in wrong.json()["detail"]) == (422, True)


def test_a_preset_is_a_key_of_the_configuration(world: World) -> None:
    start(world, preset="demo-stage1", config={"steps": 5})
    assert one(world.ledger, "SELECT config ->> 'preset' FROM training_runs") == "demo-stage1"
