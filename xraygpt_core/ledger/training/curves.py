"""The curves of a training run: loss and speed, and the loss on pairs that are not trained on."""

from dataclasses import dataclass
from uuid import UUID

from xraygpt_core.ledger.jobs.fence import Claim, fenced
from xraygpt_core.ledger.transaction import Ledger, Work


@dataclass(frozen=True)
class Point:
    """One point of a run's curves.

    Attributes:
        loss: of the training step; None where only the held-out loss was looked at, as before the first step.
        held_out: the loss on pairs that are not trained on; swapped: the same texts beside another patient's films.
    """

    step: int
    steps: int | None
    loss: float | None
    samples_per_s: float | None
    held_out: float | None = None
    swapped: float | None = None


_POINTS = """
    WITH newest AS (
        SELECT DISTINCT ON (step) step, loss, samples_per_s, held_out, swapped FROM training_points
        WHERE run_id = :id ORDER BY step, lease_epoch DESC
    ), numbered AS (
        SELECT *, row_number() OVER (ORDER BY step) AS place, count(*) OVER () AS all_of_them FROM newest
    )
    SELECT step, loss, samples_per_s, held_out, swapped FROM numbered
    WHERE held_out IS NOT NULL OR place = all_of_them OR place % GREATEST(all_of_them / :most, 1) = 0
    ORDER BY step
"""


def note_progress(ledger: Ledger, claim: Claim, point: Point) -> None:
    """Keep one point of the curves; what went wrong before is over.

    Raises:
        LeaseLost: the job is no longer ours.
    """
    values = {"id": claim.subject, "epoch": claim.epoch, **vars(point)}

    def body(work: Work) -> None:
        work.run(
            "INSERT INTO training_points (run_id, lease_epoch, step, loss, samples_per_s, held_out, swapped) "
            "VALUES (:id, :epoch, :step, :loss, :samples_per_s, :held_out, :swapped) "
            "ON CONFLICT (run_id, lease_epoch, step) DO UPDATE SET loss = COALESCE(EXCLUDED.loss, training_points.loss)"
            ", samples_per_s = COALESCE(EXCLUDED.samples_per_s, training_points.samples_per_s)"
            ", held_out = COALESCE(EXCLUDED.held_out, training_points.held_out)"
            ", swapped = COALESCE(EXCLUDED.swapped, training_points.swapped)",
            values,
        )
        work.run(
            "UPDATE training_runs SET step = :step, steps = COALESCE(:steps, steps), loss = COALESCE(:loss, loss), "
            "samples_per_s = COALESCE(:samples_per_s, samples_per_s), held_out = COALESCE(:held_out, held_out), "
            "swapped = COALESCE(:swapped, swapped), failure = NULL, failure_says = NULL, "
            "first_held_out = COALESCE(first_held_out, CASE WHEN :step = 0 THEN CAST(:held_out AS float8) END) "
            "WHERE id = :id",
            values,
        )

    fenced(ledger, claim, body, finish=None)


def points(ledger: Ledger, run_id: UUID, *, most: int = 2000) -> list[Point]:
    """The run's curves: of a step that several claims reported, the last claim's. At most so many, evenly spread, and
    every look at the held-out loss.

    Raises:
        NotFound: no such run.
    """
    with ledger.work() as work:
        sql = "SELECT steps FROM training_runs WHERE id = :id"
        steps = work.found(sql, {"id": run_id}, f"there is no training run {run_id}")["steps"]
        rows = work.rows(_POINTS, {"id": run_id, "most": most})
    return [Point(**row, steps=steps) for row in rows]
