"""PostgreSQL behind PgBouncer in transaction mode: no session lasts longer than a transaction."""

import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from pydantic import SecretStr

from migrations.upgrade import upgrade
from tests.conftest import DATABASE_SCHEME
from tests.support.analyst import run_query
from tests.support.ledger_tools import put, rows, take
from xraygpt.stack.servers import ports
from xraygpt.stack.servers.postgres import Postgres, identity
from xraygpt_core.db import Database
from xraygpt_core.errors import Refused, Unavailable
from xraygpt_core.ledger.jobs.reconcile import tick
from xraygpt_core.ledger.transaction import open_ledger
from xraygpt_core.models import SCHEMA_VERSION
from xraygpt_core.settings import Settings
from xraygpt_core.states import JobKind

_INI = """
[databases]
* = host=127.0.0.1 port={port} user={user} password={password}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {listen}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 3
server_login_retry = 0.1
{more}
"""


@pytest.fixture(params=["", "ignore_startup_parameters = options"], ids=["refuses options", "drops options"])
def pooled(request: pytest.FixtureRequest, postgres: Postgres, tmp_path: Path) -> Iterator[Callable[[str], str]]:
    """A pooler in front of the test's server: gives a database's URL through it."""
    program = shutil.which("pgbouncer", path="/usr/sbin:/usr/bin:/usr/local/bin")
    if program is None:
        pytest.skip("needs pgbouncer, which is not on this machine (`make test` installs Debian's)")
    listen = ports.choose(None)
    values = {"port": postgres.port, "user": "xraygpt", "password": postgres.password}
    ini = tmp_path / "pgbouncer.ini"
    ini.write_text(_INI.format(listen=listen, more=request.param, **values))
    ini.chmod(0o644)
    prefix, user = identity()  # it refuses root, too
    with (tmp_path / "log").open("w") as log:
        child = subprocess.Popen([*prefix, program, str(ini)], stdout=log, stderr=log, user=user)
    try:
        _wait_for(listen, tmp_path / "log", child)
        yield lambda url: f"{DATABASE_SCHEME}://xraygpt@127.0.0.1:{listen}/{url.rsplit('/', 1)[1]}"
    finally:
        child.kill()
        child.wait()


def _wait_for(port: int, log: Path, child: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + 60
    while True:
        with closing(socket.socket()) as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        assert child.poll() is None, log.read_text()
        assert time.monotonic() < end, log.read_text()
        time.sleep(0.05)


def test_the_ledger_works_and_keeps_its_limits(
    pooled: Callable[[str], str], make_settings: Callable[..., Settings], database_url: str
) -> None:
    url = pooled(database_url) + "?options=-c%20work_mem%3D5MB"
    assert upgrade(url) == (SCHEMA_VERSION, SCHEMA_VERSION)
    ledger = open_ledger(make_settings(database_url=SecretStr(url), lease_seconds=3.0))
    for _ in range(12):  # more than a prepared statement would need to be noticed
        claim = take(ledger, JobKind.INGEST, put(ledger).image_id)
        assert claim.epoch == 1
    tick(ledger)
    assert rows(ledger, "SHOW idle_in_transaction_session_timeout") == [{"idle_in_transaction_session_timeout": "3s"}]
    assert rows(ledger, "SHOW timezone") == [{"TimeZone": "UTC"}]
    ledger.close()
    hasty = Database(url, statement_timeout_seconds=0.2)
    with pytest.raises(Refused, match="QueryCanceled"), hasty.transaction() as connection:
        connection.exec_driver_sql("SELECT pg_sleep(20)")
    hasty.close()


def test_limits_that_the_role_has_anyway_do_not_hide_that_a_pooler_dropped_the_others(
    pooled: Callable[[str], str], database_url: str
) -> None:
    direct = Database(database_url)
    with direct.transaction() as connection:
        connection.exec_driver_sql("ALTER ROLE xraygpt SET statement_timeout = '60s'")
    try:
        behind = Database(pooled(database_url))
        with behind.transaction() as connection:
            assert connection.exec_driver_sql("SHOW lock_timeout").scalar() == "20s"
        behind.close()
    finally:
        with direct.transaction() as connection:
            connection.exec_driver_sql("ALTER ROLE xraygpt RESET statement_timeout")
        direct.close()


def test_analysts_read_and_only_read(
    pooled: Callable[[str], str], make_settings: Callable[..., Settings], database_url: str
) -> None:
    settings = make_settings(reader_url=SecretStr(pooled(database_url)))
    shown = "SELECT current_setting('transaction_read_only') AS only_reads, interval '90 seconds' AS span"
    assert run_query(settings, shown).rows == [["on", "PT1M30S"]]


def test_what_a_pooler_says_when_it_refuses_is_in_the_message(pooled: Callable[[str], str]) -> None:
    nowhere = Database(pooled("x/no_such_database"))
    with pytest.raises(Unavailable, match="no_such_database"):
        nowhere.ping()
    nowhere.close()
