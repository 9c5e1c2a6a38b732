"""Training runs: start one, watch it, stop it, serve what it made."""

from datetime import datetime
from uuid import UUID

from fastapi import APIRouter, Response
from pydantic import Field

from api_gateway.auth import Admin, OperatorOrAdmin, UsesLedger
from api_gateway.idempotency import RunsOnce
from api_gateway.schemas import Answer, JsonObject, Request, Text
from xraygpt_core.ledger.training.runs import cancel_run, create_run, promote, run, runs
from xraygpt_core.training.config import parse_config

router = APIRouter(prefix="/v1/training-runs", tags=["training"])


class NewRun(Request):
    """A stage of the paper's order, its configuration, and the finished run it starts from."""

    stage: Text
    config: JsonObject = Field(default_factory=dict)
    parent_run: UUID | None = None


class RunId(Answer):
    """The run that was queued."""

    run_id: UUID


class RunAnswer(Answer):
    """How far a run is."""

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


class Runs(Answer):
    """The newest runs first."""

    runs: list[RunAnswer]


class Promoted(Answer):
    """The bundle that is served from now on."""

    bundle: str


@router.post("", status_code=202)
def post_run(body: NewRun, ledger: UsesLedger, once: RunsOnce, _: Admin) -> RunId:
    """Queue a run. Its configuration is checked here: every key, type and bound of docs/training.md."""
    parse_config(body.config)
    return RunId.model_validate(
        once(lambda: {"run_id": str(create_run(ledger, body.stage, body.config, body.parent_run))})
    )


@router.get("")
def get_runs(ledger: UsesLedger, _: OperatorOrAdmin) -> Runs:
    """The last hundred runs."""
    return Runs(runs=[RunAnswer.model_validate(one) for one in runs(ledger)])


@router.get("/{run_id}")
def get_run(run_id: UUID, ledger: UsesLedger, _: OperatorOrAdmin) -> RunAnswer:
    """One run."""
    return RunAnswer.model_validate(run(ledger, run_id))


@router.post("/{run_id}/promote")
def post_promote(run_id: UUID, ledger: UsesLedger, once: RunsOnce, _: Admin) -> Promoted:
    """Serve the bundle a finished run made."""
    return Promoted.model_validate(once(lambda: {"bundle": promote(ledger, run_id)}))


@router.post("/{run_id}/cancel", status_code=204)
def post_cancel(run_id: UUID, ledger: UsesLedger, _: Admin) -> Response:
    """Stop a run; its checkpoints stay."""
    cancel_run(ledger, run_id)
    return Response(status_code=204)
