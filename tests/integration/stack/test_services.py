"""The embedded PostgreSQL and broker, each with the real program."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import redis

from tests.support import database_roles
from tests.support.service_tools import CANARY, command_line, kill, started
from xraygpt.stack.processes.child import StackError
from xraygpt.stack.servers import postgres as postgres_module
from xraygpt.stack.servers.broker import Broker
from xraygpt.stack.servers.database_logins import Logins
from xraygpt.stack.servers.postgres import Postgres, identity
from xraygpt.stack.servers.s3 import ObjectServer
from xraygpt.stack.servers.services import BackingServices
from xraygpt_core.db import libpq_url
from xraygpt_core.logins import PROCESSES, ROLES

# PostgreSQL


def test_postgres_keeps_its_rows_port_and_password_over_a_crash(tmp_path: Path) -> None:
    with started(Postgres(tmp_path)) as first, psycopg.connect(first.url, autocommit=True) as connection:
        connection.execute("CREATE TABLE kept (n int)")
        connection.execute("INSERT INTO kept VALUES (7)")
        kill(first)
    with started(Postgres(tmp_path)) as second, psycopg.connect(second.url) as connection:
        assert second.url == first.url
        row = connection.execute("SELECT n FROM kept").fetchone()
        assert row == (7,)


def test_postgres_asks_for_the_password_and_shows_it_nowhere(postgres: Postgres) -> None:
    wrong = postgres.url.replace(postgres.password, "wrong")
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(wrong)
    assert postgres.password not in command_line(postgres.pid)
    assert (postgres.directory / "service.json").stat().st_mode & 0o077 == 0


def test_the_application_role_is_no_superuser_and_durability_is_on(tmp_path: Path) -> None:
    """As the stack starts it; the server that the tests share writes faster."""
    with started(Postgres(tmp_path)) as server, psycopg.connect(server.url) as connection:
        assert connection.execute("SELECT rolsuper FROM pg_roles WHERE rolname = current_user").fetchone() == (False,)
        for setting in ("fsync", "synchronous_commit", "full_page_writes"):
            assert connection.execute(f"SHOW {setting}".encode()).fetchone() == ("on",)


def test_a_failing_statement_leaves_no_value_in_the_log(postgres: Postgres) -> None:
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        connection.execute("CREATE TEMP TABLE people (name text PRIMARY KEY)")
        connection.execute("INSERT INTO people VALUES (%s)", [CANARY])
        with pytest.raises(psycopg.errors.UniqueViolation):
            connection.execute("INSERT INTO people VALUES (%s)", [CANARY])
    assert CANARY not in postgres.log.read_text()


@pytest.mark.parametrize("cast", ["uuid", "int", "timestamptz", "inet", "jsonb", "float8", "interval"])
def test_a_failing_cast_of_a_text_leaves_nothing_in_the_log(postgres: Postgres, cast: str) -> None:
    with psycopg.connect(postgres.url, autocommit=True) as connection, pytest.raises(psycopg.Error, match=CANARY[:6]):
        connection.execute(f"SELECT '{CANARY}<'::{cast}".encode())
    assert CANARY not in postgres.log.read_text()


def test_no_setting_that_a_session_may_change_opens_the_log(postgres: Postgres) -> None:
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        for name in ("debug_print_parse", "debug_print_rewritten", "debug_print_plan"):
            connection.execute(f"SET {name} = on".encode())
        connection.execute("SELECT %s::text", [CANARY])
        connection.execute(f"DO $$ BEGIN RAISE LOG '{CANARY}'; END $$".encode())
        for name in ("log_min_messages", "log_statement", "log_min_duration_statement", "log_min_error_statement"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(f"SET {name} = DEFAULT".encode())
    assert CANARY not in postgres.log.read_text()


def test_a_stale_pid_file_of_another_process_does_not_stop_postgres(tmp_path: Path) -> None:
    with started(Postgres(tmp_path)) as first:
        kill(first)
    pid_file = first.data / "postmaster.pid"
    lines = pid_file.read_text().splitlines()
    pid_file.write_text("\n".join([str(os.getppid()), *lines[1:]]) + "\n")
    with started(Postgres(tmp_path)) as second:
        assert second.running


def test_an_unfinished_initdb_is_begun_again(tmp_path: Path) -> None:
    (tmp_path / "data.new").mkdir()
    (tmp_path / "data.new" / "PG_VERSION").write_text("18\n")
    with started(Postgres(tmp_path)) as server:
        assert server.running


def test_postgres_on_a_taken_port_says_which_setting_moves_it(tmp_path: Path, postgres: Postgres) -> None:
    with pytest.raises(StackError, match=r"listens on port .* set XRAYGPT_POSTGRES_PORT to"):
        Postgres(tmp_path, port=postgres.port).start()


@pytest.fixture
def no_namespaces(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As where a container forbids user namespaces; a normal user never needs them."""
    identity.cache_clear()
    monkeypatch.setattr(postgres_module.shutil, "which", lambda _: None)
    yield
    identity.cache_clear()


def test_without_user_namespaces_postgres_still_does_not_run_as_root(no_namespaces: None) -> None:
    with tempfile.TemporaryDirectory() as open_to_all:  # pytest's own folders are closed to nobody
        Path(open_to_all).chmod(0o711)
        home = Path(open_to_all) / "home"
        home.mkdir(mode=0o700)
        with started(Postgres(home / "postgres")) as server, psycopg.connect(server.url):
            assert Path(f"/proc/{server.pid}").stat().st_uid != 0
            assert server.data.stat().st_mode & 0o077 == 0


def test_a_directory_that_nobody_cannot_enter_is_named(no_namespaces: None, tmp_path: Path) -> None:
    if os.geteuid() == 0:
        (tmp_path / "closed").mkdir(mode=0o700)
        with pytest.raises(StackError, match="the user nobody cannot pass through"):
            Postgres(tmp_path / "closed" / "home" / "postgres").start()


# The broker


def test_the_broker_keeps_its_messages_over_a_crash(tmp_path: Path) -> None:
    with started(Broker(tmp_path)) as first, redis.Redis.from_url(first.url) as connection:
        connection.lpush("queue", *range(1000))
        connection.execute_command("WAITAOF", 1, 0, 5000)
        kill(first)
    with started(Broker(tmp_path)) as second, redis.Redis.from_url(second.url) as connection:
        assert second.url == first.url
        assert connection.llen("queue") == 1000


def test_the_broker_asks_for_the_password_and_shows_it_nowhere(broker: Broker) -> None:
    with redis.Redis(port=broker.port) as stranger, pytest.raises(redis.AuthenticationError):
        stranger.ping()
    assert broker.password not in command_line(broker.pid)
    assert broker.password not in broker.log.read_text()


def test_the_broker_never_drops_a_message_and_writes_every_second(broker: Broker) -> None:
    with redis.Redis.from_url(broker.url, decode_responses=True) as connection:
        assert connection.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
        assert connection.config_get("appendfsync") == {"appendfsync": "everysec"}
        assert connection.config_get("appendonly") == {"appendonly": "yes"}


def test_a_broker_on_a_taken_port_says_which_setting_moves_it(tmp_path: Path, broker: Broker) -> None:
    with pytest.raises(StackError, match=r"listens on port .* set XRAYGPT_BROKER_PORT to"):
        Broker(tmp_path, port=broker.port).start()


# S3


@pytest.mark.parametrize("make", [Postgres, Broker, ObjectServer])
def test_a_service_whose_starter_is_killed_ends_and_starts_again(tmp_path: Path, make: Callable[[Path], Any]) -> None:
    program = (
        f"import sys, time; from pathlib import Path; from {make.__module__} import {make.__name__} as Service\n"
        "service = Service(Path(sys.argv[1])); service.start(); print(service.pid, flush=True); time.sleep(600)"
    )
    command = [sys.executable, "-c", program, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as starter:
        assert starter.stdout is not None
        first = int(starter.stdout.readline())
        starter.kill()
    with started(make(tmp_path)) as again:
        assert again.pid != first
        assert again.running


# An external database


def logins(root: Path, outside: dict[str, str], password: str) -> Logins:
    return BackingServices(root, outside, "http://127.0.0.1:1", "token").logins({"xraygpt_reader": password}, {})


def test_the_reader_of_an_external_database_gets_a_password_and_keeps_its_options(
    tmp_path: Path, database_url: str
) -> None:
    outside = {"XRAYGPT_DATABASE_URL": f"{database_url}?sslmode=prefer&application_name=theirs"}
    url = logins(tmp_path, outside, "it's").reader_url()
    with psycopg.connect(url) as connection:
        who = connection.execute("SELECT current_user, current_setting('application_name')").fetchone()
    assert who == ("xraygpt_reader", "theirs")


def test_a_database_that_allows_no_password_for_the_reader_says_what_to_set(tmp_path: Path, database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("ALTER ROLE xraygpt_reader LOGIN PASSWORD 'reader'")
    as_reader = database_url.replace(database_url.split("@")[0], "postgresql://xraygpt_reader:reader")
    with pytest.raises(StackError, match=r"42501.*set XRAYGPT_READER_URL"):
        logins(tmp_path, {"XRAYGPT_DATABASE_URL": as_reader}, "other").reader_url()


class Said(list[str]):
    """What a start said."""


@pytest.fixture
def external_logins(postgres: Postgres, database_url: str, tmp_path: Path) -> Iterator[Callable[..., tuple[Any, Said]]]:
    """The addresses a stack finds for its processes on somebody else's server, and what it says about them."""

    def urls(passwords: dict[str, str], former: dict[str, str] | None = None, **environ: str) -> tuple[Any, Said]:
        outside = {"XRAYGPT_DATABASE_URL": database_url, **environ}
        services = BackingServices(tmp_path, outside, "http://127.0.0.1:1", "token")
        said = Said()
        known = {role: database_roles._password(role) for role in ROLES} | passwords
        return services.logins(known, former or {}).urls(said.append), said

    database_roles.let_in(postgres)  # roles are the server's: another test may have given them other passwords
    yield urls
    database_roles.let_in(postgres)


def who(url: str) -> Any:
    with psycopg.connect(libpq_url(url)) as connection:
        row = connection.execute("SELECT current_user").fetchone()
    assert row is not None
    return row[0]


def test_each_process_logs_in_at_an_external_database_as_itself(external_logins: Callable[..., Any]) -> None:
    urls, said = external_logins({})
    assert {process: who(url) for process, url in urls.items()} == {one: f"xraygpt_{one}" for one in PROCESSES}
    assert said == []


def test_a_password_that_another_machine_gave_stays_and_the_process_is_the_owner_then(
    external_logins: Callable[..., Any],
) -> None:
    urls, said = external_logins({"xraygpt_ingest": "another"})
    assert who(urls["ingest"]) == "xraygpt"
    assert who(urls["gpu"]) == "xraygpt_gpu"
    (sentence,) = said
    assert "xraygpt_ingest has a password that this data directory does not know" in sentence
    assert "XRAYGPT_INGEST_DATABASE_URL" in sentence
    given, said = external_logins({"xraygpt_ingest": "another"}, XRAYGPT_INGEST_DATABASE_URL="postgresql://i@db/x")
    assert (given["ingest"], said) == ("postgresql://i@db/x", [])


def test_a_password_of_ours_is_replaced_by_the_next_one(external_logins: Callable[..., Any]) -> None:
    former = {"xraygpt_ingest": database_roles._password("xraygpt_ingest")}
    urls, said = external_logins({"xraygpt_ingest": "next"}, former)
    assert (who(urls["ingest"]), said) == ("xraygpt_ingest", [])
