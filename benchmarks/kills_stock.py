"""The same kill loop on stock Celery: three no-op tasks per study, with everything Celery offers against loss.

``acks_late``, ``reject_on_worker_lost`` and a visibility timeout as short as our lease, swept every second, so that
what a killed worker had taken comes again as soon as it can. A study that is finished is counted in the broker, in a
database of its own.
"""

import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import redis
from celery import Celery

from xraygpt.stack.processes.child import Child
from xraygpt.stack.servers.broker import Broker

VISIBILITY_SECONDS = 5
QUIET_SECONDS = 6 * VISIBILITY_SECONDS
WORKERS = ("stock-1", "stock-2", "stock-3", "stock-4")
_DONE = "done"
_URL = os.environ.get("BENCHMARK_BROKER_URL", "redis://127.0.0.1/1")

KillAlong = Callable[[dict[str, Child], tuple[str, ...], int, Callable[[], float]], Counter[str]]

app = Celery("kills", broker=_URL, set_as_current=False)
app.conf.update(
    task_ignore_result=True,
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    worker_prefetch_multiplier=1,
    worker_hijack_root_logger=False,
    broker_connection_retry_on_startup=True,
    broker_transport_options={
        "visibility_timeout": VISIBILITY_SECONDS,
        "unacked_restore_interval": 1,
        "unacked_restore_throttle": 1,
    },
)


@app.task(name="kills.ingest")
def ingest(study: int) -> None:
    """Stage one."""
    settle.delay(study)


@app.task(name="kills.settle")
def settle(study: int) -> None:
    """Stage two."""
    summarise.delay(study)


@app.task(name="kills.summarise")
def summarise(study: int) -> None:
    """Stage three."""
    with _counter(_URL) as client:
        client.hincrby(_DONE, str(study), 1)


def stock(studies: int, kills: int, kill_along: KillAlong) -> dict[str, float]:
    """The loop on four stock workers of two threads each."""
    with tempfile.TemporaryDirectory(prefix="xraygpt-stock-") as temporary:
        broker = Broker(Path(temporary) / "broker")
        broker.start()
        url = broker.url.rsplit("/", 1)[0] + "/1"
        children = {name: _worker(name, url, Path(temporary)) for name in WORKERS}
        try:
            for child in children.values():
                child.start()
            return _run(url, children, studies, kills, kill_along)
        finally:
            for child in children.values():
                child.stop()
            broker.stop()


def _run(url: str, children: dict[str, Child], studies: int, kills: int, kill_along: KillAlong) -> dict[str, float]:
    with _counter(url) as client, Celery("kills", broker=url, set_as_current=False) as producer:
        began = time.monotonic()
        for study in range(studies):
            producer.send_task("kills.ingest", (study,))
        killed = kill_along(children, WORKERS, kills, lambda: int(client.hlen(_DONE)) / studies)  # type: ignore[arg-type]
        ended = _wait_until_quiet(client)
        times: dict[bytes, bytes] = client.hgetall(_DONE)  # type: ignore[assignment]
    return {
        "jobs": 3 * studies,
        "kills": sum(killed.values()),
        "lost": studies - len(times),
        "done twice or more": sum(int(count) > 1 for count in times.values()),
        "seconds": round(ended - began, 1),
    }


def _wait_until_quiet(client: "redis.Redis") -> float:
    """When the last study was finished, after nothing has moved for several visibility timeouts."""
    seen: Any = None
    since = time.monotonic()
    while time.monotonic() - since < QUIET_SECONDS:
        now = sum(int(count) for count in client.hvals(_DONE))  # type: ignore[union-attr]
        if now != seen:
            seen, since = now, time.monotonic()
        time.sleep(0.5)
    return since


def _worker(name: str, url: str, directory: Path) -> Child:
    options = ["-P", "threads", "-c", "2", "-n", f"{name}@bench", "--without-mingle", "--without-gossip"]
    command = [sys.executable, "-m", "celery", "-A", "benchmarks.kills_stock", "worker", *options]
    environment = os.environ | {"BENCHMARK_BROKER_URL": url}
    return Child(name, command, log=directory / f"{name}.log", directory=Path.cwd(), environment=environment)


def _counter(url: str) -> "redis.Redis":
    return redis.Redis.from_url(url.rsplit("/", 1)[0] + "/2")
