"""What operators look at, as one document: the page ``/ops`` is made of it."""

from datetime import datetime
from typing import Any
from uuid import UUID

from fastapi import APIRouter

from api_gateway.auth import OperatorOrAdmin
from api_gateway.dependencies import OpenServices
from api_gateway.health import JobCount
from api_gateway.schemas import Answer
from api_gateway.training import RunAnswer
from xraygpt_core.ledger.operations.history import Hours
from xraygpt_core.ledger.operations.overview import overview
from xraygpt_core.states import JobKind, Lane

router = APIRouter(prefix="/v1/ops", tags=["operations"])


class WindowAnswer(Answer):
    """The time that the curves show, in steps of so many seconds, by the database's clock."""

    hours: int
    step_seconds: int
    since: datetime
    now: datetime


class WorkPointAnswer(Answer):
    """What a kind and lane did within a step.

    Jobs count where they ended; ``retried`` are the attempts before their last ones. A job waited from its arrival to
    its last attempt, and ran in that. ``waiting_max`` and ``oldest_seconds`` are the most jobs that waited at once, and
    the longest that one had waited.
    """

    at: datetime
    arrived: int
    done: int
    dead: int
    cancelled: int
    retried: int
    tokens: int
    waited_seconds: float
    waited_max: float
    ran_seconds: float
    ran_max: float
    waiting_max: int
    oldest_seconds: float


class WorkCurveAnswer(Answer):
    """A kind of job in a lane; steps in which nothing happened are left out."""

    kind: JobKind
    lane: Lane
    points: list[WorkPointAnswer]


class BacklogPointAnswer(Answer):
    """How far a backlog was at the end of a step."""

    at: datetime
    registered: int
    open: int


class BacklogNowAnswer(Answer):
    """A backlog as the control worker saw it last (``at``; null before the first time).

    ``per_hour`` is the rate at which its images ended in the last hour, ``left_seconds`` what the open ones take at
    that rate; null where it cannot be said.
    """

    backlog_id: UUID
    state: str
    lane: Lane
    problem: str | None
    created_at: datetime
    listed_at: datetime | None
    finished_at: datetime | None
    at: datetime | None
    listed: int | None
    registered: int | None
    summarised: int | None
    rejected: int | None
    dead: int | None
    cancelled: int | None
    open: int | None
    per_hour: float | None
    left_seconds: float | None
    points: list[BacklogPointAnswer]


class WorkerAnswer(Answer):
    """A worker process that was seen within the last minute.

    ``busy`` of its ``slots`` have a job. ``devices`` are its GPUs as NVML sees them; null where there is no NVML.
    """

    name: str
    kind: str
    slots: int
    busy: int
    tokens_per_s: float | None
    bundle: str | None
    devices: list[dict[str, Any]] | None
    started_at: datetime
    seen_at: datetime
    age_seconds: float


class DeadGroupAnswer(Answer):
    """Dead jobs of a kind and cause (an error without its numbers and ids), and the one that died last."""

    kind: JobKind
    cause: str
    jobs: int
    first_at: datetime | None
    last_at: datetime | None
    latest: UUID
    error: str | None


class KnownBundleAnswer(Answer):
    """A bundle, how many workers have loaded it, and what it declares: known while one has."""

    name: str
    sha256: str | None
    scope: dict[str, Any] | None
    run_id: UUID | None
    workers: int


class ResultAnswer(Answer):
    """A finished run whose result was never served."""

    run_id: UUID
    stage: str


class BundlesAnswer(Answer):
    """The bundle that is served, the one that was before, all that are known, and what could be promoted."""

    served: str
    previous: str | None
    known: list[KnownBundleAnswer]
    results: list[ResultAnswer]


class UnreadableAnswer(Answer):
    """Events of the bucket that were turned away, by door and cause, in the last thirty days."""

    door: str
    cause: str
    events: int
    first_at: datetime
    last_at: datetime


class OverviewAnswer(Answer):
    """The state of the whole system, and its last hours. Nothing here is about one patient, image or study.

    ``flower_url`` is where browsers reach Flower; null where no setting says so.
    """

    window: WindowAnswer
    jobs: list[JobCount]
    work: list[WorkCurveAnswer]
    backlogs: list[BacklogNowAnswer]
    workers: list[WorkerAnswer]
    dead: list[DeadGroupAnswer]
    runs: list[RunAnswer]
    bundles: BundlesAnswer
    unreadable: list[UnreadableAnswer]
    flower_url: str | None = None


@router.get("")
def get_ops(services: OpenServices, _: OperatorOrAdmin, hours: Hours = Hours.SIX) -> OverviewAnswer:
    """Everything on the page of operators; the curves show the last 6, 24 or 168 hours.

    The rollups behind the curves are at most half a minute old, unless the control worker is away.
    """
    found = OverviewAnswer.model_validate(overview(services.ledger, hours, services.counts()))
    flower = services.settings.flower_url
    return found.model_copy(update={"flower_url": flower and str(flower)})
