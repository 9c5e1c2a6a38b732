"""All that the page of operators shows, as one document."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from xraygpt_core.ledger.jobs.causes import DeadGroup, dead_in
from xraygpt_core.ledger.operations.history import (
    BacklogNow,
    Hours,
    Window,
    WorkCurve,
    backlogs_now,
    window,
    work_curves,
)
from xraygpt_core.ledger.operations.presence import SeenWorker, seen_in
from xraygpt_core.ledger.operations.unreadable import Unreadable, unreadable_events
from xraygpt_core.ledger.training.runs import Run, runs_in
from xraygpt_core.ledger.transaction import Ledger, Work
from xraygpt_core.states import RunState

_ENDED_RUNS = 5
_ENDED = (RunState.DONE, RunState.DEAD, RunState.CANCELLED)

_SERVED = "SELECT COALESCE(served_bundle, 'demo') AS name, served_run, previous_bundle FROM installation"
_PROMOTED = "SELECT id, bundle FROM training_runs WHERE bundle IS NOT NULL ORDER BY id DESC LIMIT 20"
_READY = """
    SELECT id, stage FROM training_runs
    WHERE state = 'done' AND bundle IS NULL AND result_prefix IS NOT NULL ORDER BY id DESC LIMIT 20
"""


@dataclass(frozen=True)
class KnownBundle:
    """A bundle that is or was served, or that a worker has loaded, and how many workers have.

    Attributes:
        sha256: and
        scope: what it declares, as a worker that has loaded it says; None if none has.
        run_id: the training run that made it, if one did.
    """

    name: str
    sha256: str | None
    scope: dict[str, Any] | None
    run_id: UUID | None
    workers: int


@dataclass(frozen=True)
class Bundles:
    """The bundle that is served, the one that was before, all that are known, and runs whose result waits."""

    served: str
    previous: str | None
    known: list[KnownBundle]
    results: list[dict[str, Any]]


@dataclass(frozen=True)
class Overview:
    """The state of the whole system, and its last hours.

    Attributes:
        jobs: open and dead jobs by kind, lane and state, as :func:`xraygpt_core.ledger.jobs.status.status_counts`.
        work: what came and ended.
    """

    window: Window
    jobs: list[dict[str, Any]]
    work: list[WorkCurve]
    backlogs: list[BacklogNow]
    workers: list[SeenWorker]
    dead: list[DeadGroup]
    runs: list[Run]
    bundles: Bundles
    unreadable: list[Unreadable]


def overview(ledger: Ledger, hours: Hours, jobs: list[dict[str, Any]]) -> Overview:
    """Look at everything once. Its cost grows with none of the long tables: only the jobs, counted before, may be many.

    Args:
        jobs: open and dead jobs, as :func:`xraygpt_core.ledger.jobs.status.status_counts` has them.
    """
    with ledger.work() as work:  # one for all: a page that asks every few seconds waits for few answers
        seen, alive = window(work, hours), seen_in(work)
        return Overview(
            window=seen,
            jobs=jobs,
            work=work_curves(work, seen),
            backlogs=backlogs_now(work, seen),
            workers=alive,
            dead=dead_in(work),
            runs=_runs(work),
            bundles=_bundles(work, alive),
            unreadable=unreadable_events(work),
        )


def _runs(work: Work) -> list[Run]:
    """Those that are not over, and the last ones that are."""
    found = runs_in(work)
    ended = [run for run in found if run.state in _ENDED][:_ENDED_RUNS]
    return [run for run in found if run.state not in _ENDED or run in ended]


def _bundles(work: Work, alive: list[SeenWorker]) -> Bundles:
    served = work.found(_SERVED, {}, "the installation has no row")
    promoted = {row["bundle"]: row["id"] for row in work.rows(_PROMOTED)}
    results = [{"run_id": row["id"], "stage": row["stage"]} for row in work.rows(_READY)]
    loaded = {one.bundle: one for one in alive if one.bundle is not None}
    names = dict.fromkeys(
        name for name in (served["name"], served["previous_bundle"], *loaded, *promoted) if name is not None
    )
    return Bundles(
        served["name"],
        served["previous_bundle"],
        [_known(name, loaded.get(name), promoted.get(name), alive) for name in names],
        results,
    )


def _known(name: str, loaded: SeenWorker | None, run_id: UUID | None, alive: list[SeenWorker]) -> KnownBundle:
    sha256, scope = (loaded.bundle_sha256, loaded.scope) if loaded is not None else (None, None)
    return KnownBundle(name, sha256, scope, run_id, sum(one.bundle == name for one in alive))
