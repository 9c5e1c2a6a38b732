"""How runs pause, fail and wait on a worker, and what they leave for trainers."""

import io
import json
import logging
import os
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from tests.integration.workers.test_training import PROGRAM, School, a_bundle
from tests.support.worker_bench import Bench, run_one
from workers import training_carrier
from workers.context import Context
from workers.devices import take_devices
from workers.training import Training
from workers.training_carrier import Carrier
from xraygpt_core.errors import Unavailable
from xraygpt_core.ledger.training.files import run_file, run_files
from xraygpt_core.ledger.training.runs import cancel_run
from xraygpt_core.ledger.training.waiting import pause_run, resume_run
from xraygpt_core.states import JobKind
from xraygpt_core.storage import ObjectStore


@pytest.fixture
def school(bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> School:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    a_bundle(tmp_path / "models", "demo")
    changes = {"models": tmp_path / "models", "train_device_locks": tmp_path / "locks"}
    settings = bench.settings.model_copy(update=changes)
    return School(bench, Context(settings, bench.ledger, bench.store, bench.context.heartbeat, "test"))


def file(school: School, run_id: UUID, name: str) -> bytes:
    return school.bench.store.get(run_file(school.bench.ledger, run_id, name).key)


def test_a_run_leaves_its_report_and_its_board_for_trainers_and_neither_beside_its_weights(school: School) -> None:
    run_id = school.create(show=True, held_out=True, say="as it went")
    school.train()
    assert [one.name for one in run_files(school.bench.ledger, run_id)] == ["log.txt", "report.html", "tensorboard.zip"]
    assert file(school, run_id, "report.html") == b"<h1>films</h1>"
    assert file(school, run_id, "log.txt") == b"as it went\n"
    with zipfile.ZipFile(io.BytesIO(file(school, run_id, "tensorboard.zip"))) as board:
        assert board.read("events.out.tfevents.1") == b"events"
    prefix = school.bench.value("SELECT result_prefix FROM training_runs")
    left = [key for key in school.bench.keys(school.bench.settings.derived_bucket) if key.startswith("runs/")]
    assert left == [f"{prefix}/projector.safetensors", f"{prefix}/result.json"]
    done = school.state(run_id)
    assert (done.first_held_out, done.held_out, done.swapped, done.step) == (3.0, 1.0, 3.25, 4)


SAID = "training_jobs stage2: /data/CANARY^JANE.dcm, line 3: 'CANARY has pneumonia' is no text at step 4"


def test_a_run_whose_error_would_repeat_is_dead_at_once_and_says_why_in_our_words(
    school: School, caplog: pytest.LogCaptureFixture
) -> None:
    run_id = school.create(exit=1, say=SAID)
    with caplog.at_level(logging.DEBUG):
        school.train()
    dead = school.state(run_id)
    assert (dead.state, dead.failure) == ("dead", "bad_data")
    assert dead.failure_says is not None
    assert dead.failure_says.startswith("at step 4 its data are not as they must be")
    assert school.job()["last_error"] == f"RunRepeats: {dead.failure_says} (bad_data)"
    assert file(school, run_id, "log.txt").decode().strip() == SAID
    for table in ("jobs", "training_runs", "timeline", "training_files"):
        shown = [{**row, "config": None} for row in school.bench.rows(f"SELECT * FROM {table}")]
        assert "CANARY" not in str(shown), table
    assert "CANARY" not in caplog.text + str([vars(record) for record in caplog.records])


def test_a_run_whose_machine_fails_goes_back_with_a_pause_and_another_worker_ends_it(school: School) -> None:
    run_id = school.create(exit=74, say="training_jobs stage2: No space left on device")
    patient = school.bench.settings.model_copy(update={"retry_seconds": 60.0})
    slow = replace(school.bench.ledger, settings=patient)
    (_,) = school.bench.queued(JobKind.TRAIN)
    run_one(replace(school.context, ledger=slow), JobKind.TRAIN, Training(school.context, PROGRAM))
    back = school.state(run_id)
    assert (back.failure, school.job()["state"], school.job()["attempts"]) == ("disk_full", "queued", 1)
    (row,) = school.bench.rows("SELECT not_before > clock_timestamp() AS later FROM jobs")
    assert row["later"]
    with school.bench.ledger.work() as work:
        work.run("UPDATE training_runs SET config = jsonb_build_object('steps', 4)")
        work.run("UPDATE jobs SET not_before = NULL")
    run_one(school.context, JobKind.TRAIN, Training(school.context, PROGRAM))
    done = school.state(run_id)
    assert (done.state, done.failure) == ("done", None)


def test_a_full_disk_of_the_worker_itself_is_told(school: School, monkeypatch: pytest.MonkeyPatch) -> None:
    run_id = school.create()

    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device", "/scratch/CANARY")

    monkeypatch.setattr("workers.training.load_bundle", full)
    school.train()
    assert school.state(run_id).failure == "disk_full"
    assert "CANARY" not in school.job()["last_error"]


def test_a_lost_device_is_told_and_costs_no_run(
    school: School, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    run_id = school.create()
    broken = tmp_path / "bin"
    broken.mkdir()
    (broken / "nvidia-smi").write_text("#!/bin/sh\nexit 15\n")
    (broken / "nvidia-smi").chmod(0o755)
    monkeypatch.setenv("PATH", f"{broken}:/usr/bin:/bin")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    monkeypatch.setattr("workers.devices.Path.exists", lambda _: True)
    school.train()
    assert (school.state(run_id).failure, school.job()["state"]) == ("device_lost", "queued")


def test_a_paused_run_keeps_a_checkpoint_and_goes_on_from_it(school: School) -> None:
    run_id = school.create(steps=4, stop_at=3, checkpoint_every=10)

    def pause() -> None:
        school.reached(run_id, 3)
        pause_run(school.bench.ledger, run_id)

    beside = school.beside(pause)
    school.train()
    beside.join()
    paused = school.state(run_id)
    assert (paused.state, paused.checkpoint_step, school.job()["attempts"]) == ("paused", 3, 0)
    assert not run_one(school.context, JobKind.TRAIN, Training(school.context, PROGRAM))
    resume_run(school.bench.ledger, run_id)
    school.train()
    assert school.state(run_id).state == "done"


def test_a_run_that_is_paused_as_it_is_taken_is_not_begun(school: School) -> None:
    run_id = school.create()
    with school.bench.ledger.work() as work:
        work.run("UPDATE training_runs SET paused_at = clock_timestamp()")
    school.train()
    assert (school.state(run_id).state, school.state(run_id).step) == ("paused", 0)


def test_a_paused_run_is_cancelled(school: School) -> None:
    run_id = school.create()
    pause_run(school.bench.ledger, run_id)
    cancel_run(school.bench.ledger, run_id)
    assert (school.state(run_id).state, school.job()["state"]) == ("cancelled", "cancelled")


def test_a_run_whose_device_is_taken_waits_and_says_so(school: School, tmp_path: Path) -> None:
    run_id = school.create()
    held = take_devices(1, tmp_path / "locks", 1, {"CUDA_VISIBLE_DEVICES": ""})
    assert held is not None
    with held:
        school.train()
        waiting = school.state(run_id)
        assert (waiting.state, waiting.waits_for, school.job()["attempts"]) == ("queued", "device", 0)
    with school.bench.ledger.work() as work:
        work.run("UPDATE jobs SET not_before = NULL")
    school.train()
    assert (school.state(run_id).state, school.state(run_id).waits_for) == ("done", None)


def test_the_next_worker_has_the_curve_and_the_board_of_the_one_before(
    school: School, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = school.create(steps=4, stop_at=3, checkpoint_every=10, show=True, held_out=True)

    def drain() -> None:
        school.reached(run_id, 3)
        school.context.draining.set()

    beside = school.beside(drain)
    school.train()
    beside.join()
    school.context.draining.clear()
    seen: list[str] = []
    restore = Carrier.restore

    def looked_at(carrier: Carrier) -> None:
        restore(carrier)
        seen.append((carrier.out / "progress.jsonl").read_text())
        seen.extend(path.name for path in (carrier.out / "tensorboard").iterdir())

    monkeypatch.setattr(Carrier, "restore", looked_at)
    school.train()
    assert school.state(run_id).state == "done"
    steps = [json.loads(line)["step"] for line in seen[0].splitlines()]
    assert (steps[0], steps[-1]) == (0, 3)
    assert seen[1:] == ["events.out.tfevents.1"]


def test_a_clock_that_began_at_1970_loses_no_run_and_no_board(school: School, monkeypatch: pytest.MonkeyPatch) -> None:
    carry = Carrier.carry

    def long_ago(carrier: Carrier, *, last: bool) -> None:
        for path in carrier.out.glob("tensorboard/*"):
            os.utime(path, (0, 0))
        carry(carrier, last=last)

    monkeypatch.setattr(Carrier, "carry", long_ago)
    run_id = school.create(show=True)
    school.train()
    assert school.state(run_id).state == "done"
    assert zipfile.ZipFile(io.BytesIO(file(school, run_id, "tensorboard.zip"))).namelist() == ["events.out.tfevents.1"]


def test_what_cannot_be_shown_loses_no_run(school: School, monkeypatch: pytest.MonkeyPatch) -> None:
    put = ObjectStore.put_file

    def away(store: ObjectStore, key: str, path: Path) -> None:
        if key.startswith("reports/"):
            raise Unavailable("the bucket does not answer")
        put(store, key, path)

    monkeypatch.setattr(ObjectStore, "put_file", away)
    run_id = school.create(show=True)
    school.train()
    assert school.state(run_id).state == "done"
    assert run_files(school.bench.ledger, run_id) == []


@pytest.mark.parametrize("tries", [1, 4])
def test_a_bucket_that_is_away_for_a_while_costs_no_step(
    school: School, monkeypatch: pytest.MonkeyPatch, tries: int
) -> None:
    put, asked = ObjectStore.put_file, []

    def away(store: ObjectStore, key: str, path: Path) -> None:
        if key.startswith("runs/"):
            asked.append(key)
            if len(asked) <= tries:
                raise Unavailable("the bucket does not answer")
        put(store, key, path)

    monkeypatch.setattr(ObjectStore, "put_file", away)
    monkeypatch.setattr(training_carrier, "_AGAIN_SECONDS", 0.01)
    run_id = school.create()
    school.train()
    assert school.state(run_id).state == "done"
    assert school.job()["lease_epoch"] == 1


def test_a_file_that_no_study_of_it_may_be_in_any_more_is_deleted_again(school: School) -> None:
    run_id = school.create(show=True)
    with school.bench.ledger.work() as work:
        study = UUID(int=7)
        work.run(
            "INSERT INTO studies (id, lane_rank, state, purged_at) VALUES (:id, 1, 'cancelled', clock_timestamp())",
            {"id": study},
        )
        work.run("INSERT INTO training_used (study_id, run_id) VALUES (:id, :run)", {"id": study, "run": run_id})
    school.train()
    assert school.state(run_id).state == "done"
    assert not [key for key in school.bench.keys(school.bench.settings.derived_bucket) if key.startswith("reports/")]
