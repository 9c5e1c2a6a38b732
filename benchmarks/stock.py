"""Stock Celery, for comparison: three no-op tasks per study, each sending the next, with task events on.

Nothing of ours runs here: no ledger, no lease, no row in a database.
"""

import os
import sys
import time
from pathlib import Path
from typing import Any

import redis
from celery import Celery

from benchmarks.cpu import core_seconds
from xraygpt.stack.processes.child import Child

_COUNTER = "benchmark-studies-done"
_URL = os.environ.get("BENCHMARK_BROKER_URL", "redis://127.0.0.1/1")

app = Celery("stock", broker=_URL, set_as_current=False)
app.conf.update(
    task_ignore_result=True,
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    worker_send_task_events=True,
    worker_prefetch_multiplier=4,
    worker_hijack_root_logger=False,
    broker_connection_retry_on_startup=True,
)


@app.task(name="stock.ingest")
def ingest(study: str) -> None:
    """Stage one."""
    settle.delay(study)


@app.task(name="stock.settle")
def settle(study: str) -> None:
    """Stage two."""
    summarise.delay(study)


@app.task(name="stock.summarise")
def summarise(study: str) -> None:
    """Stage three; the last one of all is noted, so that the benchmark can wait for it."""
    if study.endswith("-last"):
        with redis.Redis.from_url(_URL) as client:
            client.set(_COUNTER, study)


def core_ms_per_study(broker_url: str, broker_pid: int, studies: int, directory: Path) -> dict[str, float]:
    """Core-milliseconds each process of a stock Celery spends on a study: worker, broker and producer.

    Args:
        broker_url: database 1 of this broker is used, and must be empty.
    """
    url = broker_url.rsplit("/", 1)[0] + "/1"
    environment = os.environ | {"BENCHMARK_BROKER_URL": url}
    command = [sys.executable, "-m", "celery", "-A", "benchmarks.stock", "worker", "-E", "-P", "threads", "-c", "2"]
    worker = Child("stock", command, log=directory / "stock.log", directory=Path.cwd(), environment=environment)
    producer_app = Celery("stock", broker=url, set_as_current=False)
    worker.start()
    try:
        with redis.Redis.from_url(url) as client, producer_app.producer_pool.acquire(block=True) as producer:
            _send(producer_app, producer, client, 50, "warm")
            before = core_seconds({"worker": worker.pid, "broker": broker_pid, "producer": os.getpid()})
            began = time.process_time()
            _send(producer_app, producer, client, studies, "run", wait=False)
            produced = time.process_time() - began
            _wait(client, "run-last")
            after = core_seconds({"worker": worker.pid, "broker": broker_pid})
    finally:
        worker.stop()
        producer_app.close()
    spent = {name: after[name] - before[name] for name in after} | {"producer": produced}
    return {name: 1000 * seconds / studies for name, seconds in spent.items()}


def _send(app: Celery, producer: Any, client: "redis.Redis", count: int, name: str, *, wait: bool = True) -> None:
    for number in range(count):
        last = "-last" if number == count - 1 else ""
        app.send_task("stock.ingest", (f"{name}-{number}{last}",), producer=producer)
    if wait:
        _wait(client, f"{name}-{count - 1}-last")


def _wait(client: "redis.Redis", name: str) -> None:
    """Until the last study of a run went through. Tasks are taken in order, so the others did before."""
    while not (client.get(_COUNTER) or b"").decode().startswith(name.split("-")[0]):  # type: ignore[union-attr]
        time.sleep(0.1)
