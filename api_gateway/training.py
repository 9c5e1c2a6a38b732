"""Training runs: start one, watch it, let it wait, stop it, serve what it made."""

from collections import Counter
from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Response
from pydantic import Field

from api_gateway.auth import Admin, RunWatcher, TrainerOrAdmin, UsesLedger
from api_gateway.idempotency import RunsOnce
from api_gateway.schemas import Answer, JsonObject, Request, Text
from xraygpt_core.errors import InvalidRequest
from xraygpt_core.ledger.audit.record import record_alone
from xraygpt_core.ledger.training.curves import points
from xraygpt_core.ledger.training.phases import phases
from xraygpt_core.ledger.training.runs import cancel_run, create_run, promote, run, runs
from xraygpt_core.ledger.training.signed_pairs import signed_pairs
from xraygpt_core.ledger.training.waiting import pause_run, resume_run
from xraygpt_core.states import Failure, RunState
from xraygpt_core.training.config import parse_config
from xraygpt_core.training.preset import STAGES
from xraygpt_core.training.presets import check_stage
from xraygpt_core.training.selection import parse_selection

router = APIRouter(prefix="/v1/training-runs", tags=["training"])


class NewRun(Request):
    """A stage of the paper's order, its configuration, and the finished run it starts from.

    ``preset`` is the configuration's key of that name: its values are those that ``config`` does not give.
    """

    stage: Text
    config: JsonObject = Field(default_factory=dict)
    preset: Annotated[Text, Field(max_length=100)] | None = None
    parent_run: UUID | None = None


class RunId(Answer):
    """The run that was queued."""

    run_id: UUID


class RunAnswer(Answer):
    """How far a run is: figures and words of ours, no film and no text.

    ``paused_at`` is set as soon as a person paused it; its state is ``paused`` once its worker has let go of it.
    ``waits_for`` is ``device`` while every device of its worker is taken. ``failure`` says why it is dead, or why the
    last attempt failed. ``held_out`` is the loss on pairs that are not trained on, ``swapped`` that of their texts
    beside other patients' films, ``first_held_out`` that of the base. ``problem`` says how much of its sets is not
    trained on and why; a trainer finds files and lines in ``problems.json``.
    """

    run_id: UUID
    stage: str
    state: RunState
    parent_run: UUID | None
    base_bundle: str
    step: int
    steps: int | None
    loss: float | None
    samples_per_s: float | None
    held_out: float | None
    swapped: float | None
    first_held_out: float | None
    checkpoint_step: int | None
    bundle: str | None
    created_at: datetime
    finished_at: datetime | None
    paused_at: datetime | None
    waits_for: str | None
    failure: Failure | None
    failure_says: str | None
    problem: str | None


class PhasesAnswer(Answer):
    """The pairs of a run's sets: how many there are, whose film is normalised or cannot be, whose features are made."""

    planned: int
    prepared: int
    dropped: int
    encoded: int


class OneRunAnswer(RunAnswer):
    """The same, with the pairs of its sets by phase; null where it draws its films itself, or is not planned yet."""

    phases: PhasesAnswer | None = None


class Runs(Answer):
    """The newest runs first."""

    runs: list[RunAnswer]


class PointAnswer(Answer):
    """A point of the curves. ``loss`` is null where only the held-out loss was looked at."""

    step: int
    loss: float | None
    samples_per_s: float | None
    held_out: float | None
    swapped: float | None


class Points(Answer):
    """The curves of a run by its steps: about two thousand points, and every look at the held-out loss."""

    run_id: UUID
    points: list[PointAnswer]


class Selection(Request):
    """Which signed studies a run would be given, as a set of a mixture says it in ``select``."""

    select: Text


class Selected(Answer):
    """How many pairs a run would be given by split, and how many signed studies are left out and why."""

    pairs: dict[str, int]
    patients: int
    left_out: dict[str, int]


class Promoted(Answer):
    """The bundle that is served from now on."""

    bundle: str


@router.post("", status_code=202)
def post_run(body: NewRun, once: RunsOnce, _: TrainerOrAdmin) -> RunId:
    """Queue a run. Everything in its configuration is checked here: every key, type and bound of docs/training.md."""
    config = body.config if body.preset is None else {**body.config, "preset": body.preset}
    if body.stage not in STAGES:
        raise InvalidRequest(f"stage must be one of {', '.join(STAGES)}")
    checked = parse_config(config)
    check_stage(checked.preset, body.stage)
    mixture = checked.mixture
    for one in mixture.sets if mixture else ():
        if one.select is not None:
            parse_selection(one.select)
    return RunId.model_validate(
        once(lambda ledger: {"run_id": str(create_run(ledger, body.stage, config, body.parent_run))})
    )


@router.post("/selection")
def post_selection(body: Selection, ledger: UsesLedger, _: TrainerOrAdmin) -> Selected:
    """Count what a selection of signed studies selects; no text and no film."""
    found = signed_pairs(ledger, body.select)
    pairs: Counter[str] = Counter()
    patients = set()
    for pair in found:
        pairs[pair.split] += 1
        patients.add(pair.patient)
    record_alone(ledger, "signed studies counted", detail={"pairs": pairs.total()})
    return Selected(pairs=dict(pairs), patients=len(patients), left_out=found.reasons)


@router.get("")
def get_runs(ledger: UsesLedger, _: RunWatcher) -> Runs:
    """The last hundred runs."""
    return Runs(runs=[RunAnswer.model_validate(one) for one in runs(ledger)])


@router.get("/{run_id}")
def get_run(run_id: UUID, ledger: UsesLedger, _: RunWatcher) -> OneRunAnswer:
    """One run."""
    found = OneRunAnswer.model_validate(run(ledger, run_id))
    pairs = phases(ledger, run_id)
    return found.model_copy(update={"phases": pairs and PhasesAnswer.model_validate(pairs)})


@router.get("/{run_id}/points")
def get_points(run_id: UUID, ledger: UsesLedger, _: RunWatcher) -> Points:
    """The run's curves."""
    return Points(run_id=run_id, points=[PointAnswer.model_validate(one) for one in points(ledger, run_id)])


@router.post("/{run_id}/pause", status_code=204)
def post_pause(run_id: UUID, once: RunsOnce, _: TrainerOrAdmin) -> Response:
    """Let a run wait: it writes a checkpoint and gives its device back. 409 if it is over, or paused already."""
    return once.empty(lambda ledger: pause_run(ledger, run_id))


@router.post("/{run_id}/resume", status_code=204)
def post_resume(run_id: UUID, once: RunsOnce, _: TrainerOrAdmin) -> Response:
    """Let a paused run go on from its last checkpoint. 409 if it is not paused."""
    return once.empty(lambda ledger: resume_run(ledger, run_id))


@router.post("/{run_id}/promote")
def post_promote(run_id: UUID, once: RunsOnce, _: Admin) -> Promoted:
    """Serve the bundle a finished run made."""
    return Promoted.model_validate(once(lambda ledger: {"bundle": promote(ledger, run_id)}))


@router.post("/{run_id}/cancel", status_code=204)
def post_cancel(run_id: UUID, once: RunsOnce, _: TrainerOrAdmin) -> Response:
    """Stop a run for good; its checkpoints stay."""
    return once.empty(lambda ledger: cancel_run(ledger, run_id))
