"""Real services for the tests: one PostgreSQL, one broker and one S3 server per test process, started when first used.

Every test gets a database of its own, copied from a migrated template, and an emptied broker.
"""

import gc
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import lru_cache
from pathlib import Path
from typing import Any
from uuid import uuid4

import botocore.session
import hypothesis
import psycopg
import pytest
import redis
from psycopg import sql
from pydantic import SecretStr

from migrations.upgrade import upgrade
from tests.support import database_roles
from tests.support.databases import admin, empty
from tests.support.invariants import check_invariants
from tests.support.keys import HMAC_KEY
from tests.support.order import ByFile, rank
from tests.support.s3_tools import s3_client
from tests.support.service_tools import hurry
from xraygpt.stack.servers import ports
from xraygpt.stack.servers.broker import Broker
from xraygpt.stack.servers.postgres import Postgres
from xraygpt.stack.servers.s3 import ObjectServer
from xraygpt_core.ledger.transaction import Ledger, open_ledger
from xraygpt_core.settings import Settings

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
# Examples of chance are for the long form; elsewhere a failure is the change's, and a slow machine none.
hypothesis.settings.register_profile(
    "busy machine",
    deadline=None,
    derandomize="XRAYGPT_CHAOS_ROUNDS" not in os.environ,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("busy machine")

# The ledger of the tests speaks through this driver: postgresql, which is the default, or postgresql+psycopg.
DATABASE_SCHEME = os.environ.get("XRAYGPT_TEST_DATABASE_SCHEME", "postgresql")


def pytest_configure() -> None:
    """Tests interrupt their children. In a shell's background SIGINT is ignored, and children would inherit that."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    worker, count = os.environ.get("PYTEST_XDIST_WORKER"), int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    if worker is not None:  # a part of the ports for each: between choice and start another one may choose the same
        size = (ports.HIGHEST - ports.LOWEST + 1) // count
        ports.LOWEST += size * int(worker.removeprefix("gw"))
        ports.HIGHEST = ports.LOWEST + size - 1


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[Any]:
    """Modules and tests stay to the end: the garbage collector looks through them neither meanwhile nor later."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        gc.freeze()


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByFile:
    return ByFile(config, log)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Slow files first, so that the processes end together; within a kind the order stays random."""
    items.sort(key=lambda item: rank(item.nodeid))


@pytest.fixture(scope="session", autouse=True)
def _service_descriptions_are_read_once() -> Iterator[None]:
    """botocore parses its descriptions of S3 anew for every session, 0.15 s of a processor for each store of a test."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(botocore.session, "create_loader", lru_cache(botocore.session.create_loader))
        yield


@pytest.fixture(scope="session", autouse=True)
def _every_door_has_its_role() -> Iterator[None]:
    """What a route or a job does to the database it does with the rights of its process."""
    with pytest.MonkeyPatch.context() as patch, database_roles.acted_out(patch):
        yield


@pytest.fixture(scope="session")
def int8_products() -> None:
    """Skips where the product refuses int8 weights: on processors without VNNI instructions."""
    from xraygpt_core.errors import BundleError
    from xraygpt_core.model.engine.quantised import product_of  # torch, which most tests do without

    try:
        product_of("int8")
    except BundleError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    """A PostgreSQL server whose database ``xraygpt`` is migrated and stays empty: the template."""
    server = Postgres(tmp_path_factory.mktemp("postgres"))
    server.start()
    try:
        hurry(server)
        upgrade(server.url)
        database_roles.may_become(server)
        database_roles.let_in(server)
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A Valkey server."""
    server = Broker(tmp_path_factory.mktemp("broker"))
    server.start()
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="session")
def object_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectServer]:
    """An S3 server."""
    server = ObjectServer(tmp_path_factory.mktemp("s3"))
    server.start()
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="session")
def spare_databases() -> list[str]:
    """Names of databases whose tests are over, emptied: making a new one costs more than most tests."""
    return []


@pytest.fixture
def database_url(postgres: Postgres, spare_databases: list[str]) -> Iterator[str]:
    """A migrated database without rows. A test that changes the schema changes it back."""
    if spare_databases:
        name = spare_databases.pop()
    else:
        name = f"test_{uuid4().hex[:12]}"
        admin(postgres, sql.SQL("CREATE DATABASE {} TEMPLATE xraygpt").format(sql.Identifier(name)))
    url = postgres.url.rsplit("/", 1)[0] + "/" + name
    yield url
    empty(url)
    spare_databases.append(name)


@pytest.fixture
def redis_url(broker: Broker) -> str:
    """An emptied broker."""
    client = redis.Redis.from_url(broker.url)
    client.flushall()
    client.close()
    return broker.url


@pytest.fixture
def make_settings(database_url: str, redis_url: str) -> Callable[..., Settings]:
    """Settings for this test's database and broker; keyword arguments replace single ones."""

    def make(**changes: Any) -> Settings:
        values: dict[str, Any] = {
            "database_url": SecretStr(database_url.replace("postgresql:", f"{DATABASE_SCHEME}:")),
            "redis_url": SecretStr(redis_url),
            "bucket": "source",
            "derived_bucket": "derived",
            "hmac_key": SecretStr(HMAC_KEY),
            "settle_seconds": 0.0,
            "retry_seconds": 0.0,
        }
        return Settings(**(values | changes))

    return make


@pytest.fixture
def settings(make_settings: Callable[..., Settings]) -> Settings:
    """Settings without an S3 server."""
    return make_settings()


@pytest.fixture(scope="session")
def spare_buckets() -> list[tuple[str, str]]:
    """Pairs of buckets whose tests are over, emptied: the server has room for some sixty buckets, not for hundreds."""
    return []


@pytest.fixture
def s3_settings(
    make_settings: Callable[..., Settings], object_server: ObjectServer, spare_buckets: list[tuple[str, str]]
) -> Iterator[Settings]:
    """Settings with an S3 server and two empty buckets that no other test uses meanwhile."""
    client = s3_client(object_server.url, object_server.access_key, object_server.secret_key)
    suffix = uuid4().hex[:10]
    new = not spare_buckets
    buckets = (f"source-{suffix}", f"derived-{suffix}") if new else spare_buckets.pop()
    with closing(client):
        for bucket in buckets if new else ():
            client.create_bucket(Bucket=bucket)
        yield make_settings(
            s3_endpoint_url=object_server.url,
            s3_access_key=SecretStr(object_server.access_key),
            s3_secret_key=SecretStr(object_server.secret_key),
            bucket=buckets[0],
            derived_bucket=buckets[1],
        )
        for bucket in buckets:
            for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket):
                for found in page.get("Contents", []):
                    client.delete_object(Bucket=bucket, Key=found["Key"])
    spare_buckets.append(buckets)


@pytest.fixture
def ledger(settings: Settings) -> Iterator[Ledger]:
    """A ledger on this test's database and broker."""
    opened = open_ledger(settings)
    yield opened
    opened.close()


@pytest.fixture
def sound(ledger: Ledger, database_url: str) -> Iterator[None]:
    """After the test the invariants of the ledger hold, whatever the test did."""
    yield
    with psycopg.connect(database_url) as connection:
        check_invariants(connection)


@pytest.fixture
def s3_ledger(s3_settings: Settings) -> Iterator[Ledger]:
    """A ledger whose settings know the S3 server too."""
    opened = open_ledger(s3_settings)
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real radiographs beside the checkout; the one reason a test may be skipped."""
    folder = Path(__file__).parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("needs ../shared/data (real radiographs), which is not on this machine")
    return folder
