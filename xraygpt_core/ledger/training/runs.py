"""Training runs: a run is a row, its job is leased like any other, and its checkpoints move by fenced pointers."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.engine import RowMapping

from xraygpt_core.errors import Conflict, InvalidRequest, LeaseLost
from xraygpt_core.ids import new_id
from xraygpt_core.ledger.audit.record import record
from xraygpt_core.ledger.jobs.claims import add_job
from xraygpt_core.ledger.jobs.fence import Claim, fenced, repeating
from xraygpt_core.ledger.jobs.kinds import Subject, kinds_about
from xraygpt_core.ledger.training.advance import drop_unneeded
from xraygpt_core.ledger.training.chain import check_projector, results_of
from xraygpt_core.ledger.training.serving import served_in, set_served
from xraygpt_core.ledger.transaction import Ledger, Work
from xraygpt_core.states import JobKind, Lane
from xraygpt_core.training.mixture import DRAWN, TEXT_ALONE
from xraygpt_core.training.preset import STAGES


@dataclass(frozen=True)
class RunInput:
    """What a training worker needs to start, or to go on from a checkpoint.

    Attributes:
        base_bundle: the bundle the first run of the chain started from.
        parent_prefixes: results of the runs before this one, oldest first, in the derived bucket.
        checkpoint_prefix: where the last complete checkpoint lies; None at the start.
        paused: a person wants it to wait: do nothing, and hand it back.
    """

    run_id: UUID
    stage: str
    config: dict[str, Any]
    base_bundle: str
    parent_prefixes: tuple[str, ...]
    checkpoint_prefix: str | None
    paused: bool = False


@dataclass(frozen=True)
class Run:
    """A run, as it is shown.

    Attributes:
        paused_at: since when a person wants it to wait; its state is ``paused`` once no worker holds it.
        failure, failure_says: why it is dead, or why the last attempt failed: a word of ours, and a sentence of ours.
        waits_for: ``device`` while the worker that would take it has none free.
        first_held_out: the held-out loss before the first step, which is its base's.
        problem: what of its sets is not trained on, or why they cannot be, in numbers.
    """

    run_id: UUID
    stage: str
    state: str
    parent_run: UUID | None
    base_bundle: str
    step: int
    steps: int | None
    loss: float | None
    samples_per_s: float | None
    checkpoint_step: int | None
    bundle: str | None
    created_at: datetime
    finished_at: datetime | None
    paused_at: datetime | None
    failure: str | None
    failure_says: str | None
    waits_for: str | None
    held_out: float | None
    swapped: float | None
    first_held_out: float | None
    problem: str | None


# As the view training_progress has it.
_STATE = """
    CASE WHEN paused_at IS NOT NULL AND state NOT IN ('done', 'dead', 'cancelled') AND NOT EXISTS (
             SELECT FROM jobs j WHERE j.subject = training_runs.id AND j.kind = 'train' AND j.state = 'running')
         THEN 'paused' ELSE state END AS state
"""
_RUN = (
    f"id AS run_id, stage, {_STATE}, parent_run, base_bundle, step, steps, loss, samples_per_s, checkpoint_step, "
    "bundle, created_at, finished_at, paused_at, failure, failure_says, waits_for, held_out, swapped, "
    "first_held_out, problem"
)
# What a run is: its own jobs (plan, train), not those that runs share.
_JOBS = ", ".join(f"'{kind}'" for kind in kinds_about(Subject.RUN))

_CANCEL_JOBS = f"""
    UPDATE jobs SET state = 'cancelled', lease_until = NULL, finished_at = clock_timestamp()
    WHERE kind IN ({_JOBS}) AND subject = :id AND state IN ('queued', 'running')
"""


def create_run(ledger: Ledger, stage: str, config: dict[str, Any], parent_run: UUID | None) -> UUID:
    """Queue a run.

    Args:
        parent_run: a finished run whose result this one starts from; None starts from the served bundle.

    Raises:
        InvalidRequest: no such stage, or a stage that is given sets it does not read.
        NotFound: no such parent.
        Conflict: the parent is not finished.
    """
    if stage not in STAGES:
        raise InvalidRequest(f"stage must be one of {', '.join(STAGES)}")
    if stage == "medical-llm" and needs_plan(config):
        raise InvalidRequest(TEXT_ALONE)
    run_id = new_id()
    state, first = ("planning", JobKind.PLAN) if needs_plan(config) else ("queued", JobKind.TRAIN)
    with ledger.work() as work:
        base = served_in(work).name
        if parent_run is not None:
            parent = _run(work, parent_run)
            if parent["state"] != "done":
                raise Conflict(f"the parent run is {parent['state']}, not done: wait for it, or start from another")
            base = parent["base_bundle"]
        work.run(
            "INSERT INTO training_runs (id, stage, config, parent_run, base_bundle, state) "
            "VALUES (:id, :stage, CAST(:config AS jsonb), :parent, :base, :state)",
            {
                "id": run_id,
                "stage": stage,
                "config": json.dumps(config),
                "parent": parent_run,
                "base": base,
                "state": state,
            },
        )
        add_job(work, first, run_id, Lane.ROUTINE, max_attempts=ledger.settings.max_attempts)
        record(work, "run started", subject=run_id, detail={"stage": stage})
    return run_id


def needs_plan(config: Mapping[str, Any]) -> bool:
    """Whether a set of its mixture lies somewhere: such a run is planned before it trains."""
    sets = (config.get("mixture") or {}).get("sets", ())
    return any(one.get("reader") not in DRAWN for one in sets)


def run_input(ledger: Ledger, claim: Claim) -> RunInput:
    """What to train; marks the run as running.

    Raises:
        LeaseLost: the job is no longer ours, or the run is gone.
    """

    def body(work: Work) -> RunInput:
        row = work.row(
            "UPDATE training_runs SET waits_for = NULL, state = CASE WHEN paused_at IS NULL THEN 'running' ELSE state "
            "END WHERE id = :id "
            "RETURNING id AS run_id, stage, config, base_bundle, checkpoint_prefix, paused_at IS NOT NULL AS paused",
            {"id": claim.subject},
        )
        if row is None:
            raise LeaseLost(f"training run {claim.subject} is gone")
        if row["paused"]:  # it was made, or its lease ended, after it was paused: handed back, it waits
            work.run("UPDATE jobs SET not_before = 'infinity' WHERE id = :id", {"id": claim.job_id})
        return RunInput(**row, parent_prefixes=results_of(work, claim.subject))

    return fenced(ledger, claim, body, finish=None)


def move_checkpoint(ledger: Ledger, claim: Claim, prefix: str, step: int) -> None:
    """The checkpoint under this prefix is whole: go on from it if this worker dies. Progress earns fresh attempts.

    Raises:
        LeaseLost: the job is no longer ours; the pointer stays where the owner put it.
    """

    def body(work: Work) -> None:
        work.run(
            "UPDATE training_runs SET checkpoint_prefix = :prefix, checkpoint_step = :step WHERE id = :id",
            {"id": claim.subject, "prefix": prefix, "step": step},
        )
        work.run("UPDATE jobs SET attempts = 1 WHERE id = :id", {"id": claim.job_id})

    fenced(ledger, claim, body, finish=None)


def complete_run(ledger: Ledger, claim: Claim, result_prefix: str) -> None:
    """The run's result lies under this prefix of the derived bucket.

    Raises:
        LeaseLost: the job is no longer ours; nothing was written.
    """

    def body(work: Work) -> None:
        work.run(
            "UPDATE training_runs SET state = 'done', result_prefix = :prefix, finished_at = clock_timestamp(), "
            "paused_at = NULL, waits_for = NULL, failure = NULL, failure_says = NULL WHERE id = :id",
            {"id": claim.subject, "prefix": result_prefix},
        )

    fenced(ledger, claim, body)


def promote(ledger: Ledger, run_id: UUID) -> str:
    """Serve what a finished run made. Returns the name of its bundle; GPU workers make it and switch to it.

    Raises:
        NotFound: no such run.
        Conflict: it is not finished, or its bundle would have no projector.
    """
    with ledger.work() as work:
        row = _run(work, run_id, "FOR UPDATE")
        if row["state"] != "done":
            raise Conflict(f"the run is {row['state']}: only a finished run can be served")
        check_projector(work, run_id)
        name = f"{row['stage']}-{str(run_id)[-12:]}"
        work.run("UPDATE training_runs SET bundle = :name WHERE id = :id", {"id": run_id, "name": name})
        set_served(work, name, run_id)
        record(work, "run promoted", subject=run_id, detail={"bundle": name})
    return name


def result_prefixes(ledger: Ledger, run_id: UUID) -> tuple[str, tuple[str, ...]]:
    """The base bundle and the results, oldest first, that a promoted run's bundle is made of.

    Raises:
        NotFound: no such run.
    """
    with ledger.work() as work:
        # The GPU worker may read this column and few others.
        row = _run(work, run_id, columns="base_bundle")
        return row["base_bundle"], results_of(work, run_id)


def runs(ledger: Ledger, *, limit: int = 100) -> list[Run]:
    """The newest runs first."""
    with ledger.work() as work:
        return runs_in(work, limit=limit)


def runs_in(work: Work, *, limit: int = 100) -> list[Run]:
    """The same, inside a transaction."""
    rows = work.rows(f"SELECT {_RUN} FROM training_runs ORDER BY id DESC LIMIT :limit", {"limit": limit})
    return [Run(**row) for row in rows]


def run(ledger: Ledger, run_id: UUID) -> Run:
    """One run.

    Raises:
        NotFound: no such run.
    """
    with ledger.work() as work:
        return Run(**_run(work, run_id))


def _run(work: Work, run_id: UUID, lock: str = "", *, columns: str = _RUN) -> RowMapping:
    sql = f"SELECT {columns} FROM training_runs WHERE id = :id {lock}"
    return work.found(sql, {"id": run_id}, f"there is no training run {run_id}")


def cancel_run(ledger: Ledger, run_id: UUID) -> None:
    """Stop a run. Its worker notices with its next heartbeat; checkpoints stay until they are purged.

    Raises:
        NotFound: no such run.
        Conflict: it is over already.
    """

    def body(work: Work) -> None:
        work.run(_CANCEL_JOBS, {"id": run_id})
        cancelled = work.run(
            "UPDATE training_runs SET state = 'cancelled', finished_at = clock_timestamp(), paused_at = NULL "
            "WHERE id = :id AND state NOT IN ('done', 'dead', 'cancelled')",
            {"id": run_id},
        )
        if not cancelled:
            raise Conflict(f"the run is {_run(work, run_id)['state']} already")
        work.run(_CANCEL_JOBS, {"id": run_id})  # the job it was given while we waited for its row
        drop_unneeded(work, run_id)
        record(work, "run cancelled", subject=run_id)

    repeating(ledger, body)
