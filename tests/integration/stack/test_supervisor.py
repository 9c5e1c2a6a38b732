"""The supervisor with the real services and small programs in place of the gateway and the workers."""

import hashlib
import json
import os
import signal
import socket
import stat
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest

from migrations.upgrade import upgrade
from tests.support.s3_tools import s3_client
from tests.support.service_tools import started
from tests.support.supervised_stack import PIDS, Stack, still_using, wait_for
from xraygpt.connect import process_environment
from xraygpt.stack.launch import is_alive, processes
from xraygpt.stack.servers.ports import choose
from xraygpt.stack.servers.postgres import Postgres
from xraygpt.stack.settings.home import Home, make_key
from xraygpt.stack.settings.remembered import remember
from xraygpt_core.logins import PROCESSES
from xraygpt_core.models import SCHEMA_VERSION

URLS = {"gateway_url", "database_url", "redis_url", "s3_endpoint_url", "flower_url"}
CONTRACT = URLS | {"bucket", "derived_bucket", "api_key", "pids"}


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """One stack for the tests that leave it as they found it."""
    shared = Stack(tmp_path_factory.mktemp("stack") / "home").wait_until_ready()
    yield shared
    shared.end()


def test_everything_runs_and_stack_json_says_where(stack: Stack) -> None:
    assert set(stack.file) >= CONTRACT
    assert set(stack.pids) == PIDS
    assert all(is_alive(pid) for pid in stack.pids.values())
    assert stat.S_IMODE(stack.home.stack_file.stat().st_mode) == 0o600
    assert any("back it up" in line for line in stack.said)
    assert {one["state"] for one in processes(stack.file).values()} == {"running"}
    assert buckets(stack.file) == {"xraygpt-source", "xraygpt-derived"}
    urls = stack.file["metrics_urls"]
    assert set(urls) == {"gateway", "ingest", "gpu", "training", "control"}
    assert len(set(urls.values())) == len(urls)
    prometheus = Path(stack.file["prometheus_config"])
    assert stat.S_IMODE(prometheus.stat().st_mode) == 0o600
    asked = [
        one["targets"] for job in json.loads(prometheus.read_text())["scrape_configs"] for one in job["static_configs"]
    ]
    assert {f"http://{target}/metrics" for targets in asked for target in targets} == set(urls.values())
    with psycopg.connect(stack.file["reader_url"]) as reader:
        assert reader.execute("SELECT current_user").fetchone() == ("xraygpt_reader",)


CANARIES = {
    "AWS_SECRET_ACCESS_KEY": "canary-aws",
    "GITHUB_TOKEN": "canary-token",
    "PGPASSWORD": "canary-pgpassword",
    "XRAYGPT_VLLM_KEY": "canary-vllm",
    "XRAYGPT_SERVER_KEY": "canary-server",
    "XRAYGPT_HMAC_KEY": hashlib.sha256(b"canary").hexdigest(),
}
# Who may hold which secret of stack.json, of the data directory, and of the shell.
HOLDERS = {
    "webhook_token": {"gateway"},
    "reader_password": {"gateway"},
    "flower_password": {"flower"},
    "owner_password": set(),
    "superuser_password": set(),
    "api_key": set(),
    "broker_password": {"gateway", "ingest", "gpu", "training", "control", "flower"},
    "AWS_SECRET_ACCESS_KEY": set(),
    "GITHUB_TOKEN": set(),
    "PGPASSWORD": set(),
    "XRAYGPT_VLLM_KEY": {"gpu"},
    "XRAYGPT_SERVER_KEY": {"gpu"},
    "XRAYGPT_HMAC_KEY": {"gateway", "ingest"},
    **{f"xraygpt_{process}": {process} for process in PROCESSES},
}


def test_each_process_holds_its_own_secrets_and_nobody_else_s(start: Callable[..., Stack]) -> None:
    stack = start(**CANARIES).wait_until_ready()
    known = json.loads(stack.home.secrets_file.read_text())
    postgres = json.loads((stack.home.root / "postgres" / "service.json").read_text())
    broker = json.loads((stack.home.root / "broker" / "service.json").read_text())
    secrets = CANARIES | known["role_passwords"]
    secrets |= {name: known[name] for name in ("webhook_token", "reader_password", "flower_password", "api_key")}
    secrets |= {"owner_password": postgres["password"], "superuser_password": postgres["superuser_password"]}
    secrets |= {"broker_password": broker["password"]}
    environments = {
        process: Path(f"/proc/{pid}/environ").read_text()
        for process, pid in stack.pids.items()
        if process != "supervisor"
    }
    assert set(secrets) == set(HOLDERS)
    held = {name: {p for p, given in environments.items() if value in given} for name, value in secrets.items()}
    assert held == {name: holders & set(environments) for name, holders in HOLDERS.items()}
    with psycopg.connect(stack.file["database_url"]) as connection:
        assert connection.execute("SELECT current_user").fetchone() == ("xraygpt",)


def test_commands_know_the_sealing_key_of_the_stack_and_the_gateway_where_flower_is(
    start: Callable[..., Stack], external: dict[str, str]
) -> None:
    stack = start(**external, XRAYGPT_SEALED_NUMBERS="true").wait_until_ready()
    given = process_environment(stack.file)
    assert given["XRAYGPT_SEALED_NUMBERS"] == "true"
    assert given["XRAYGPT_SEALING_KEY_FILE"] == str(stack.home.sealing_key_file)
    gateway = Path(f"/proc/{stack.pids['gateway']}/environ").read_text().split("\0")
    assert f"XRAYGPT_FLOWER_URL={stack.file['flower_url']}" in gateway


def buckets(stack: dict[str, Any]) -> set[str]:
    client = s3_client(stack["s3_endpoint_url"], stack["s3_access_key"], stack["s3_secret_key"])
    with closing(client):
        return {bucket["Name"] for bucket in client.list_buckets()["Buckets"]}


@pytest.fixture
def former(tmp_path: Path) -> dict[str, Any]:
    """A data directory of the version before roles, with an API key and a study; what its stack.json said."""
    home = Home(tmp_path / "home")
    home.create()
    make_key(home.hmac_key_file)
    known = {name: f"{name}-of-before" for name in ("webhook_token", "reader_password", "flower_password", "api_key")}
    remember(home.secrets_file, known | {"gateway_port": choose(), "flower_port": choose()})
    keys = {"access_key": "0123456789abcdef0123", "secret_key": "s" * 48}
    remember(home.root / "s3" / "service.json", keys | {"ports": {}, "jwt_key": "j" * 48})
    (home.run / "known-keys").write_text(known["api_key"])
    with started(Postgres(home.root / "postgres")) as server:
        upgrade(server.url, "0011")
        with psycopg.connect(server.url) as connection:
            connection.execute(
                "INSERT INTO api_keys (id, name, kind, sha256) VALUES (gen_random_uuid(), 'local', 'both', 'sha')"
            )
            connection.execute("INSERT INTO studies (id, lane_rank, state) VALUES (gen_random_uuid(), 1, 'received')")
        before = {"database_url": server.url, **keys}
    return before | {name: known[name] for name in ("webhook_token", "flower_password", "api_key")}


@pytest.mark.long
def test_a_stack_of_the_version_before_roles_keeps_its_keys_passwords_and_rows(
    start: Callable[..., Stack], former: dict[str, Any]
) -> None:
    stack = start(XRAYGPT_STANDIN_MIGRATES="1").wait_until_ready()
    now = stack.file
    names = {"access_key": "s3_access_key", "secret_key": "s3_secret_key"}
    assert {name: now[names.get(name, name)] for name in former} == former
    with psycopg.connect(now["database_url"]) as owner:
        assert owner.execute("SELECT name, kind FROM api_keys").fetchall() == [("local", "both")]
        assert owner.execute("SELECT count(*) FROM studies").fetchone() == (1,)
        assert owner.execute("SELECT version_num FROM alembic_version").fetchone() == (SCHEMA_VERSION,)
    environment = Path(f"/proc/{stack.pids['ingest']}/environ").read_text().split("\0")
    (url,) = [one.partition("=")[2] for one in environment if one.startswith("XRAYGPT_DATABASE_URL=")]
    with psycopg.connect(url) as ingest:
        assert ingest.execute("SELECT current_user, count(*) FROM studies").fetchone() == ("xraygpt_ingest", 1)


def test_every_child_that_is_killed_is_started_again(stack: Stack) -> None:
    before = stack.pids
    children = PIDS - {"supervisor"}
    for name in children:
        os.kill(before[name], signal.SIGKILL)
    wait_for(lambda: all(stack.pids[name] not in (None, before[name]) for name in children))
    assert stack.pids["supervisor"] == before["supervisor"]
    with psycopg.connect(stack.file["database_url"]) as connection:
        connection.execute("SELECT 1")


def test_a_killed_supervisor_takes_its_children_along_and_up_recovers(start: Callable[..., Stack]) -> None:
    first = start().wait_until_ready()
    with psycopg.connect(first.file["database_url"], autocommit=True) as connection:
        connection.execute("CREATE TABLE kept (n int)")
    pids = first.pids
    first.process.kill()
    first.process.wait()
    wait_for(lambda: not any(is_alive(pid) for pid in pids.values()))
    assert first.home.stack_file.exists()
    second = start().wait_until_ready()
    with psycopg.connect(second.file["database_url"]) as connection:
        connection.execute("SELECT n FROM kept")


def test_a_second_supervisor_is_refused_in_one_sentence(stack: Stack) -> None:
    second = Stack(stack.home.root)
    error = second.process.communicate(timeout=200)[1]
    assert second.process.returncode == 1
    assert error == f"error: a stack already runs in {stack.home.root} (process {stack.process.pid})\n"
    assert is_alive(stack.pids["gateway"])


def test_what_does_not_start_is_named_with_its_log_and_nothing_stays(
    start: Callable[..., Stack], external: dict[str, str], tmp_path: Path
) -> None:
    stack = start({"gateway": "broken"}, **external)
    error = stack.process.communicate(timeout=200)[1]
    log = tmp_path / "home" / "logs" / "gateway.log"
    assert error == f"error: gateway ended with exit code 3 while starting; see {log}\n"
    assert stack.process.returncode == 1
    assert still_using(tmp_path / "home") == []


def test_a_queue_of_events_gets_its_poller(start: Callable[..., Stack], external: dict[str, str]) -> None:
    stack = start(**external, XRAYGPT_SQS_QUEUE_URL="http://127.0.0.1:1/queue").wait_until_ready()
    assert set(stack.pids) == PIDS | {"events"}


def test_a_stranger_on_the_gateways_port_is_not_taken_for_the_gateway(
    start: Callable[..., Stack], external: dict[str, str]
) -> None:
    stack = start({"gateway": "stranger"}, **external)
    assert "gateway ended with exit code 3 while starting" in stack.process.communicate(timeout=200)[1]


def test_a_given_port_that_is_taken_is_said_to_be(start: Callable[..., Stack], external: dict[str, str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        stack = start(**external, XRAYGPT_GATEWAY_PORT=str(port))
        assert (
            f"error: another program listens on port {port} of 127.0.0.1" in stack.process.communicate(timeout=200)[1]
        )
    assert stack.process.returncode == 1


def test_a_child_that_keeps_ending_is_tried_ever_more_slowly(
    start: Callable[..., Stack], external: dict[str, str]
) -> None:
    stack = start({"flower": "broken"}, **external).wait_until_ready()
    assert stack.process.stdout is not None
    wait_for(lambda: processes(stack.file)["flower"]["state"] == "restarting")
    ends = [line for line, _ in zip(stack.process.stdout, range(2), strict=False)]
    assert ends == ["flower ended with exit code 3; it starts again\n"] * 2


def test_external_services_are_used_and_not_started(start: Callable[..., Stack], external: dict[str, str]) -> None:
    stack = start(**external).wait_until_ready()
    states = {name: one["state"] for name, one in processes(stack.file).items()}
    assert [name for name, state in states.items() if state == "external"] == ["postgres", "broker", "s3"]
    assert {"their-films", "our-images"} <= buckets(stack.file)
    assert stack.file["database_url"] == external["XRAYGPT_DATABASE_URL"]
    assert stack.file["redis_url"] == external["XRAYGPT_REDIS_URL"]
    with psycopg.connect(stack.file["reader_url"]) as reader:
        assert reader.execute("SELECT current_user").fetchone() == ("xraygpt_reader",)


def test_a_key_another_database_does_not_know_is_replaced(
    start: Callable[..., Stack], external: dict[str, str], tmp_path: Path
) -> None:
    first = start(**external).wait_until_ready()
    key = first.file["api_key"]
    first.end()
    (tmp_path / "home" / "run" / "known-keys").unlink()
    second = start(**external).wait_until_ready()
    assert second.file["api_key"] != key
