"""What prepares external services for the containers, and how a container is given its secrets."""

import contextlib
import importlib.util
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import psycopg
import pytest

from tests.support.keys import HMAC_KEY
from tests.support.s3_tools import s3_client
from xraygpt.stack.servers.postgres import Postgres
from xraygpt.stack.servers.s3 import ObjectServer

ONCE = {"total_max_attempts": 1}
DEPLOY = Path(__file__).parents[3] / "deploy"


@pytest.fixture
def prepare() -> ModuleType:
    """deploy/prepare.py, which is a script and no package."""
    spec = importlib.util.spec_from_file_location("deploy_prepare", DEPLOY / "prepare.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def environment(
    postgres: Postgres, database_url: str, redis_url: str, object_server: ObjectServer
) -> Iterator[dict[str, str]]:
    yield {
        "XRAYGPT_DATABASE_URL": database_url,
        "XRAYGPT_REDIS_URL": redis_url,
        "XRAYGPT_S3_ENDPOINT_URL": object_server.url,
        "XRAYGPT_S3_ACCESS_KEY": object_server.access_key,
        "XRAYGPT_S3_SECRET_KEY": object_server.secret_key,
        "XRAYGPT_BUCKET": "prepared-source",
        "XRAYGPT_DERIVED_BUCKET": "prepared-derived",
    }
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        connection.execute("ALTER ROLE xraygpt_reader NOLOGIN PASSWORD NULL")  # roles belong to all databases


def test_prepare_makes_buckets_and_lets_analysts_in_as_often_as_it_runs(
    prepare: ModuleType, environment: dict[str, str], object_server: ObjectServer
) -> None:
    for _ in range(2):
        assert prepare.prepare(environment, {"xraygpt_reader": "sesame", "xraygpt_nobody": "x"}) == ["xraygpt_nobody"]
    client = s3_client(object_server.url, object_server.access_key, object_server.secret_key, retries=ONCE)
    with contextlib.closing(client):
        for bucket in ("prepared-source", "prepared-derived"):
            client.head_bucket(Bucket=bucket)
    where = psycopg.conninfo.conninfo_to_dict(environment["XRAYGPT_DATABASE_URL"])
    reader = psycopg.conninfo.make_conninfo("", **{**where, "user": "xraygpt_reader", "password": "sesame"})
    with psycopg.connect(reader) as connection:
        assert connection.execute("SELECT count(*) FROM study_summaries").fetchone() == (0,)


def test_prepare_says_in_a_sentence_what_is_missing(
    prepare: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in prepare.EXTERNAL:
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "password").write_text("sesame")
    assert prepare.main([str(tmp_path / "password")]) == 1
    assert capsys.readouterr().err == (
        "prepare: XRAYGPT_DATABASE_URL, XRAYGPT_REDIS_URL, XRAYGPT_S3_ENDPOINT_URL must be set\n"
    )


def test_a_container_that_is_given_secrets_as_files_migrates_and_makes_a_key(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    secrets = tmp_path / "run"
    secrets.mkdir()
    for name in ("XRAYGPT_DATABASE_URL", "XRAYGPT_REDIS_URL", "XRAYGPT_S3_ACCESS_KEY", "XRAYGPT_S3_SECRET_KEY"):
        (secrets / name).write_text(environment.pop(name) + "\n")
    key = secrets / "hmac.key"
    key.write_text(HMAC_KEY)
    key.chmod(0o600)
    given = environment | {"SECRETS": str(secrets), "XRAYGPT_HMAC_KEY_FILE": str(key)}

    def run(*command: str) -> str:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("XRAYGPT_")}
        entrypoint = ["sh", str(DEPLOY / "entrypoint.sh"), sys.executable, "-m", *command]
        done = subprocess.run(entrypoint, env=inherited | given, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    run("migrations")
    assert run("api_gateway", "create-key", "--name", "ward-3").startswith("xgpt_")
