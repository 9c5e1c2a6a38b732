"""What the system does now, on one screen of 80 columns: queues, workers, rate, and the age of what waits longest."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from xraygpt.durations import seconds_words
from xraygpt_core.plain_text import plain_text
from xraygpt_core.states import JobState

_MOST_WORKERS = 20  # more are counted, not listed


def totals(status: Mapping[str, Any]) -> dict[str, Any]:
    """``queued``, ``running``, ``dead``, ``oldest_seconds`` (of what is queued), ``summarised_last_minute``."""
    jobs = status["jobs"]
    counts = {state.value: _sum(jobs, state) for state in (JobState.QUEUED, JobState.RUNNING, JobState.DEAD)}
    waits = [job["oldest_seconds"] for job in jobs if job["state"] == JobState.QUEUED]
    return {
        **counts,
        "oldest_seconds": max(waits, default=None),
        "summarised_last_minute": status.get("summarised_last_minute"),
    }


def screen(status: Mapping[str, Any]) -> str:
    """All of it as text."""
    return plain_text("\n".join([_summary(status), "", *_queues(status["jobs"]), "", *_workers(status["workers"])]))


def _summary(status: Mapping[str, Any]) -> str:
    now = totals(status)
    lately = now["summarised_last_minute"]
    parts = [] if lately is None else [f"{lately} texts/min"]
    parts += [f"{now['queued']} waiting", f"{now['running']} running", f"{now['dead']} dead"]
    if now["oldest_seconds"] is not None:
        parts.append(f"oldest waits {seconds_words(now['oldest_seconds'])}")
    return " · ".join(parts)


def _queues(jobs: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """A line for each kind and lane; the gateway gives them in the order of urgency."""
    if not jobs:
        yield "nothing is queued"
        return
    yield f"{'kind':10} {'lane':8} {'waiting':>9} {'running':>8} {'dead':>6}  oldest waits"
    for kind, lane in dict.fromkeys((job["kind"], job["lane"]) for job in jobs):
        own = [job for job in jobs if (job["kind"], job["lane"]) == (kind, lane)]
        counts = [_sum(own, state) for state in (JobState.QUEUED, JobState.RUNNING, JobState.DEAD)]
        waits = [job["oldest_seconds"] for job in own if job["state"] == JobState.QUEUED]
        age = seconds_words(max(waits)) if waits else ""
        yield f"{kind:10} {lane:8} {counts[0]:9} {counts[1]:8} {counts[2]:6}  {age}".rstrip()


def _workers(workers: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    if not workers:
        yield "no worker holds a job"
        return
    yield f"{'worker':28} {'kind':10} {'jobs':>6}  {'oldest':8} lease ends in"
    for one in workers[:_MOST_WORKERS]:
        lease = one["lease_seconds"]
        left = seconds_words(lease) if lease > 0 else "over: it is lost"
        oldest = seconds_words(one["oldest_seconds"])
        yield f"{str(one['worker'])[:28]:28} {one['kind']:10} {one['jobs']:6}  {oldest:8} {left}"
    if len(workers) > _MOST_WORKERS:
        yield f"and {len(workers) - _MOST_WORKERS} more"


def _sum(jobs: Sequence[Mapping[str, Any]], state: JobState) -> int:
    return sum(job["jobs"] for job in jobs if job["state"] == state)
