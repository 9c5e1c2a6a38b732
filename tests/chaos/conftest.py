"""One arena for a file's tests: idle, it would cost those after them time. It prints its recovery times at the end."""

import statistics
from collections.abc import Iterator
from uuid import uuid4

import pytest

from migrations.upgrade import upgrade
from tests.chaos.arena import LEASE_SECONDS, LIMIT_SECONDS, TOKEN, Arena
from tests.chaos.faulty_s3 import FaultyS3
from tests.support.database_roles import let_in, may_become
from tests.support.keys import HMAC_KEY
from tests.support.s3_tools import s3_client
from xraygpt.stack.servers.broker import Broker
from xraygpt.stack.servers.ports import choose
from xraygpt.stack.servers.postgres import Postgres
from xraygpt.stack.servers.s3 import ObjectServer

_RECOVERIES = pytest.StashKey[dict[str, list[float]]]()


@pytest.fixture(scope="module")
def arena(
    tmp_path_factory: pytest.TempPathFactory, object_server: ObjectServer, request: pytest.FixtureRequest
) -> Iterator[Arena]:
    """The system, running. PostgreSQL and broker are its own, because they are killed."""
    directory = tmp_path_factory.mktemp("arena")
    postgres, broker = Postgres(directory / "postgres"), Broker(directory / "broker")
    proxy = FaultyS3(object_server.url)
    s3 = s3_client(object_server.url, object_server.access_key, object_server.secret_key)
    settings = _settings(object_server, proxy.url)
    for name in ("XRAYGPT_BUCKET", "XRAYGPT_DERIVED_BUCKET"):
        s3.create_bucket(Bucket=settings[name])
    postgres.start()
    broker.start()
    made = Arena(directory, postgres, broker, proxy, settings, s3)
    try:
        upgrade(postgres.url)
        may_become(postgres)
        let_in(postgres)
        settings |= {"XRAYGPT_DATABASE_URL": postgres.url, "XRAYGPT_REDIS_URL": broker.url}
        settings["XRAYGPT_GATEWAY_PORT"] = str(choose())  # last, so that none of the servers above takes it
        made.start_all()
        made.load(4)
        made.settle_down()
        yield made
        request.config.stash[_RECOVERIES] = made.recoveries
    finally:
        made.stop()
        broker.stop()
        postgres.stop()
        proxy.close()
        s3.close()


def _settings(object_server: ObjectServer, s3_url: str) -> dict[str, str]:
    suffix = uuid4().hex[:8]
    return {
        "XRAYGPT_S3_ENDPOINT_URL": s3_url,
        "XRAYGPT_S3_ACCESS_KEY": object_server.access_key,
        "XRAYGPT_S3_SECRET_KEY": object_server.secret_key,
        "XRAYGPT_BUCKET": f"hospital-{suffix}",
        "XRAYGPT_DERIVED_BUCKET": f"derived-{suffix}",
        "XRAYGPT_HMAC_KEY": HMAC_KEY,
        "XRAYGPT_WEBHOOK_TOKEN": TOKEN,
        "XRAYGPT_LEASE_SECONDS": str(LEASE_SECONDS),
        "XRAYGPT_TICK_SECONDS": "0.3",
        "XRAYGPT_RETRY_SECONDS": "0.2",
        "XRAYGPT_SETTLE_SECONDS": "0",
        "XRAYGPT_SWEEP_SECONDS": "0",
        "XRAYGPT_MAX_ATTEMPTS": "20",
        "XRAYGPT_BATCH_SIZE": "4",
    }


@pytest.fixture(autouse=True)
def calm(request: pytest.FixtureRequest) -> Iterator[None]:
    """After a test in the arena everything runs, nothing is open, and the invariants hold."""
    yield
    if "arena" in request.fixturenames:
        arena: Arena = request.getfixturevalue("arena")
        arena.start_all()
        arena.settle_down()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Recovery times per fault."""
    recoveries = config.stash.get(_RECOVERIES, {})
    if recoveries:
        terminalreporter.section(f"recovery in seconds (lease {LEASE_SECONDS:g}, limit {LIMIT_SECONDS:g})")
    for fault, seconds in sorted(recoveries.items()):
        middle, most = statistics.median(seconds), max(seconds)
        terminalreporter.write_line(f"{fault:44} n={len(seconds):3}  p50 {middle:5.1f}  max {most:5.1f}")
