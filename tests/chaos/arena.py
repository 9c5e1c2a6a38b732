"""The whole system with hollow workers, a hospital that uploads, and faults to choose from.

Everything that is asserted is read from the database and the bucket; what the processes say about themselves is not
asked.
"""

import json
import os
import random
import re
import signal
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import psycopg
from psycopg.rows import dict_row

from tests.chaos.connections import ports_of, unread
from tests.chaos.faulty_s3 import FaultyS3
from tests.support.database_roles import url_as
from tests.support.invariants import check_bucket, check_invariants
from xraygpt.stack.processes.child import Child
from xraygpt.stack.servers.broker import Broker
from xraygpt.stack.servers.postgres import Postgres
from xraygpt_core.ledger.transaction import Ledger, open_ledger
from xraygpt_core.settings import Settings

LEASE_SECONDS = 3.0
LIMIT_SECONDS = LEASE_SECONDS + 5
TOKEN = "chaos"
HERE = Path(__file__).parents[2]
HOLLOW = [sys.executable, "-m", "tests.chaos.null_worker"]
COMMANDS = {
    "gateway": [sys.executable, "-m", "api_gateway"],
    "ingest-1": [*HOLLOW, "ingest"],
    "ingest-2": [*HOLLOW, "ingest"],
    "gpu-1": [*HOLLOW, "gpu"],
    "gpu-2": [*HOLLOW, "gpu"],
    "control-1": [*HOLLOW, "control"],
    "control-2": [*HOLLOW, "control"],
}

OPEN_JOBS = "SELECT id, lease_epoch FROM jobs WHERE state IN ('queued', 'running')"
UNFINISHED = "SELECT count(*) AS n FROM jobs WHERE state IN ('queued', 'running')"
THEIRS = "SELECT pid, state, state_change FROM pg_stat_activity WHERE client_port = ANY(%s) ORDER BY pid"
STILL_OPEN = "SELECT count(*) AS n FROM jobs WHERE state IN ('queued', 'running') AND id = ANY(%s)"


@dataclass
class Arena:
    """One system under test. Processes and rows stay from test to test; the invariants are about all of them."""

    directory: Path
    postgres: Postgres
    broker: Broker
    bucket_proxy: FaultyS3
    settings: dict[str, str]
    s3: Any
    children: dict[str, Child] = field(default_factory=dict)
    recoveries: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    uploaded: int = 0
    read: set[str] = field(default_factory=set)
    database: psycopg.Connection[dict[str, Any]] | None = None
    http: httpx.Client = field(default_factory=lambda: httpx.Client(timeout=10, trust_env=False))

    @property
    def bucket(self) -> str:
        return self.settings["XRAYGPT_BUCKET"]

    @property
    def gateway_url(self) -> str:
        return f"http://127.0.0.1:{self.settings['XRAYGPT_GATEWAY_PORT']}"

    # Processes ---------------------------------------------------------------------------------------------------

    def start(self, name: str, **environment: str) -> Child:
        """Start one process, or start it again. At the database each is the role it is in the product."""
        role = {"XRAYGPT_DATABASE_URL": url_as(name.partition("-")[0], self.settings["XRAYGPT_DATABASE_URL"])}
        child = Child(
            name,
            COMMANDS[name],
            log=self.directory / f"{name}.log",
            directory=HERE,
            environment=os.environ | self.settings | role | environment,
        )
        child.start()
        self.children[name] = child
        return child

    def start_all(self) -> None:
        """Start what does not run, and wait for the gateway."""
        for name in COMMANDS:
            if name not in self.children:
                self.start(name)
        self.wait_until(self.gateway_answers, "the gateway answers")

    def tend(self) -> None:
        """Start again what has ended, as a supervisor does: a worker may leave when its broker does."""
        for child in self.children.values():
            if not child.running:
                child.start()

    def kill(self, name: str, **environment: str) -> None:
        """SIGKILL, and a new one in its place."""
        self.children[name].send(signal.SIGKILL)
        assert self.children[name].wait(60)
        self.start(name, **environment)

    def freeze(self, name: str) -> None:
        """SIGSTOP, and wait until the database has done what it was told before: from here on nothing changes."""
        child = self.children[name]
        child.send(signal.SIGSTOP)
        os.waitid(os.P_PID, child.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)  # every thread of it stands still
        server, clients = urlsplit(self.postgres.url).port or 0, ports_of(child.pid)
        seen: list[Any] = []

        def calm() -> bool:
            before, waits = list(seen), unread(server, clients)
            seen[:] = self.rows(THEIRS, clients)
            return not waits and seen == before and all(one["state"] != "active" for one in seen)

        self.wait_until(calm, f"the database has done what {name} told it")

    def log(self, name: str) -> str:
        return (self.directory / f"{name}.log").read_text()

    def gateway_answers(self) -> bool:
        try:
            return self.http.get(f"{self.gateway_url}/readyz").is_success
        except httpx.TransportError:
            return False

    # The hospital ------------------------------------------------------------------------------------------------

    def upload(self, count: int) -> list[dict[str, Any]]:
        """Put so many new objects into the bucket; the event of each."""
        first, self.uploaded = self.uploaded, self.uploaded + count
        return [self.put(f"films/{number:06d}.dcm", b"film %d" % number) for number in range(first, first + count)]

    def put(self, key: str, data: bytes) -> dict[str, Any]:
        """Put one object; its event as Amazon S3 would tell it."""
        etag = self.s3.put_object(Bucket=self.bucket, Key=key, Body=data)["ETag"].strip('"')
        item = {"key": key, "eTag": etag, "sequencer": f"{time.time_ns():016X}"}
        return {
            "eventVersion": "2.1",
            "eventName": "ObjectCreated:Put",
            "s3": {"bucket": {"name": self.bucket}, "object": item},
        }

    def tell(self, events: Sequence[dict[str, Any]], *, lane: str = "routine") -> None:
        """Deliver events as a bucket does: again and again until the gateway has taken them."""
        for start in range(0, len(events), 20):
            body = json.dumps({"Records": events[start : start + 20]}).encode()
            self.wait_until(lambda body=body: self._told(body, lane), "the gateway takes the event")

    def _told(self, body: bytes, lane: str) -> bool:
        try:
            answer = self.http.post(
                f"{self.gateway_url}/v1/events/s3?lane={lane}",
                content=body,
                headers={"Authorization": f"Bearer {TOKEN}"},
            )
        except httpx.TransportError:
            return False
        assert answer.status_code in {202, 500, 503}, answer.text
        return answer.status_code == 202

    def load(self, count: int) -> None:
        """Upload and tell, each event twice and in any order."""
        events = self.upload(count) * 2
        random.shuffle(events)
        self.tell(events)

    # What the database says --------------------------------------------------------------------------------------

    def rows(self, sql: str, *values: Any) -> list[dict[str, Any]]:
        """On a connection that is kept while it lasts: a new one for each look costs more than what it looks at."""
        kept = self.database
        if kept is not None:
            try:
                return kept.execute(sql, values or None).fetchall()  # type: ignore[arg-type]
            except psycopg.OperationalError:  # the server was killed or dropped it
                kept.close()
                self.database = None
        url = self.postgres.url
        self.database = psycopg.connect(url, connect_timeout=30, row_factory=dict_row, autocommit=True)
        return self.database.execute(sql, values or None).fetchall()  # type: ignore[arg-type]

    def value(self, sql: str, *values: Any) -> Any:
        (row,) = self.rows(sql, *values)
        (value,) = row.values()
        return value

    def wait_until(self, true: Callable[[], bool], what: str, seconds: float = 180.0) -> float:
        """How long it took until this was true."""
        began = time.monotonic()
        while True:
            self.tend()
            try:
                if true():
                    return time.monotonic() - began
            except psycopg.OperationalError:  # it was killed; that is what this is about
                pass
            if time.monotonic() - began > seconds:
                raise AssertionError(f"not within {seconds:g} seconds: {what}\n{self.told()}")
            time.sleep(0.05)

    def told(self) -> str:
        """What a failing test shows: open work, and the ends of the logs."""
        logs = "\n".join(f"== {name}\n{self.log(name)[-2500:]}" for name in self.children)
        try:
            left = self.rows("SELECT kind, state, attempts, lease_until, not_before, last_error FROM jobs "
                             "WHERE state IN ('queued', 'running', 'dead') LIMIT 20")  # fmt: skip
        except psycopg.OperationalError as error:
            left = [{"database": str(error)}]
        return f"{left}\n{logs}"

    def ready(self, name: str) -> bool:
        """Has this process begun to ask for work?"""
        return re.search(rf"-{self.children[name].pid}@\S+ ready\.", self.log(name)) is not None

    def held(self, name: str) -> list[Any]:
        """The ids of the jobs that this process holds now: a lease may have run out while the machine stood still."""
        holder = f"%-{self.children[name].pid}@%"
        held = "state = 'running' AND lease_until > clock_timestamp() AND claimed_by LIKE %s"
        return [row["id"] for row in self.rows(f"SELECT id FROM jobs WHERE {held}", holder)]

    def busy(self, name: str) -> bool:
        return bool(self.held(name))

    def make_busy(self, name: str, count: int) -> None:
        """Give work until this process holds some of it: while it starts, or is slow, the others may take it all."""
        self.wait_until(lambda: self.ready(name), f"{name} has started")
        self.wait_until(lambda: self._takes_some(name, count), f"{name} holds a job")

    def _takes_some(self, name: str, count: int) -> bool:
        self.load(count)
        deadline = time.monotonic() + 180
        while self.value(UNFINISHED):
            if self.busy(name):
                return True
            self.tend()
            assert time.monotonic() < deadline, f"neither does {name} hold a job nor is all done\n{self.told()}"
            time.sleep(0.01)
        return False

    @contextmanager
    def ledger(self) -> Iterator[Ledger]:
        """The ledger, for what a process of ours would do."""
        names = {name.removeprefix("XRAYGPT_").lower(): value for name, value in self.settings.items()}
        opened = open_ledger(Settings(**names))  # type: ignore[arg-type]  # parsed like the environment
        try:
            yield opened
        finally:
            opened.close()

    @contextmanager
    def recovering(self, fault: str) -> Iterator[None]:
        """After the fault, which is over when the block ends, every job that was open is done within the limit."""
        yield
        caught: list[Any] = []

        def look() -> bool:
            caught[:] = [row["id"] for row in self.rows(OPEN_JOBS)]
            return True

        took = self.wait_until(look, "the database answers")
        took += self.wait_until(lambda: self.value(STILL_OPEN, caught) == 0, f"recovered from {fault}")
        self.recoveries[fault].append(took)

    def settle_down(self) -> dict[str, int]:
        """Wait until nothing is open; then the invariants hold, for the database and for the bucket."""
        self.wait_until(lambda: self.value(UNFINISHED) == 0, "nothing is open")
        with psycopg.connect(self.postgres.url) as connection:
            counts = check_invariants(connection, finished=True)
            check_bucket(connection, self.s3, self.bucket, self.settings["XRAYGPT_DERIVED_BUCKET"], self.read)
        assert counts["dead"] == 0
        return counts

    def stop(self) -> None:
        self.http.close()
        if self.database is not None:
            self.database.close()
        for child in self.children.values():
            child.send(signal.SIGCONT)
            child.stop(signal.SIGKILL)
