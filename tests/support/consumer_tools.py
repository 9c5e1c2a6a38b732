"""Ingest jobs that take no time, and a drain of them."""

from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

from tests.support.ledger_tools import film
from tests.support.worker_bench import Bench
from workers.consumer import Consumer
from workers.heartbeat import JobProgress
from xraygpt_core.ledger.jobs.fence import Claim
from xraygpt_core.ledger.studies.accept import complete_ingests
from xraygpt_core.queue import queues_of
from xraygpt_core.states import JobKind, Lane

QUEUES = queues_of(JobKind.INGEST)


class Reader:
    """Reads images in no time; ``meanwhile`` is called for each."""

    def __init__(self, bench: Bench, meanwhile: Callable[[Claim], None] = lambda _: None) -> None:
        self._bench = bench
        self._meanwhile = meanwhile
        self.batches: list[int] = []
        self.seen: list[UUID] = []

    def prepare(self, claims: Sequence[Claim]) -> dict[UUID, Any]:
        self.batches.append(len(claims))
        return {}

    def do(self, claim: Claim, _progress: JobProgress, _given: Any) -> Any:
        self.seen.append(claim.subject)
        self._meanwhile(claim)
        return film(f"study-{claim.subject}")

    def finish(self, done: Sequence[tuple[Claim, Any]]) -> set[UUID]:
        return complete_ingests(self._bench.ledger, done)


def fill(bench: Bench, count: int, lane: Lane = Lane.BACKLOG) -> list[UUID]:
    return [bench.register(f"{lane}/{number}", b"film", lane).image_id for number in range(count)]


def jobs(bench: Bench) -> dict[str, int]:
    rows = bench.rows("SELECT state, count(*) AS jobs FROM jobs WHERE kind = 'ingest' GROUP BY state")
    return {row["state"]: row["jobs"] for row in rows}


def drain(bench: Bench, reader: Any) -> None:
    Consumer(bench.context, QUEUES, {JobKind.INGEST: reader})()
