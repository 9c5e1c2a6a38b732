"""A real stage through real workers, while trainer, worker, broker and database are killed at steps of chance."""

import io
import os
import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import torch
from torch import Tensor

from tests.integration.workers.test_training_processes import COMMANDS, Plant, restart
from tests.support.invariants import check_invariants
from tests.support.published_parts import write_parts
from tests.support.told_films import published_bundle
from tests.support.training_lab import REAL, Lab
from tests.support.training_layouts import FEW, laid_out
from tests.support.worker_bench import Bench
from workers.context import Context
from workers.process_tree import descendants
from xraygpt.stack.servers.broker import Broker
from xraygpt.stack.servers.postgres import Postgres
from xraygpt_core.ledger.training.runs import create_run
from xraygpt_core.ledger.training.serving import start_serving

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]

STEPS = 400
SECONDS = 400.0
CONFIG: dict[str, Any] = FEW | {"preset": "paper-stage1", "steps": STEPS, "checkpoint_every": 10, "examples": 0}
SEEDS = [int(seed) for seed in os.environ.get("XRAYGPT_KILL_SEEDS", "0,1,2").split(",")]


@pytest.fixture
def plant(bench: Bench, tmp_path: Path, database_url: str) -> Iterator[Plant]:
    """Workers of every kind that a run needs, on MedCLIP's shape with a linear projector and a LLaMA."""
    bundle = published_bundle(tmp_path / "models", write_parts(tmp_path / "downloads"))
    (tmp_path / "sets").mkdir()
    changes: dict[str, Any] = {"models": bundle.path.parent, "bundle": bundle.name, "device": "cpu"}
    changes |= {"training_data": tmp_path / "sets", "training_cache": tmp_path / "cache", "batch_size": 2}
    changes |= {"lease_seconds": 6.0, "max_attempts": 20, "ingest_concurrency": 1}
    settings = bench.settings.model_copy(update=changes)
    context = Context(settings, bench.ledger, bench.store, bench.context.heartbeat, "test")
    lab = Lab(bench, context, bundle, program=REAL)
    start_serving(bench.ledger, bundle.name)
    lab.features.announce()
    made = Plant(lab, tmp_path, COMMANDS | {"training": ["-m", "workers", "training"]})
    try:
        yield made
    finally:
        made.stop()
        lab.films.close()
    with psycopg.connect(database_url) as connection:
        check_invariants(connection, finished=True)


def trainer_of(plant: Plant) -> int | None:
    """The process that trains, if there is one."""
    for pid in descendants(plant.processes["training"].pid):
        try:
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if words[1:3] == [b"-m", b"training_jobs"]:
            return pid
    return None


def wait_for_step(plant: Plant, run_id: Any, step: int) -> int:
    """Until the ledger knows of this step; which one it knows of then."""
    deadline = time.monotonic() + SECONDS
    while plant.state(run_id) not in ("done", "dead") and time.monotonic() < deadline:
        plant.tend()
        now = plant.lab.state(run_id).step if plant.state(run_id) != "not known" else 0
        if now >= step and trainer_of(plant) is not None:
            return now
        time.sleep(0.05)
    pytest.fail(f"step {step} never came: the run is {plant.state(run_id)}")


def tensors(plant: Plant) -> dict[str, Tensor]:
    """The float32 weights of the run that is done."""
    (file,) = plant.lab.weights("projector.pth")
    weights: dict[str, Tensor] = torch.load(io.BytesIO(file), weights_only=True)["model"]
    return weights


@pytest.mark.parametrize("seed", SEEDS)
def test_kills_at_random_steps_leave_the_weights_bit_for_bit(
    plant: Plant, broker: Broker, postgres: Postgres, seed: int
) -> None:
    chance, lab = random.Random(seed), plant.lab
    films = laid_out(lab, None, "table", range(16))
    config = CONFIG | {"mixture": {"sets": [films]}}
    plant.until_done(create_run(lab.bench.ledger, "stage1", config, None), SECONDS)
    expected = tensors(plant)
    lab.forget()
    run_id = create_run(lab.bench.ledger, "stage1", config, None)
    victims = ["trainer", "training", "broker", "database"]
    chance.shuffle(victims)
    for victim, step in zip(victims, sorted(chance.sample(range(10, STEPS - 100), len(victims))), strict=True):
        print(victim, "at step", wait_for_step(plant, run_id, step))  # noqa: T201  (shown where it fails)
        match victim:
            case "trainer":
                pid = trainer_of(plant)
                assert pid is not None
                os.kill(pid, signal.SIGKILL)
            case "broker":
                os.kill(broker.pid, signal.SIGKILL)
                restart(broker)
            case "database":
                os.kill(postgres.pid, signal.SIGKILL)
                restart(postgres)
            case role:
                plant.kill(role)
    plant.until_done(run_id, SECONDS)
    found = tensors(plant)
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)
