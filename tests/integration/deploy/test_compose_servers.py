"""The servers of docker-compose.yml and what runs before all else, as processes in a container's place.

The short form of test_compose_as_processes.py.
"""

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.support.compose_engine import Engine, lacking, open_for_all
from tests.support.compose_file import ROOT, load
from tests.support.compose_plan import Plan
from tests.support.s3_tools import s3_client

SERVERS = ("postgres", "redis", "s3")
PROCESSES = ("gateway", "ingest", "gpu", "training", "control", "events")


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    directory = tmp_path_factory.mktemp("compose")
    if why := lacking(tmp_path_factory.mktemp("tried")):
        pytest.skip(why)
    open_for_all(directory)
    script = ["sh", str(ROOT / "deploy/make-secrets.sh"), str(directory / "secrets")]
    subprocess.run(script, check=True, capture_output=True)
    engine = Engine(Plan(directory, load("docker-compose.yml"), directory / "secrets", {}))
    try:
        for name in SERVERS:
            engine.up(name)
        for name in SERVERS:
            engine.until_healthy(name)
        yield engine
    finally:
        engine.close()


@pytest.fixture(scope="module")
def prepared(engine: Engine) -> Engine:
    for name in ("migrate", "prepare"):
        done = engine.run(name)
        assert engine.ended[name] == 0, done.output()
    return engine


def url(engine: Engine, name: str) -> str:
    """An address as our containers are given it, for who knows the server by its own network alone."""
    return (engine.plan.secrets / name).read_text().replace("@postgres:", "@127.0.0.1:")


def test_the_owner_of_the_database_is_no_superuser(prepared: Engine) -> None:
    with prepared.on_the_network_of("postgres"), psycopg.connect(url(prepared, "database_url")) as connection:
        rights = "SELECT rolsuper, rolcreaterole FROM pg_roles WHERE rolname = current_user"
        assert connection.execute(rights).fetchone() == (False, True)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("COPY (SELECT 1) TO '/tmp/out'")


@pytest.mark.parametrize("process", PROCESSES)
def test_each_process_is_let_into_the_database_under_its_own_name(prepared: Engine, process: str) -> None:
    with (
        prepared.on_the_network_of("postgres"),
        psycopg.connect(url(prepared, f"{process}_database_url")) as connection,
    ):
        assert connection.execute("SELECT current_user").fetchone() == (f"xraygpt_{process}",)


def test_the_buckets_are_there_and_a_process_sees_them_with_its_own_keys(prepared: Engine) -> None:
    for identity in ("gateway", "control"):
        keys = [(prepared.plan.secrets / f"s3_{identity}_{part}").read_text() for part in ("access_key", "secret_key")]
        with prepared.on_the_network_of("s3"), contextlib.closing(s3_client("http://127.0.0.1:8333", *keys)) as client:
            for bucket in ("xraygpt-source", "xraygpt-derived"):
                client.head_bucket(Bucket=bucket)


@pytest.mark.parametrize("name", SERVERS)
def test_a_server_is_its_user_may_nothing_and_writes_nowhere(engine: Engine, name: str) -> None:
    status = engine.exec(name, ["cat", "/proc/1/status"]).stdout
    facts = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert facts["Uid"].split() == [engine.services[name]["user"].partition(":")[0]] * 4
    assert {facts[one] for one in ("CapEff", "CapPrm", "CapBnd", "CapInh")} == {"0" * 16}
    assert facts["NoNewPrivs"] == "1"
    for folder in ("/", "/etc", "/usr/local/bin", "/run/secrets"):
        assert engine.exec(name, ["touch", f"{folder}/written"]).returncode != 0, folder


@pytest.mark.parametrize(("name", "server"), [("redis", "postgres"), ("s3", "postgres"), ("postgres", "s3")])
def test_a_server_does_not_reach_another(engine: Engine, name: str, server: str) -> None:
    (network,) = engine.services[server]["networks"]
    assert not engine.reaches(name, server, network, {"postgres": 5432, "s3": 8333}[server])


@pytest.mark.parametrize("name", ["postgres", "redis"])
def test_a_server_ends_by_its_signal_and_finds_its_volume_again(engine: Engine, name: str) -> None:
    engine.stop(name)
    assert engine.ended[name] == 0
    engine.up(name)
    engine.until_healthy(name)


def test_no_password_is_in_an_argument_or_in_a_log(engine: Engine) -> None:
    values = [file.read_text() for file in Path(engine.plan.secrets).iterdir()]
    for name in SERVERS:
        shown = engine.exec(name, ["sh", "-c", "cat /proc/[0-9]*/cmdline"]).stdout + engine.running[name].output()
        assert not [value for value in values if value in shown], name
