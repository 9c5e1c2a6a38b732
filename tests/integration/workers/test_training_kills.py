"""A planned run is killed before each of its writes, by whichever worker makes it: the weights are always the same."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from tests.support.invariants import check_invariants
from tests.support.kills import Writes
from tests.support.tiny_bundle import make_tiny_bundle
from tests.support.training_lab import Lab
from tests.support.worker_bench import Bench
from workers.context import Context
from workers.prepare import Prepare
from xraygpt_core.ledger.jobs.reconcile import tick
from xraygpt_core.model.bundle import Bundle
from xraygpt_core.settings import Settings
from xraygpt_core.states import JobKind

KINDS = (JobKind.PLAN, JobKind.PREPARE, JobKind.ENCODE, JobKind.TRAIN)
LONG = "XRAYGPT_CHAOS_ROUNDS" in os.environ
EACH = 1 if LONG else 19  # of so many writes, one is fatal


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return make_tiny_bundle(tmp_path_factory.mktemp("models"), "demo")


@pytest.fixture
def labs(bench: Bench, bundle: Bundle, tmp_path: Path) -> Iterator[Callable[[], Lab]]:
    """A process at a time; each begins with what the ones before left in the ledger, the bucket and the folder."""
    (tmp_path / "sets").mkdir()
    changes = {"models": bundle.path.parent, "device": "cpu", "training_data": tmp_path / "sets"}
    settings: Settings = bench.settings.model_copy(update=changes | {"training_cache": tmp_path / "cache"})
    made: list[Lab] = []

    def new() -> Lab:
        lab = Lab(bench, Context(settings, bench.ledger, bench.store, bench.context.heartbeat, "test"), bundle)
        if made:  # its sandbox lives on: a new one takes a second
            lab.films._sandbox = made[0].films._sandbox
        made.append(lab)
        return lab

    yield new
    films: set[Prepare] = {lab.films for lab in made}
    for one in films:
        one.close()


def test_a_run_killed_before_any_write_ends_with_the_same_weights(
    labs: Callable[[], Lab], database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = labs()
    lab.features.announce()
    sets = [lab.in_folder("archive", range(3)), lab.in_bucket("hospital", range(10, 12))]
    whole = Writes()
    lab.start(*sets, steps=2)
    assert whole.survived(lambda: lab.do_all(*KINDS), monkeypatch)
    (expected,) = lab.weights()
    for fatal in range(1, whole.count + 1, EACH):
        lab.forget()
        dying = labs()
        run_id = dying.start(*sets, steps=2)
        assert not Writes(fatal).survived(lambda dying=dying: dying.do_all(*KINDS), monkeypatch)
        lose(dying)
        labs().do_all(*KINDS)
        assert dying.state(run_id).state == "done", f"killed before write {fatal} of {whole.count}"
        assert dying.weights() == [expected], f"killed before write {fatal} of {whole.count}"
        with psycopg.connect(database_url) as connection:
            check_invariants(connection, finished=True)


def lose(lab: Lab) -> None:
    """The process is dead: its leases end."""
    with lab.bench.ledger.work() as work:
        work.run("UPDATE jobs SET lease_until = clock_timestamp() - interval '1 second' WHERE state = 'running'")
    tick(lab.bench.ledger)
