"""A query has a process of its own: whatever it costs, the gateway goes on, and the process is gone afterwards."""

import asyncio
import json
import resource
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from api_gateway import query as route
from xraygpt.stack.servers.postgres import Postgres
from xraygpt_core.analyst_sql.rows import TOO_WIDE

World = Any

pytestmark = pytest.mark.usefixtures("analysts")


def ask(world: World, sql: str) -> Any:
    return world.client.post("/v1/query", json={"sql": sql})


def children() -> set[int]:
    """Processes that this one has started."""
    found = Path(f"/proc/self/task/{threading.get_native_id()}/children").read_text().split()
    for task in Path("/proc/self/task").iterdir():
        found += (task / "children").read_text().split()
    return set(map(int, found))


def readers(postgres: Postgres) -> int:
    with psycopg.connect(postgres.url) as connection:
        row = connection.execute("SELECT count(*) FROM pg_stat_activity WHERE usename = 'xraygpt_reader'").fetchone()
    assert row is not None
    return int(row[0])


# The same process with a quarter of the room, so that a row of a quarter of the size is too wide for it.
_SMALL = "import xraygpt_core.analyst_sql.child as child; child.MEMORY_BYTES = 64 << 20; child.main()"


@pytest.mark.parametrize("sql", ["SELECT repeat('x', 50000000)", "SELECT array_fill('x'::text, ARRAY[3000000])"])
def test_one_wide_row_ends_as_an_error_and_costs_the_gateway_nothing(
    shared: World, monkeypatch: pytest.MonkeyPatch, sql: str
) -> None:
    monkeypatch.setattr(route, "COMMAND", (route.COMMAND[0], "-c", _SMALL))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    answer = ask(shared, sql)
    assert (answer.status_code, answer.json()["detail"]) == (422, TOO_WIDE)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 8 << 10, "KiB"


@pytest.mark.long
@pytest.mark.parametrize("size", [200_000_000, 900_000_000])
def test_no_row_is_wide_enough(shared: World, size: int) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert ask(shared, f"SELECT repeat('x', {size})").status_code == 422
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 8 << 10, "KiB"


def test_an_answer_as_large_as_it_may_be_arrives(shared: World) -> None:
    answer = ask(shared, "SELECT repeat('x', 1000000) AS wide FROM generate_series(1, 40)")
    assert answer.status_code == 200
    result = answer.json()
    assert (result["columns"], result["truncated"], len(result["rows"])) == (["wide"], True, 33)


def test_half_a_row_too_many_is_an_answer_without_rows(shared: World) -> None:
    result = ask(shared, "SELECT repeat('x', 40000000)").json()
    assert (result["rows"], result["truncated"]) == ([], True)


def test_its_process_is_gone_when_it_is_answered(shared: World) -> None:
    before = children()
    answer = {"columns": ["?column?"], "types": ["integer"], "truncated": False, "rows": [[1]]}
    assert ask(shared, "SELECT 1").json() == answer
    assert ask(shared, "SELEKT").status_code == 422
    assert children() <= before


def test_it_is_told_the_readers_address_and_no_secret(shared: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XRAYGPT_DATABASE_URL", "postgresql://xraygpt:secret@127.0.0.1/xraygpt")
    monkeypatch.setenv("XRAYGPT_HMAC_KEY", "5" * 64)
    said = "{'columns': [sys.stdin.read(), *os.environ.values()], 'types': [], 'truncated': 1}"
    script = f"import json, os, sys; print(json.dumps({said}))"
    monkeypatch.setattr(route, "COMMAND", (route.COMMAND[0], "-c", script))
    given = ask(shared, "SELECT 1").text
    assert "xraygpt_reader" in given
    for secret in (
        "postgresql://xraygpt:",
        "5" * 64,
        "webhook-token",
        shared.settings.s3_secret_key.get_secret_value(),
    ):
        assert secret not in given


@pytest.mark.parametrize(
    "script",
    ["import os; os.kill(os.getpid(), 11)", "print('no JSON')", "import sys; sys.exit(3)", "print('[1]' * 99)"],
)
def test_a_process_that_breaks_is_the_querys_fault(shared: World, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    monkeypatch.setattr(route, "COMMAND", (route.COMMAND[0], "-c", script))
    answer = ask(shared, "SELECT 1")
    assert answer.status_code == 422
    assert "cost more memory or time" in answer.json()["detail"]


@pytest.mark.parametrize("script", ["import time; time.sleep(60)", "while True: print('x' * 10**7)"])
def test_a_process_that_does_not_end_is_ended(shared: World, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    monkeypatch.setattr(route, "COMMAND", (route.COMMAND[0], "-c", script))
    monkeypatch.setattr(route, "MAX_SECONDS", 0.3)
    monkeypatch.setattr(route, "_START_SECONDS", 0.0)
    before = children()
    assert ask(shared, "SELECT 1").status_code == 422
    assert children() <= before


def test_a_process_that_ends_by_itself_is_not_killed(shared: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A signal asks whether it is gone, and so takes its exit from asyncio, which warns of an unknown child."""
    killed: list[object] = []
    monkeypatch.setattr(asyncio.subprocess.Process, "kill", killed.append)
    assert ask(shared, "SELECT 1").status_code == 200
    assert killed == []


def test_a_process_that_says_all_and_stays_is_ended(shared: World, monkeypatch: pytest.MonkeyPatch) -> None:
    script = "import os, time; print('no JSON', flush=True); os.close(1); time.sleep(60)"
    monkeypatch.setattr(route, "COMMAND", (route.COMMAND[0], "-c", script))
    monkeypatch.setattr(route, "_END_SECONDS", 0.1)
    before = children()
    assert ask(shared, "SELECT 1").status_code == 422
    assert children() <= before


def test_who_hangs_up_ends_his_query(shared: World, postgres: Postgres) -> None:
    """The process is killed, and PostgreSQL notices within a second that nobody reads any more."""

    async def hang_up_after_the_start() -> int:
        async def receive() -> dict[str, Any]:
            while readers(postgres) == 0:
                await asyncio.sleep(0.05)
            return {"type": "http.disconnect"}

        headers = [(name.encode(), value.encode()) for name, value in shared.client.headers.items()]
        sent: list[Any] = []
        bodies: Iterator[dict[str, Any]] = iter(
            [{"type": "http.request", "body": json.dumps({"sql": "SELECT pg_sleep(9)"}).encode(), "more_body": False}]
        )

        async def send(message: Any) -> None:
            sent.append(message)

        async def first_the_body() -> dict[str, Any]:
            return next(bodies, None) or await receive()

        scope = {"type": "http", "method": "POST", "path": "/v1/query", "raw_path": b"/v1/query", "query_string": b""}
        scope |= {"http_version": "1.1", "scheme": "http", "server": ("gateway", 80), "root_path": ""}
        headers.append((b"content-type", b"application/json"))
        await asyncio.wait_for(
            shared.client.app(scope | {"headers": headers, "client": ("192.0.2.1", 1)}, first_the_body, send), 8
        )
        for _ in range(60):
            if readers(postgres) == 0:
                break
            await asyncio.sleep(0.1)
        return readers(postgres)

    assert asyncio.run(hang_up_after_the_start()) == 0


def test_a_server_that_ends_in_the_middle_is_unavailable(shared: World, postgres: Postgres) -> None:
    done = threading.Event()

    def end_it() -> None:
        with postgres._superuser("xraygpt") as cursor:
            while not done.is_set():
                cursor.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE usename = 'xraygpt_reader' AND query LIKE '%FETCH%'"
                )
                done.wait(0.05)

    killer = threading.Thread(target=end_it)
    killer.start()
    try:
        answer = ask(shared, "SELECT pg_sleep(9)")
    finally:
        done.set()
        killer.join()
    assert answer.status_code == 503


def test_what_a_role_may_write_to_the_disk_is_the_statements_fault(shared: World, postgres: Postgres) -> None:
    with postgres._superuser("xraygpt") as cursor:
        cursor.execute("ALTER ROLE xraygpt_reader SET temp_file_limit = '1MB'")
        try:
            answer = ask(shared, "SELECT n FROM generate_series(1, 10000000) n ORDER BY n DESC LIMIT 1 OFFSET 5000000")
        finally:
            cursor.execute("ALTER ROLE xraygpt_reader RESET temp_file_limit")
    assert answer.status_code == 422
    assert "temporary file size exceeds" in answer.json()["detail"]
