"""A worker process whose services go away and come back."""

import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import SecretStr

from xraygpt.stack.broker import Broker
from xraygpt_core.ledger.core import Ledger, open_ledger

if TYPE_CHECKING:
    from tests.integration.conftest import Bench
else:
    Bench = Any

SETTLED = "SELECT count(*) FROM studies WHERE state = 'queued'"


@pytest.fixture
def own_broker(tmp_path: Path) -> Iterator[Broker]:
    """A broker of this test's own, to be stopped and started."""
    (tmp_path / "broker").mkdir()
    broker = Broker(tmp_path / "broker")
    broker.start()
    yield broker
    broker.stop()


@pytest.fixture
def own_ledger(bench: Bench, own_broker: Broker) -> Iterator[Ledger]:
    opened = open_ledger(bench.settings.model_copy(update={"redis_url": SecretStr(own_broker.url)}))
    yield opened
    opened.close()


def test_a_worker_takes_up_its_work_when_the_broker_is_back(
    bench: Bench, own_broker: Broker, own_ledger: Ledger, film: Callable[..., bytes]
) -> None:
    bench.ledger = own_ledger
    worker = bench.start("ingest", XRAYGPT_REDIS_URL=own_broker.url)
    bench.register("incoming/before.dcm", film(70))
    bench.until(SETTLED, 1, "the first film is read")
    own_broker.stop()
    bench.register("incoming/meanwhile.dcm", film(71))  # accepted although nobody can be rung
    own_broker.start()
    bench.until(SETTLED, 2, "the second film is read after the broker is back")
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(90) == 0


def test_a_database_that_drops_every_connection_costs_a_worker_nothing(
    bench: Bench, film: Callable[..., bytes]
) -> None:
    for seed in range(72, 76):
        bench.register(f"incoming/{seed}.dcm", film(seed))
    worker = bench.start("ingest", XRAYGPT_INGEST_CONCURRENCY="1")
    bench.until("SELECT count(*) > 0 FROM jobs WHERE state = 'running'", True, "a job runs")
    bench.rows(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    bench.until(SETTLED, 4, "all are read all the same")
    assert worker.poll() is None
