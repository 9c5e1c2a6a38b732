"""A run on somebody's films, from its sets to its result, with a real ledger and bucket and the real bodies."""

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.support.invariants import check_invariants
from tests.support.tiny_bundle import make_tiny_bundle
from tests.support.training_lab import Lab
from tests.support.worker_bench import Bench
from workers.context import Context
from xraygpt_core.model.bundle import Bundle
from xraygpt_core.states import JobKind

PLAN, PREPARE, ENCODE, TRAIN = JobKind.PLAN, JobKind.PREPARE, JobKind.ENCODE, JobKind.TRAIN


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return make_tiny_bundle(tmp_path_factory.mktemp("models"), "demo")


@pytest.fixture
def lab(bench: Bench, bundle: Bundle, tmp_path: Path, database_url: str) -> Iterator[Lab]:
    """After each test the ledger is sound."""
    (tmp_path / "sets").mkdir()
    settings = bench.settings.model_copy(
        update={
            "models": bundle.path.parent,
            "device": "cpu",
            "training_data": tmp_path / "sets",
            "training_cache": tmp_path / "cache",
        }
    )
    made = Lab(bench, Context(settings, bench.ledger, bench.store, bench.context.heartbeat, "test"), bundle)
    yield made
    made.films.close()
    with psycopg.connect(database_url) as connection:
        check_invariants(connection)


def test_a_run_on_films_of_the_bucket_and_of_a_folder_is_planned_prepared_encoded_and_trained(lab: Lab) -> None:
    lab.features.announce()
    run_id = lab.start(lab.in_bucket("hospital", range(6)), lab.in_folder("archive", range(10, 14)))
    assert lab.state(run_id).state == "planning"
    assert lab.do_all(PLAN) == 1
    assert lab.state(run_id).state == "preparing"
    assert lab.do_all(PREPARE) == 2
    assert lab.state(run_id).state == "encoding"
    assert lab.do_all(ENCODE) == 2
    assert lab.state(run_id).state == "queued"
    lab.do_all(TRAIN)
    assert lab.state(run_id).state == "done"
    assert lab.weights()[0].startswith(b"projector after 4 on ")
    images = lab.bench.rows("SELECT sha256, dropped FROM training_images")
    assert len(images) == 10
    assert all(row["sha256"] and row["dropped"] is None for row in images)
