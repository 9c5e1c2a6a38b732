"""Fixtures of the worker tests."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from tests.support.s3_tools import s3_client
from tests.support.worker_bench import Bench, make_film
from workers.context import Context
from workers.heartbeat import Heartbeat
from xraygpt_core.ledger.jobs import claims
from xraygpt_core.ledger.transaction import Ledger
from xraygpt_core.settings import Settings
from xraygpt_core.storage import ObjectStore


@pytest.fixture
def worker_settings(s3_settings: Settings, tmp_path: Path) -> Settings:
    """Settings without sweeps: what is in the bucket is what a test registers. No other test takes a run's device."""
    changes = {"sweep_seconds": 0.0, "ingest_concurrency": 2, "train_device_locks": tmp_path / "device locks"}
    return s3_settings.model_copy(update=changes)


@pytest.fixture
def bench(worker_settings: Settings, s3_ledger: Ledger, tmp_path: Path) -> Iterator[Bench]:
    """Everything a worker needs, real; worker processes are ended with the test."""
    settings = worker_settings
    ledger = Ledger(settings, s3_ledger.database, s3_ledger.doorbell)
    assert settings.s3_access_key is not None
    assert settings.s3_secret_key is not None
    client = s3_client(
        settings.s3_endpoint_url, settings.s3_access_key.get_secret_value(), settings.s3_secret_key.get_secret_value()
    )
    heartbeat = Heartbeat(
        lambda held: claims.heartbeat(ledger, held),
        lambda claim, error: claims.fail(ledger, claim, error),
        lambda claim: claims.release(ledger, claim),
        interval=0.5,
    )
    store = ObjectStore(settings)
    made = Bench(
        settings, ledger, store, client, Context(settings, ledger, store, heartbeat, "test"), directory=tmp_path
    )
    yield made
    for process in made.processes:
        process.kill()
        process.wait()
    client.close()


@pytest.fixture
def film() -> Callable[..., bytes]:
    """:func:`make_film`."""
    return make_film


@pytest.fixture
def desk(bench: Bench) -> Iterator[Any]:
    """A :class:`tests.support.gpu_worker.Desk` with a small engine."""
    from tests.support.gpu_worker import Desk, SmallEngine  # torch, which the other tests here need not load

    made = Desk(bench, SmallEngine())
    yield made
    for thread in made.engine.threads:
        thread.join()


@pytest.fixture
def study(bench: Bench) -> UUID:
    """A study that waits for its summary."""
    study_id: UUID = bench.settled(1)
    return study_id
