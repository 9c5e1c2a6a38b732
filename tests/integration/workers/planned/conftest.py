"""A ledger and bucket in which runs on somebody's films are planned."""

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.support.invariants import check_invariants
from tests.support.tiny_bundle import make_tiny_bundle
from tests.support.training_lab import Lab
from tests.support.worker_bench import Bench
from workers.context import Context
from xraygpt_core.dicom.sandbox import Sandbox
from xraygpt_core.dicom.types import Limits
from xraygpt_core.model.bundle import Bundle


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return make_tiny_bundle(tmp_path_factory.mktemp("models"), "demo")


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    """One for all tests: to start it takes a second."""
    made = Sandbox(Limits(64 * 10**6, 30.0, 2 * 2**30))
    yield made
    made.close()


@pytest.fixture
def lab(bench: Bench, bundle: Bundle, sandbox: Sandbox, tmp_path: Path, database_url: str) -> Iterator[Lab]:
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
    made.films._sandbox = sandbox
    made.features.announce()
    yield made
    with psycopg.connect(database_url) as connection:
        check_invariants(connection)
