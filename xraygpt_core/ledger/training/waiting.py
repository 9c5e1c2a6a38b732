"""A training run waits: because a person paused it, because no device is free, or after it failed."""

from uuid import UUID

from xraygpt_core.errors import Conflict, NotFound, Unavailable
from xraygpt_core.ledger.audit.record import record
from xraygpt_core.ledger.jobs.fence import Claim, fenced, repeating
from xraygpt_core.ledger.jobs.kinds import Subject, kinds_about
from xraygpt_core.ledger.transaction import Ledger, Work
from xraygpt_core.queue import Ring
from xraygpt_core.states import Failure, JobKind, Lane

_JOBS = ", ".join(f"'{kind}'" for kind in kinds_about(Subject.RUN))

# A job that is not to be claimed before infinity is claimed by nobody, whoever hands it back, fails it or loses it.
_PARK = f"""
    UPDATE jobs SET not_before = 'infinity'
    WHERE kind IN ({_JOBS}) AND subject = :id AND state IN ('queued', 'running')
"""
_UNPARK = f"""
    UPDATE jobs SET not_before = NULL
    WHERE kind IN ({_JOBS}) AND subject = :id AND state IN ('queued', 'running') AND not_before = 'infinity'
    RETURNING kind, lane_rank, state
"""
# One whose worker has let go of it waits for a worker again.
_RESUMED = """
    UPDATE training_runs SET paused_at = NULL, state = CASE WHEN state = 'running' AND NOT EXISTS (
        SELECT FROM jobs j WHERE j.subject = training_runs.id AND j.kind = 'train' AND j.state = 'running')
        THEN 'queued' ELSE state END
    WHERE id = :id AND paused_at IS NOT NULL
"""


def pause_run(ledger: Ledger, run_id: UUID) -> None:
    """Let a run wait until it is resumed. One that trains writes a checkpoint first; what shares its work goes on.

    Raises:
        NotFound: no such run.
        Conflict: it is over, or paused already.
    """

    def body(work: Work) -> None:
        work.run(_PARK, {"id": run_id})
        paused = work.run(
            "UPDATE training_runs SET paused_at = clock_timestamp() "
            "WHERE id = :id AND paused_at IS NULL AND state NOT IN ('done', 'dead', 'cancelled')",
            {"id": run_id},
        )
        if not paused:
            state = _state(work, run_id)
            raise Conflict(f"the run is {state} already" if _ended(state) else "the run is paused already")
        record(work, "run paused", subject=run_id)

    repeating(ledger, body)


def resume_run(ledger: Ledger, run_id: UUID) -> None:
    """Let a paused run go on from its last checkpoint.

    Raises:
        NotFound: no such run.
        Conflict: it is not paused.
    """

    def body(work: Work) -> None:
        for job in work.rows(_UNPARK, {"id": run_id}):
            if job["state"] == "queued":
                work.rings.append(Ring(JobKind(job["kind"]), Lane.of_rank(job["lane_rank"])))
        resumed = work.run(_RESUMED, {"id": run_id})
        if not resumed:
            raise Conflict(f"the run is {_state(work, run_id)}, not paused")
        record(work, "run resumed", subject=run_id)

    repeating(ledger, body)


def is_paused(ledger: Ledger, run_id: UUID) -> bool:
    """Does a person want this run to wait? Its worker asks while it trains."""
    with ledger.work() as work:
        row = work.row("SELECT paused_at FROM training_runs WHERE id = :id", {"id": run_id})
    return row is not None and row["paused_at"] is not None


def paused_now(ledger: Ledger, run_id: UUID) -> bool:
    """As :func:`is_paused`; where the ledger does not answer, the work goes on."""
    try:
        return is_paused(ledger, run_id)
    except Unavailable:
        return False


def note_waiting(ledger: Ledger, claim: Claim, waits_for: str) -> None:
    """The run cannot begin: this is what it waits for. It is queued again once its job is handed back.

    Raises:
        LeaseLost: the job is no longer ours.
    """

    def body(work: Work) -> None:
        work.run(
            "UPDATE training_runs SET state = 'queued', waits_for = :what WHERE id = :id",
            {"id": claim.subject, "what": waits_for},
        )

    fenced(ledger, claim, body, finish=None)


def note_failure(ledger: Ledger, claim: Claim, failure: Failure, says: str) -> None:
    """Why this attempt failed; the caller ends the attempt.

    Args:
        says: a sentence of ours: no path, no text, no name.

    Raises:
        LeaseLost: the job is no longer ours.
    """

    def body(work: Work) -> None:
        work.run(
            "UPDATE training_runs SET failure = :failure, failure_says = :says WHERE id = :id",
            {"id": claim.subject, "failure": failure, "says": says},
        )

    fenced(ledger, claim, body, finish=None)


def _state(work: Work, run_id: UUID) -> str:
    row = work.row("SELECT state FROM training_runs WHERE id = :id", {"id": run_id})
    if row is None:
        raise NotFound(f"there is no training run {run_id}")
    return str(row["state"])


def _ended(state: str) -> bool:
    return state in ("done", "dead", "cancelled")
