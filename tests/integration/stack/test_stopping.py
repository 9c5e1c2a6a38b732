"""How a stack ends: in order, with its work handed back, and with nothing left behind."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from tests.support.database_roles import url_as
from tests.support.lock import hanging
from tests.support.supervised_stack import Stack, still_using, wait_for
from tests.support.worker_bench import Bench
from xraygpt.stack.launch import is_alive, stop
from xraygpt.stack.servers.database_logins import setting_of
from xraygpt.stack.settings.home import holder
from xraygpt_core.logins import PROCESSES


def test_down_and_up_again_keeps_data_ports_keys_and_password(start: Callable[..., Stack]) -> None:
    first = start().wait_until_ready()
    before = first.file
    with psycopg.connect(before["database_url"], autocommit=True) as connection:
        connection.execute("CREATE TABLE kept (n int)")
    key = first.home.hmac_key_file.read_text()
    assert stop(first.home)
    assert not stop(first.home)
    assert not first.home.stack_file.exists()
    second = start().wait_until_ready()
    changing = ("pids", "started_at")
    assert {name: value for name, value in second.file.items() if name not in changing} == {
        name: value for name, value in before.items() if name not in changing
    }
    assert second.home.hmac_key_file.read_text() == key
    assert not any("back it up" in line for line in second.said)
    with psycopg.connect(second.file["database_url"]) as connection:
        connection.execute("SELECT n FROM kept")


def test_ctrl_c_stops_everything(start: Callable[..., Stack]) -> None:
    stack = start().wait_until_ready()
    pids = stack.pids
    os.killpg(stack.process.pid, signal.SIGINT)  # as the terminal does
    assert stack.process.wait(200) == 0
    assert not any(is_alive(pid) for pid in pids.values())
    assert holder(stack.home) is None


def test_ctrl_c_while_it_starts_stops_everything(
    start: Callable[..., Stack], external: dict[str, str], tmp_path: Path
) -> None:
    stack = start({"gateway": "worker"}, **external)  # never ready
    home = tmp_path / "home"
    wait_for(lambda: (home / "logs" / "flower.log").exists())
    stack.process.send_signal(signal.SIGINT)
    assert stack.process.wait(200) == 0
    assert still_using(home) == []


def test_a_stubborn_child_is_killed_at_the_end(start: Callable[..., Stack], external: dict[str, str]) -> None:
    at_once = {"XRAYGPT_DRAIN_SECONDS": "0", "XRAYGPT_STANDIN_MARGIN_SECONDS": "0.5"}
    stack = start({"ingest": "stubborn"}, **external, **at_once).wait_until_ready()
    pid = stack.pids["ingest"]
    stack.end()
    assert not is_alive(pid)


NO_LOCK_TIMEOUT = "?options=-c%20lock_timeout%3D0"  # a job that waits for a lock waits for ever


def on(bench: Bench) -> dict[str, str]:
    """Settings that put a stack on the services of a bench, with the roles its database has already."""
    settings, url = bench.settings, bench.settings.database_url.get_secret_value()
    assert settings.s3_access_key
    assert settings.s3_secret_key
    return {
        "XRAYGPT_DATABASE_URL": url,
        "XRAYGPT_READER_URL": url,
        **{setting_of(process): f"{url_as(process, url)}{NO_LOCK_TIMEOUT}" for process in PROCESSES},
        "XRAYGPT_REDIS_URL": settings.redis_url.get_secret_value(),
        "XRAYGPT_S3_ENDPOINT_URL": str(settings.s3_endpoint_url),
        "XRAYGPT_S3_ACCESS_KEY": settings.s3_access_key.get_secret_value(),
        "XRAYGPT_S3_SECRET_KEY": settings.s3_secret_key.get_secret_value(),
        "XRAYGPT_BUCKET": settings.bucket,
        "XRAYGPT_DERIVED_BUCKET": settings.derived_bucket,
    }


@pytest.mark.long
def test_a_worker_that_cannot_finish_hands_its_job_back_when_the_stack_stops(
    start: Callable[..., Stack], bench: Bench, film: Callable[..., bytes]
) -> None:
    """However long XRAYGPT_DRAIN_SECONDS is: the supervisor waits longer than its workers do."""
    bench.register("incoming/one.dcm", film(1))
    with hanging(bench):
        stack = start({"ingest": "product"}, **on(bench), XRAYGPT_DRAIN_SECONDS="21").wait_until_ready()
        bench.until("SELECT state FROM jobs", "running", "the job is held")
        assert stop(stack.home)
    assert bench.rows("SELECT state, attempts FROM jobs") == [{"state": "queued", "attempts": 0}]
