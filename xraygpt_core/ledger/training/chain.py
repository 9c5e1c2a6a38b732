"""A run and the runs that it goes on from: what each of them left, and what a bundle of all that would lack."""

from uuid import UUID

from xraygpt_core.errors import Conflict
from xraygpt_core.ledger.transaction import Work

_CHAIN = """
    WITH RECURSIVE chain AS (
        SELECT id, parent_run, 0 AS depth FROM training_runs WHERE id = :id
        UNION ALL
        SELECT r.id, r.parent_run, depth + 1 FROM training_runs r JOIN chain c ON r.id = c.parent_run
    )
    SELECT {columns} FROM chain JOIN training_runs USING (id) WHERE result_prefix IS NOT NULL ORDER BY depth DESC
"""
_RESULTS = _CHAIN.format(columns="result_prefix")  # the GPU worker may read few columns
_STAGES = _CHAIN.format(columns="stage, result_prefix")
_TUNES_ENCODER, _TRAIN_PROJECTOR = "encoder", ("stage1", "stage2")


def results_of(work: Work, run_id: UUID) -> tuple[str, ...]:
    """Where the results lie, oldest first, in the derived bucket."""
    return tuple(one["result_prefix"] for one in work.rows(_RESULTS, {"id": run_id}))


def tuned_encoders(work: Work, run_id: UUID) -> tuple[str, ...]:
    """Those of them that change the encoder."""
    rows = work.rows(_STAGES, {"id": run_id})
    return tuple(one["result_prefix"] for one in rows if one["stage"] == _TUNES_ENCODER)


def check_projector(work: Work, run_id: UUID) -> None:
    """A projector reads the features of the encoder that it was trained for, so it goes with that.

    Raises:
        Conflict: none was trained since the encoder was tuned.
    """
    stages = [one["stage"] for one in work.rows(_STAGES, {"id": run_id})]
    tuned = max((place for place, stage in enumerate(stages) if stage == _TUNES_ENCODER), default=None)
    if tuned is not None and not any(stage in _TRAIN_PROJECTOR for stage in stages[tuned:]):
        raise Conflict(
            "a bundle of this run has a tuned encoder, but neither projector nor chest check, and cannot write: start "
            "stage1 with it as parent, and promote that"
        )
