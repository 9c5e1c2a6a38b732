"""Training runs with a real ledger and bucket, and a stand-in that keeps the files' contract."""

import os
import re
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from tests.support import training_standin
from tests.support.worker_bench import Bench, run_one
from workers.bundles import served
from workers.context import Context
from workers.process_tree import descendants
from workers.training import Training
from xraygpt_core.errors import BundleError, TrainingError
from xraygpt_core.ledger.training.runs import Run, cancel_run, create_run, promote, run
from xraygpt_core.ledger.training.serving import ServedBundle, served_bundle
from xraygpt_core.model.compose import write_bundle
from xraygpt_core.states import JobKind

PROGRAM = [str(Path(training_standin.__file__))]


def a_bundle(models: Path, name: str) -> None:
    """A bundle whose weights are words: enough for everybody but the engine."""
    path = models / name
    (path / "llm").mkdir(parents=True)
    for file in ("encoder.safetensors", "projector.safetensors", "llm/config.json"):
        (path / file).write_text(f"{file} of {name}")
    write_bundle(
        path,
        name,
        {
            "encoder": {"class": "EfficientNetEncoder", "weights": "encoder.safetensors"},
            "projector": {"class": "LocationProjector", "weights": "projector.safetensors"},
            "llm": {"folder": "llm"},
            "prompt": {"template": "xraygpt-code", "question": "What do you see?", "stop": ["###"]},
            "decoding": {"max_new_tokens": 8},
        },
    )


@dataclass
class School:
    """Runs train jobs in this process."""

    bench: Bench
    context: Context

    def create(self, parent: UUID | None = None, **config: Any) -> UUID:
        return create_run(self.bench.ledger, "stage2", {"steps": 4, **config}, parent)

    def train(self) -> None:
        for _ in self.bench.queued(JobKind.TRAIN):
            run_one(self.context, JobKind.TRAIN, Training(self.context, PROGRAM))

    def state(self, run_id: UUID) -> Run:
        return run(self.bench.ledger, run_id)

    def job(self) -> dict[str, Any]:
        (row,) = self.bench.rows("SELECT state, attempts, lease_epoch, last_error FROM jobs ORDER BY id DESC LIMIT 1")
        return row

    def beside(self, act: Callable[[], None]) -> threading.Thread:
        """Does something while a run trains."""
        thread = threading.Thread(target=act)
        thread.start()
        return thread

    def reached(self, run_id: UUID, step: int) -> None:
        self.bench.eventually(lambda: self.state(run_id).step >= step, f"step {step} is noted")


@pytest.fixture
def school(bench: Bench, tmp_path: Path) -> School:
    a_bundle(tmp_path / "models", "demo")
    settings = bench.settings.model_copy(update={"models": tmp_path / "models"})
    return School(bench, Context(settings, bench.ledger, bench.store, bench.context.heartbeat, "test"))


def test_a_run_leaves_its_result_and_its_curve(school: School) -> None:
    run_id = school.create()
    school.train()
    done = school.state(run_id)
    assert (done.state, done.step, done.steps, done.loss, done.samples_per_s) == ("done", 4, 4, 0.25, 10.0)
    prefix = school.bench.value("SELECT result_prefix FROM training_runs")
    assert re.fullmatch(f"runs/{run_id}/1/result-[0-9a-f]{{64}}", prefix)
    assert sorted(school.bench.keys(school.bench.settings.derived_bucket)) == [
        f"{prefix}/projector.safetensors",
        f"{prefix}/result.json",
    ]
    assert school.bench.value("SELECT max(step) FROM training_points") == 4


def test_a_promoted_run_becomes_a_bundle_where_it_is_served(school: School, tmp_path: Path) -> None:
    run_id = school.create()
    school.train()
    name = promote(school.bench.ledger, run_id)
    wanted = served_bundle(school.bench.ledger)
    assert wanted == ServedBundle(name, run_id)
    made = served(school.bench.ledger, school.bench.store, tmp_path / "models", wanted)
    assert made.name == name
    assert made.projector_weights is not None
    assert made.projector_weights.read_text() == "projector after 4"
    assert (made.path / "encoder.safetensors").read_text() == "encoder.safetensors of demo"
    again = served(school.bench.ledger, school.bench.store, tmp_path / "models", wanted)
    assert again.sha256 == made.sha256


def test_a_result_that_changed_in_the_bucket_is_not_served(school: School, tmp_path: Path) -> None:
    run_id = school.create()
    school.train()
    name = promote(school.bench.ledger, run_id)
    prefix = school.bench.value("SELECT result_prefix FROM training_runs")
    school.bench.store.put(f"{prefix}/projector.safetensors", b"another projector", "application/octet-stream")
    with pytest.raises(TrainingError, match="not what the run left"):
        served(school.bench.ledger, school.bench.store, tmp_path / "models", ServedBundle(name, run_id))
    assert not (tmp_path / "models" / name).exists()


def test_a_bundle_nobody_made_is_named(school: School, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="vicuna"):
        served(school.bench.ledger, school.bench.store, tmp_path / "models", ServedBundle("vicuna", None))


def test_a_run_starts_from_its_parents_result(school: School, tmp_path: Path) -> None:
    first = school.create(steps=2)
    school.train()
    second = school.create(parent=first, steps=3)
    school.train()
    made = served(
        school.bench.ledger,
        school.bench.store,
        tmp_path / "models",
        ServedBundle(promote(school.bench.ledger, second), second),
    )
    assert made.projector_weights is not None
    assert made.projector_weights.read_text() == "projector after 3"


def test_a_run_that_fails_says_so_and_is_tried_again(school: School) -> None:
    school.create(exit=3)
    school.train()
    assert school.job() == {
        "state": "queued",
        "attempts": 1,
        "lease_epoch": 1,
        "last_error": "RunFailed: its process ended without a word (exit code 3) (crashed)",
    }


def test_ending_well_without_a_result_is_a_failure(school: School) -> None:
    school.create(no_result=True)
    school.train()
    assert "left no result" in school.job()["last_error"]


def test_a_lost_worker_costs_the_steps_since_the_last_checkpoint(school: School) -> None:
    run_id = school.create(steps=6, stop_at=5)

    def lose() -> None:
        school.reached(run_id, 5)
        school.bench.eventually(lambda: school.state(run_id).checkpoint_step == 4, "the checkpoint of step 4 is kept")
        with school.bench.ledger.work() as work:  # as if this process had died and another had found the lease ended
            work.run("UPDATE jobs SET state = 'queued', lease_until = NULL WHERE kind = 'train'")
        school.context.heartbeat.running()[0].lost.set()

    beside = school.beside(lose)
    school.train()
    beside.join()
    assert school.state(run_id).state == "running"
    school.train()
    done = school.state(run_id)
    assert (done.state, done.step) == ("done", 6)
    points = school.bench.rows("SELECT step FROM training_points WHERE lease_epoch = 2 ORDER BY step")
    assert points[0]["step"] > 4


def test_a_checkpoint_earns_fresh_attempts(school: School) -> None:
    attempts = school.bench.settings.max_attempts + 2
    run_id = school.create(steps=2 * attempts, fail_after_checkpoint=True)
    for _ in range(attempts):
        school.train()
    assert school.state(run_id).checkpoint_step == 2 * attempts
    assert school.job()["attempts"] == 1


def test_a_cancelled_run_stops_and_nothing_of_it_runs_on(school: School) -> None:
    run_id = school.create(steps=3, stop_at=2, checkpoint_every=10)
    school.context.heartbeat.start()

    def cancel() -> None:
        school.reached(run_id, 2)
        cancel_run(school.bench.ledger, run_id)

    beside = school.beside(cancel)
    school.train()
    beside.join()
    school.context.heartbeat.close()
    assert school.state(run_id).state == "cancelled"
    assert not [pid for pid in descendants(os.getpid()) if "training_standin" in command_of(pid)]


def command_of(pid: int) -> str:
    """The command line of a process; nothing if it has ended."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_text()
    return ""


def test_a_draining_worker_keeps_a_checkpoint_and_hands_the_run_back(school: School) -> None:
    run_id = school.create(steps=4, stop_at=3, checkpoint_every=10)

    def drain() -> None:
        school.reached(run_id, 3)
        school.context.draining.set()

    beside = school.beside(drain)
    school.train()
    beside.join()
    assert school.state(run_id).checkpoint_step == 3
    assert school.job()["state"] == "queued"
    school.context.draining.clear()
    school.train()
    assert school.state(run_id).state == "done"


def test_only_the_last_checkpoint_is_kept(school: School) -> None:
    run_id = school.create(steps=7, stop_at=7, checkpoint_every=2)

    def drain() -> None:
        school.reached(run_id, 7)
        school.context.draining.set()

    beside = school.beside(drain)
    school.train()
    beside.join()
    prefixes = {key.split("/")[3] for key in school.bench.keys(school.bench.settings.derived_bucket)}
    assert {prefix.partition("-")[0] for prefix in prefixes} == {"7"}
