"""Where many images stand, in one request."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter
from pydantic import Field

from api_gateway.auth import Caller
from api_gateway.services import UsesLedger
from api_gateway.wire import Answer, Request
from xraygpt_core.ledger.read import images_status
from xraygpt_core.states import Flag, Lane, ReasonCode, StudyState

router = APIRouter(prefix="/v1/images", tags=["images"])

MAX_IMAGES = 1000


class ImageIds(Request):
    """The images to tell about."""

    image_ids: Annotated[list[UUID], Field(max_length=MAX_IMAGES)]


class ImageAnswer(Answer):
    """An image: its own state if it ended alone, its study's otherwise. ``seconds`` from arrival to its end."""

    image_id: UUID
    study_id: UUID
    state: StudyState
    reason_code: ReasonCode | None
    lane: Lane
    view: str | None
    flags: list[Flag]
    seconds: float | None
    summary: str | None
    findings: str | None
    impression: str | None


class Images(Answer):
    """In the order asked; an id nobody knows is left out."""

    images: list[ImageAnswer]


@router.post("/status")
def post_status(body: ImageIds, ledger: UsesLedger, _: Caller) -> Images:
    """Where up to 1000 images stand."""
    return Images(images=[ImageAnswer.model_validate(one) for one in images_status(ledger, body.image_ids)])
