"""The shell scripts beside docker-compose.yml."""

import os
import re
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.support.compose_file import OURS

DEPLOY = Path(__file__).parents[3] / "deploy"
URLS = {"database_url": "owner_password", "reader_url": "reader_password", "redis_url": "redis_password"}


def run(script: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """One of our scripts, with nothing in its environment but what is given."""
    return subprocess.run(
        ["sh", str(DEPLOY / script), *arguments],
        env={"PATH": os.environ["PATH"], **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )


@pytest.fixture
def secrets(tmp_path: Path) -> Path:
    """The secrets of a new installation."""
    done = run("make-secrets.sh", str(tmp_path / "secrets"))
    assert done.returncode == 0, done.stderr
    return tmp_path / "secrets"


def test_every_secret_of_the_compose_file_is_made(secrets: Path, compose: dict[str, Any]) -> None:
    wanted = {Path(secret["file"]).name for secret in compose["secrets"].values()}
    assert {path.name for path in secrets.iterdir()} == wanted


def test_secrets_are_their_owners_alone(secrets: Path, compose: dict[str, Any]) -> None:
    assert stat.S_IMODE(secrets.stat().st_mode) == 0o700
    theirs = {
        one if isinstance(one, str) else one["source"]
        for name in set(compose["services"]) - OURS
        for one in compose["services"][name]["secrets"]
    }
    for path in secrets.iterdir():  # behind the directory's 0700: images of others run as users of their own
        assert stat.S_IMODE(path.stat().st_mode) == (0o444 if path.name in theirs else 0o600), path.name


def test_containers_run_as_the_owner_of_the_secrets(tmp_path: Path) -> None:
    done = run("make-secrets.sh", str(tmp_path / "secrets"))
    (line,) = done.stdout.split()
    owner = (tmp_path / "secrets" / "hmac.key").stat()
    assert line == f"RUN_AS={owner.st_uid}:{owner.st_gid}"
    assert owner.st_uid != 0


def test_the_key_is_one_the_system_takes(secrets: Path) -> None:
    assert re.fullmatch("[0-9a-f]{64}", (secrets / "hmac.key").read_text())


def test_no_two_secrets_are_equal(secrets: Path) -> None:
    values = [path.read_text() for path in secrets.iterdir()]
    assert len(set(values)) == len(values)


@pytest.mark.parametrize(("url", "password"), URLS.items())
def test_a_url_holds_the_password_its_server_is_given(secrets: Path, url: str, password: str) -> None:
    assert f":{(secrets / password).read_text()}@" in (secrets / url).read_text()


def test_urls_lead_to_the_services_of_the_compose_file(secrets: Path, services: dict[str, Any]) -> None:
    for url in URLS:
        host = re.search(r"@(\w+):\d+/", (secrets / url).read_text())
        assert host is not None
        assert host[1] in services


def test_a_second_run_changes_nothing(secrets: Path) -> None:
    before = {path.name: path.read_text() for path in secrets.iterdir()}
    done = run("make-secrets.sh", str(secrets))
    assert {path.name: path.read_text() for path in secrets.iterdir()} == before
    assert "back it up" not in done.stderr


def test_the_first_run_says_that_the_key_is_to_be_backed_up(tmp_path: Path) -> None:
    assert "back it up now" in run("make-secrets.sh", str(tmp_path / "secrets")).stderr


def test_secrets_named_like_settings_become_settings(tmp_path: Path) -> None:
    (tmp_path / "XRAYGPT_DATABASE_URL").write_text("postgresql://a:b@c/d\n")
    (tmp_path / "hmac.key").write_text("not exported")
    done = run("entrypoint.sh", "env", SECRETS=str(tmp_path))
    assert "XRAYGPT_DATABASE_URL=postgresql://a:b@c/d" in done.stdout.splitlines()
    assert "not exported" not in done.stdout


def test_a_value_is_taken_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "XRAYGPT_FLOWER_PASSWORD").write_text("a b$(id) 'c' \"d\" `e` \\f")
    done = run("entrypoint.sh", "printenv", "XRAYGPT_FLOWER_PASSWORD", SECRETS=str(tmp_path))
    assert done.stdout == "a b$(id) 'c' \"d\" `e` \\f\n"


def test_the_command_runs_without_any_secret(tmp_path: Path) -> None:
    assert run("entrypoint.sh", "echo", "two words", SECRETS=str(tmp_path)).stdout == "two words\n"


def test_the_exit_code_is_the_commands_own(tmp_path: Path) -> None:
    assert run("entrypoint.sh", "sh", "-c", "exit 75", SECRETS=str(tmp_path)).returncode == 75


def test_a_secret_that_cannot_be_read_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "XRAYGPT_REDIS_URL").mkdir()
    done = run("entrypoint.sh", "echo", "started", SECRETS=str(tmp_path))
    assert done.returncode != 0
    assert done.stdout == ""


def test_the_brokers_password_is_no_argument(tmp_path: Path) -> None:
    (tmp_path / "redis_password").write_text("sesame")
    done = run("broker.sh", "sh", "-c", 'echo "arguments: $*"; cat', "server", SECRETS=str(tmp_path))
    first, *configuration = done.stdout.splitlines()
    assert first == "arguments: -"
    assert "requirepass sesame" in configuration
    assert "maxmemory-policy noeviction" in configuration
