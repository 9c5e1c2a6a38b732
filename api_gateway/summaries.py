"""Summaries: read one and its origin, and queue new ones."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Response
from pydantic import Field

from api_gateway.auth import FilmReader, LeadOrOperator, TextReader, UsesLedger, UsesServices
from api_gateway.idempotency import RunsOnce
from api_gateway.image_responses import PICTURE, IfNoneMatch, picture_answer
from api_gateway.reviews import SummaryAnswer
from api_gateway.schemas import Answer, ContradictionAnswer, Moment, Request, ScopeAnswer, Text
from xraygpt_core.errors import InvalidRequest
from xraygpt_core.ledger.studies.pictures import film
from xraygpt_core.ledger.studies.read import summary
from xraygpt_core.ledger.studies.resummarise import resummarise
from xraygpt_core.ledger.studies.summary_origin import summary_origin
from xraygpt_core.states import NOTICE, Flag, ImageRole

router = APIRouter(prefix="/v1", tags=["summaries"])


class OriginAnswer(Answer):
    """The model's own text, uncorrected, and everything that is needed to compute it again."""

    summary_id: UUID
    text: str
    bundle: str
    bundle_sha256: str
    lease_epoch: int
    flags: list[Flag]
    scope: ScopeAnswer
    consistency: list[ContradictionAnswer]
    provenance: dict[str, Any]
    notice: str = NOTICE


class Where(Request):
    """Which studies: all conditions must hold."""

    from_bundle: Text | None = None
    since: Moment | None = None
    until: Moment | None = None
    view: Text | None = None


class Resummarise(Request):
    """Either studies by id, or those of a condition; ``bundle`` must be the served one if it is given."""

    study_ids: Annotated[list[UUID], Field(min_length=1, max_length=1000)] | None = None
    where: Where | None = None
    bundle: Text | None = None


class Queued(Answer):
    """How many summaries were queued; studies that this bundle summarised already are not."""

    queued: int


@router.get("/summaries/{summary_id}")
def get_summary(summary_id: UUID, ledger: UsesLedger, _: TextReader) -> SummaryAnswer:
    """One summary, current or superseded."""
    return SummaryAnswer.model_validate(summary(ledger, summary_id))


@router.get("/summaries/{summary_id}/origin")
def get_origin(summary_id: UUID, ledger: UsesLedger, _: FilmReader) -> OriginAnswer:
    """The origin of a summary. 404 once its image was purged."""
    return OriginAnswer.model_validate(summary_origin(ledger, summary_id))


@router.get("/summaries/{summary_id}/image.png", response_class=Response, responses=PICTURE)
def get_image(
    summary_id: UUID,
    services: UsesServices,
    _: FilmReader,
    cached: IfNoneMatch = None,
    role: ImageRole = ImageRole.FRONTAL,
) -> Response:
    """A normalised image that the model saw; its SHA-256 is in the provenance. 404 if it saw none of this role."""
    return picture_answer(services, film(services.ledger, summary_id, role), cached)


@router.post("/resummarise", status_code=202)
def post_resummarise(body: Resummarise, ledger: UsesLedger, once: RunsOnce, _: LeadOrOperator) -> Queued:
    """Queue new summaries on the backlog lane, once per study, revision and bundle."""
    if (body.study_ids is None) == (body.where is None):
        raise InvalidRequest("name the studies by study_ids or by where, one of the two")
    where = (body.where or Where()).model_dump()
    return Queued.model_validate(
        once.in_steps(lambda _: {"queued": resummarise(ledger, study_ids=body.study_ids, bundle=body.bundle, **where)})
    )
