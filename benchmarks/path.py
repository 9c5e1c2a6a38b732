"""The whole path of a study, S3 event to summary row, with everything but the pixels and the model in place."""

import http.client
import json
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import count, islice
from urllib.parse import urlsplit

import redis

from benchmarks.cpu import core_seconds
from benchmarks.stack import WEBHOOK_TOKEN, BenchmarkStack, wait_until_quiet
from xraygpt_core.queue import queues_of
from xraygpt_core.states import JobKind

COMMANDS = {
    "gateway": ["api_gateway"],
    "ingest": ["benchmarks.null_worker", "ingest"],
    "gpu": ["benchmarks.null_worker", "gpu"],
    "control": ["workers", "control"],
}
_SENDERS = 8
_numbers = count(1)


@dataclass(frozen=True)
class PathRun:
    """What so many studies took.

    Attributes:
        seconds: from the first event to the last summary.
        core_ms: core-milliseconds per study, by process.
        longest_queue: messages in the longest queue of the broker, looked at ten times a second.
    """

    studies: int
    seconds: float
    core_ms: dict[str, float]
    longest_queue: int

    @property
    def core_ms_per_study(self) -> float:
        return sum(self.core_ms.values())


def warm(running: BenchmarkStack) -> None:
    """Until every process has done its work for a few studies: imports, connections, prepared statements."""
    with running.connect() as connection:
        _send_next(running, 40)
        wait_until_quiet(connection, _SUMMARISED.format(40), 120)


def measure(running: BenchmarkStack, pids: dict[str, int], studies: int) -> PathRun:
    """Send an event per study, wait for the summaries, and see what every process of the stack has spent."""
    with running.connect() as connection:
        row = connection.execute("SELECT count(*) FROM summaries").fetchone()
        there = row[0] if row else 0
        before = core_seconds(pids)
        began = time.monotonic()
        with _watching(running) as longest:
            _send_next(running, studies)
            ended = wait_until_quiet(connection, _SUMMARISED.format(there + studies), 60 + studies / 5)
        after = core_seconds(pids)
    spent = {name: 1000 * (after[name] - before[name]) / studies for name in pids}
    return PathRun(studies, ended - began, spent, max(longest))


_SUMMARISED = "(SELECT count(*) FROM summaries) >= {}"


@contextmanager
def _watching(running: BenchmarkStack) -> Iterator[list[int]]:
    """The length of the longest queue, again and again while the block runs."""
    seen, over = [0], threading.Event()

    def look() -> None:
        with redis.Redis.from_url(running.broker.url) as client:
            while not over.wait(0.1):
                seen.append(max(int(client.llen(name)) for name in queues_of(*JobKind)))

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        yield seen
    finally:
        over.set()
        watcher.join()


def _send_next(running: BenchmarkStack, studies: int) -> None:
    if refused := send(running.gateway_url, list(islice(_numbers, studies))):
        raise RuntimeError(f"the gateway refused {len(refused)} events, the first with status {refused[0]}")


def send(url: str, numbers: Sequence[int], *, repeat: bool = False) -> list[int]:
    """Post an S3 event per study to the gateway, over a few connections as a bucket's webhook does.

    Args:
        repeat: each until the gateway has taken it, as S3 and its queues do.

    Returns:
        The statuses of those that it did not take; 0: no answer.
    """
    bodies, lock = iter([event(number) for number in numbers]), threading.Lock()
    refused: list[int] = []
    sending = (url, bodies, lock, refused, repeat)
    threads = [threading.Thread(target=_post_all, args=sending, daemon=True) for _ in range(_SENDERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return refused


def event(number: int) -> bytes:
    """What S3 says about one new object (Amazon S3 user guide, "Event message structure")."""
    item = {"key": f"film-{number:010d}.dcm", "size": 8 << 20, "eTag": f"{number:032x}", "sequencer": f"{number:016X}"}
    record = {
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "awsRegion": "us-east-1",
        "eventTime": "2026-01-01T00:00:00.000Z",
        "eventName": "ObjectCreated:Put",
        "s3": {"s3SchemaVersion": "1.0", "bucket": {"name": "source"}, "object": item},
    }
    return json.dumps({"Records": [record]}).encode()


def _post_all(url: str, bodies: Iterator[bytes], lock: threading.Lock, refused: list[int], repeat: bool) -> None:
    at = urlsplit(url)
    with closing(http.client.HTTPConnection(at.hostname or "", at.port, timeout=30)) as connection:
        while True:
            with lock:
                body = next(bodies, None)
            if body is None:
                return
            while (status := _post(connection, body)) != http.client.ACCEPTED:
                if not repeat:
                    refused.append(status)
                    break
                time.sleep(0.1)


def _post(connection: http.client.HTTPConnection, body: bytes) -> int:
    headers = {"Authorization": f"Bearer {WEBHOOK_TOKEN}", "Content-Type": "application/json"}
    try:
        connection.request("POST", "/v1/events/s3", body, headers)
        answer = connection.getresponse()
        answer.read()
    except (OSError, http.client.HTTPException):
        connection.close()  # the next request opens it again
        return 0
    return answer.status
