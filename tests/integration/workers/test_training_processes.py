"""A planned run through real worker processes and a real broker, while any of them is killed."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest

from tests.support import database_roles
from tests.support.invariants import check_invariants
from tests.support.tiny_bundle import make_tiny_bundle
from tests.support.training_lab import Lab
from tests.support.worker_bench import Bench
from workers.context import Context
from xraygpt.stack.servers.broker import Broker
from xraygpt.stack.servers.postgres import Postgres
from xraygpt_core.errors import Unavailable
from xraygpt_core.ledger.jobs.reconcile import tick
from xraygpt_core.model.bundle import Bundle

COMMANDS = {
    "ingest": ["-m", "workers", "ingest"],
    "gpu": ["-m", "workers", "gpu"],
    "training": ["-m", "tests.support.training_worker"],
}
ROOT = Path(__file__).parents[3]


class Plant:
    """One worker of each kind, which comes back when it dies, as under a supervisor."""

    def __init__(self, lab: Lab, directory: Path, commands: Mapping[str, list[str]] = COMMANDS) -> None:
        self.lab = lab
        self.commands = commands
        self._directory = directory
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, role: str) -> None:
        settings = self.lab.context.settings
        given = {f"XRAYGPT_{name.upper()}": _text(value) for name, value in settings if value is not None}
        given["XRAYGPT_DATABASE_URL"] = database_roles.url_as(role, given["XRAYGPT_DATABASE_URL"])
        with (self._directory / f"{role}.log").open("ab") as log:
            self.processes[role] = subprocess.Popen(
                [sys.executable, *self.commands[role]], env={**os.environ, **given}, cwd=ROOT, stdout=log, stderr=log
            )

    def tend(self) -> None:
        """Start what has ended, and tick as control does."""
        for role in self.commands:
            if role not in self.processes or self.processes[role].poll() is not None:
                self.start(role)
        with suppress(Unavailable):
            tick(self.lab.bench.ledger)

    def kill(self, role: str) -> None:
        self.processes[role].kill()
        self.processes[role].wait()

    def until_done(self, run_id: UUID, seconds: float = 40.0) -> None:
        deadline = time.monotonic() + seconds
        while (state := self.state(run_id)) != "done":
            if state in ("dead", "cancelled") or time.monotonic() > deadline:
                logs = "\n".join(path.read_text()[-3000:] for path in self._directory.glob("*.log"))
                jobs = self.lab.bench.rows("SELECT kind, state, attempts, last_error FROM jobs ORDER BY id")
                pytest.fail(f"the run is {state}\n{jobs}\n{logs}")
            self.tend()
            time.sleep(0.1)

    def state(self, run_id: UUID) -> str:
        try:
            return self.lab.state(run_id).state
        except Unavailable:
            return "not known"

    def stop(self) -> None:
        for process in self.processes.values():
            process.kill()
            process.wait()


def _text(value: Any) -> str:
    if isinstance(value, tuple):
        return ",".join(value)
    return str(value.get_secret_value() if hasattr(value, "get_secret_value") else value)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return make_tiny_bundle(tmp_path_factory.mktemp("models"), "demo")


@pytest.fixture
def plant(bench: Bench, bundle: Bundle, tmp_path: Path, database_url: str) -> Iterator[Plant]:
    (tmp_path / "sets").mkdir()
    changes: dict[str, Any] = {"models": bundle.path.parent, "device": "cpu", "training_data": tmp_path / "sets"}
    changes |= {"training_cache": tmp_path / "cache", "lease_seconds": 3.0, "max_attempts": 20}
    changes |= {"train_device_locks": tmp_path / "locks", "batch_size": 2, "ingest_concurrency": 1}
    settings = bench.settings.model_copy(update=changes)
    made = Plant(
        Lab(bench, Context(settings, bench.ledger, bench.store, bench.context.heartbeat, "test"), bundle), tmp_path
    )
    try:
        yield made
    finally:
        made.stop()
        made.lab.films.close()
    with psycopg.connect(database_url) as connection:
        check_invariants(connection, finished=True)


def trained(plant: Plant, *sets: dict[str, Any]) -> bytes:
    """The weights of a run that nothing disturbs, made by this process; its traces are removed."""
    lab = plant.lab
    lab.features.announce()
    lab.start(*sets, steps=3)
    lab.do_all(*lab.bodies)
    (weights,) = lab.weights()
    lab.forget()
    return weights


@pytest.mark.long
def test_a_run_goes_through_real_workers_while_each_of_them_is_killed(plant: Plant) -> None:
    """SIGKILL of a worker whenever it holds a job of a kind for the first time."""
    sets = [plant.lab.in_folder("archive", range(4)), plant.lab.in_bucket("hospital", range(10, 13))]
    expected = trained(plant, *sets)
    run_id = plant.lab.start(*sets, steps=3)
    waiting = {"plan": "training", "prepare": "ingest", "train": "training"}
    running = "SELECT kind FROM jobs WHERE state = 'running'"
    deadline = time.monotonic() + 45
    while waiting and plant.state(run_id) != "done" and time.monotonic() < deadline:
        plant.tend()
        for row in plant.lab.bench.rows(running):
            if (role := waiting.pop(row["kind"], None)) is not None:
                plant.kill(role)
        time.sleep(0.02)
    plant.until_done(run_id)
    assert plant.lab.weights() == [expected]


@pytest.mark.long
@pytest.mark.parametrize("seed", range(int(os.environ.get("XRAYGPT_CHAOS_ROUNDS", "3"))))
def test_a_run_through_random_kills_of_workers_broker_and_database_has_the_same_weights(
    plant: Plant, broker: Broker, postgres: Postgres, seed: int
) -> None:
    chance = random.Random(seed)
    sets = [plant.lab.in_folder("archive", range(20)), plant.lab.in_bucket("hospital", range(30, 50))]
    expected = trained(plant, *sets)
    run_id = plant.lab.start(*sets, steps=3)
    for _ in range(12):
        until = time.monotonic() + chance.uniform(0.5, 4.0)
        while time.monotonic() < until:
            plant.tend()
            time.sleep(0.05)
        match chance.choice(["ingest", "gpu", "training", "broker", "database"]):
            case "broker":
                os.kill(broker.pid, signal.SIGKILL)
                restart(broker)
            case "database":
                os.kill(postgres.pid, signal.SIGKILL)
                restart(postgres)
            case role:
                if role in plant.processes:
                    plant.kill(role)
    plant.until_done(run_id)
    assert plant.lab.weights() == [expected]


def restart(server: Broker | Postgres) -> None:
    """As soon as it is gone."""
    deadline = time.monotonic() + 60
    while server.running and time.monotonic() < deadline:
        time.sleep(0.05)
    server.start()
