"""Liveness and readiness, which need no key and show no secret; metrics and status, which need one."""

from collections.abc import Callable
from functools import cache
from http import HTTPStatus
from typing import Annotated, Any

from anyio import CapacityLimiter, to_thread
from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from api_gateway.auth import Token, needs, needs_or
from api_gateway.dependencies import Dependencies, OpenServices
from api_gateway.problems import problem
from api_gateway.schemas import Answer
from xraygpt_core.errors import Unavailable, XrayGPTError
from xraygpt_core.ledger.access.api_keys import ApiKey
from xraygpt_core.ledger.jobs.status import summarised_within, workers
from xraygpt_core.ledger.preflight import check_schema
from xraygpt_core.ledger.training.phases import open_runs
from xraygpt_core.ledger.training.serving import served_bundle
from xraygpt_core.metrics import jobs_by_state, open_training, registry_of
from xraygpt_core.states import JobKind, JobState, Lane, Role

router = APIRouter(tags=["health"])

_LOOKS_AT_ONCE = 2


class Alive(Answer):
    """The process answers."""

    status: str = "alive"


class Ready(Answer):
    """Everything that it needs answers, too."""

    status: str = "ready"


class JobCount(Answer):
    """Jobs of one kind, lane and state, and the age of the oldest in seconds."""

    kind: JobKind
    lane: Lane
    state: JobState
    jobs: int
    oldest_seconds: float | None


class WorkerClaims(Answer):
    """Jobs of one kind that a worker holds: the age of its oldest claim, and the rest of the lease that ends first.

    Below zero the worker was lost.
    """

    worker: str
    kind: JobKind
    jobs: int
    oldest_seconds: float
    lease_seconds: float


class ServedAnswer(Answer):
    """The bundle that the GPU workers load, and the run that made it."""

    name: str
    run_id: Any


class StatusAnswer(Answer):
    """Open work, the workers that hold some of it, and the served bundle."""

    jobs: list[JobCount]
    workers: list[WorkerClaims]
    served: ServedAnswer
    summarised_last_minute: int


@router.get("/healthz")
async def get_health() -> Alive:
    """Alive. The event loop itself answers: no thread is needed, and nothing that others may keep busy."""
    return Alive()


@router.get("/readyz", response_model=Ready)
async def get_readiness(services: OpenServices) -> Response | Ready:
    """Ready, or 503 with what is missing: database, schema, broker, buckets."""
    return await to_thread.run_sync(_readiness, services, limiter=_looks())


@cache
def _looks() -> CapacityLimiter:
    """Strangers may ask, so these questions have threads of their own."""
    return CapacityLimiter(_LOOKS_AT_ONCE)


def _readiness(services: Dependencies) -> Response | Ready:
    checks: dict[str, Callable[[], None]] = {
        "database": services.ledger.database.ping,
        "schema": lambda: check_schema(services.ledger),
        "broker": services.ledger.doorbell.ping,
        "buckets": services.store.check,
    }
    failed = [{"where": name, "problem": why} for name, check in checks.items() if (why := _failure(check))]
    if failed:
        return problem(HTTPStatus.SERVICE_UNAVAILABLE, "not ready", headers={"Retry-After": "2"}, errors=failed)
    return Ready()


@router.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
def get_metrics(
    services: OpenServices, _: Annotated[ApiKey | None, needs_or(Token.METRICS, Role.OPERATOR, Role.ADMIN)]
) -> Response:
    """Prometheus metrics of this process and of the ledger; labels are kinds, lanes, states and routes.

    Send the token of XRAYGPT_METRICS_TOKEN (`Authorization: Bearer`), or a key.
    """
    try:
        counts, runs = services.counts(), open_runs(services.ledger)
    except Unavailable:  # the counts of this process are still worth showing
        counts, runs = [], []
    ledger = generate_latest(jobs_by_state(counts)) + generate_latest(open_training(runs))
    return Response(generate_latest(_own_metrics()) + ledger, media_type=CONTENT_TYPE_LATEST)


@cache
def _own_metrics() -> CollectorRegistry:
    return registry_of("gateway")


@router.get("/v1/status")
def get_status(
    services: OpenServices, _: Annotated[ApiKey, needs(Role.READER, Role.LEAD, Role.ANALYST, Role.OPERATOR, Role.ADMIN)]
) -> StatusAnswer:
    """Jobs by kind, lane and state, the workers that hold some, and the bundle that is served."""
    return StatusAnswer(
        jobs=[JobCount.model_validate(count) for count in services.counts()],
        workers=[WorkerClaims.model_validate(worker) for worker in workers(services.ledger)],
        served=ServedAnswer.model_validate(served_bundle(services.ledger)),
        summarised_last_minute=summarised_within(services.ledger, 60.0),
    )


def _failure(check: Callable[[], None]) -> str | None:
    try:
        check()
    except XrayGPTError as error:
        return type(error).__name__ if not isinstance(error, Unavailable) else "does not answer"
    return None
