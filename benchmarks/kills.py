"""``python -m benchmarks.kills --jobs N --kills K``: SIGKILL workers again and again while N jobs run; who loses what?

Three jobs make a study: ingest, settle, summarise. Ours run with no pixels and no model
(:mod:`benchmarks.null_worker`), so that many jobs, and therefore many moments to be killed at, fit into minutes. Stock
Celery runs three no-op tasks per study with everything Celery offers against loss (:mod:`benchmarks.kills_stock`). The
report says for both what was lost for ever and what was done twice; for ours it is read from the database, with the
invariants of the chaos suite.
"""

import argparse
import itertools
import json
import random
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from functools import partial

import psycopg

from benchmarks import kills_stock
from benchmarks.path import send
from benchmarks.stack import BenchmarkStack, services
from tests.support.invariants import check_invariants
from xraygpt.stack.processes.child import Child

JOBS_PER_STUDY = 3
LEASE_SECONDS = 5.0
SETTINGS = {
    "lease_seconds": str(LEASE_SECONDS),
    "tick_seconds": "0.5",
    "retry_seconds": "0.2",
    "settle_seconds": "0",
    "max_attempts": "100",
    "log_level": "WARNING",
}
COMMANDS = {
    "gateway": ["api_gateway"],
    "ingest-1": ["benchmarks.null_worker", "ingest"],
    "ingest-2": ["benchmarks.null_worker", "ingest"],
    "gpu-1": ["benchmarks.null_worker", "gpu"],
    "gpu-2": ["benchmarks.null_worker", "gpu"],
    "control": ["workers", "control"],
}
# What is killed, in turn: workers hold jobs, so they come more often.
VICTIMS = ("ingest-1", "gpu-1", "ingest-2", "gpu-2", "gateway", "ingest-1", "gpu-2", "control")
_PATIENCE_SECONDS = 120.0

_COUNTS = """
    SELECT (SELECT count(*) FROM images) AS accepted,
           (SELECT count(*) FROM studies WHERE state = 'summarised') AS summarised,
           (SELECT count(*) FROM (SELECT FROM summaries GROUP BY study_id HAVING count(*) > 1) d) AS doubled,
           (SELECT count(*) FROM summaries s JOIN jobs j ON j.id = s.job_id
            WHERE s.lease_epoch <> j.lease_epoch) AS stale,
           (SELECT count(*) FROM jobs) AS jobs, (SELECT COALESCE(sum(lease_epoch), 0) FROM jobs) AS claims
"""
_DONE = "SELECT count(*) FROM jobs WHERE state = 'done'"
_LEFT = """
    SELECT {studies} - (SELECT count(*) FROM images) + (SELECT count(*) FROM jobs WHERE state IN ('queued', 'running'))
"""


def ours(studies: int, kills: int) -> dict[str, float]:
    """The loop on our own processes."""
    with (
        services() as running,
        running.processes(COMMANDS, **SETTINGS) as children,
        psycopg.connect(running.postgres.url, autocommit=True) as connection,
    ):
        sending = partial(send, running.gateway_url, range(1, studies + 1), repeat=True)
        hospital = threading.Thread(target=sending, daemon=True)
        began = time.monotonic()
        hospital.start()
        all_jobs = studies * JOBS_PER_STUDY
        killed = _kill_along(children, VICTIMS, kills, lambda: _one(connection, _DONE) / all_jobs)
        _wait_until_done(connection, children, studies)
        seconds = time.monotonic() - began
        hospital.join(10)
        check_invariants(connection, finished=True)
        row = connection.execute(_COUNTS).fetchone()
        assert row is not None
        accepted, summarised, doubled, stale, jobs, claims = (int(value) for value in row)
        refused = _refused(running)
    return {
        "jobs": jobs,
        "kills": sum(killed.values()),
        **{f"kills of {role}": count for role, count in sorted(killed.items())},
        "accepted": accepted,
        "lost": studies - summarised,
        "double summaries": doubled,
        "fenced writes accepted": stale,
        "fenced writes refused": refused,
        "claims per job": round(claims / jobs, 4),
        "seconds": round(seconds, 1),
    }


def _kill_along(
    children: dict[str, Child], victims: tuple[str, ...], kills: int, progress: Callable[[], float]
) -> Counter[str]:
    """Spread the kills evenly over the work, a little at random; each victim is started again at once.

    Args:
        progress: how much of the work is done, 0 to 1. If it stands for two minutes the kills go on regardless.
    """
    killed: Counter[str] = Counter()
    turns = itertools.cycle(victims)
    for number in range(kills):
        mark, patience = (number + random.random()) / (kills + 1), time.monotonic() + _PATIENCE_SECONDS
        while progress() < mark and time.monotonic() < patience:
            _tend(children)
            time.sleep(0.02)
        name = next(turns)
        children[name].send(signal.SIGKILL)
        children[name].wait(10)
        children[name].start()
        killed[name.partition("-")[0]] += 1
    return killed


def _tend(children: dict[str, Child]) -> None:
    for child in children.values():
        if not child.running:
            child.start()


def _wait_until_done(connection: "psycopg.Connection", children: dict[str, Child], studies: int) -> None:
    """Until every study was taken in and nothing is open, or nothing has moved for two minutes: the rest is lost."""
    seen, since = -1, time.monotonic()
    while time.monotonic() - since < _PATIENCE_SECONDS:
        _tend(children)
        if _one(connection, _LEFT.format(studies=studies)) == 0:
            return
        done = _one(connection, _DONE)
        if done != seen:
            seen, since = done, time.monotonic()
        time.sleep(0.2)


def _one(connection: "psycopg.Connection", sql: str) -> int:
    row = connection.execute(sql).fetchone()  # type: ignore[arg-type]  # constants of ours
    return int(row[0]) if row else 0


def _refused(running: BenchmarkStack) -> int:
    """How often a worker wrote too late, as their logs tell."""
    return sum(path.read_text().count("lease lost, nothing written") for path in running.directory.glob("*.log"))


def main() -> int:
    """Exit status 0 if ours lost nothing, did nothing twice and accepted no late write."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.kills", description=__doc__)
    parser.add_argument("--jobs", type=int, default=5000)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--no-stock", action="store_true", help="leave out stock Celery")
    chosen = parser.parse_args()
    studies = -(-chosen.jobs // JOBS_PER_STUDY)
    report = {"ours": ours(studies, chosen.kills)}
    print("ours", report["ours"], file=sys.stderr, flush=True)
    if not chosen.no_stock:
        report["stock"] = kills_stock.stock(studies, chosen.kills, _kill_along)
    print(json.dumps(report, indent=2))
    return int(any(report["ours"][fault] for fault in ("lost", "double summaries", "fenced writes accepted")))


if __name__ == "__main__":
    sys.exit(main())
