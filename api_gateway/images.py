"""The states of many images, in one request."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter
from pydantic import Field

from api_gateway.auth import Submitter, UsesLedger, UsesServices, needs
from api_gateway.object_uris import source_object
from api_gateway.schemas import Answer, ContradictionAnswer, Request, ScopeAnswer, Text
from xraygpt_core.ledger.access.api_keys import ApiKey
from xraygpt_core.ledger.operations.waits import Blocked, images_and_waits
from xraygpt_core.ledger.studies.image_status import ImageStatus
from xraygpt_core.ledger.studies.known_objects import find_images
from xraygpt_core.ledger.studies.objects import ObjectRef
from xraygpt_core.states import Flag, JobKind, JobState, Lane, ReasonCode, Role, StudyState

router = APIRouter(prefix="/v1/images", tags=["images"])

MAX_IMAGES = 1000


class ImageIds(Request):
    """The images to look up."""

    image_ids: Annotated[list[UUID], Field(max_length=MAX_IMAGES)]


class WaitAnswer(Answer):
    """The job that an image waits for: ``since_seconds`` it was queued, or taken by a worker if it is ``running``.

    ``later_seconds``: it may not be taken before then (it is tried again, or the rest of its study may still come).
    ``blocked``: why no worker begins; null if one could. ``ahead``: how many jobs come before the first of each kind
    among the images that were asked for, 1000 at most; null for the others.
    """

    kind: JobKind
    state: JobState
    attempts: int
    since_seconds: float
    later_seconds: float | None
    blocked: Blocked | None
    ahead: int | None


class ImageAnswer(Answer):
    """An image: its own state if it ended alone, its study's otherwise. ``seconds`` from arrival to its end.

    They are null before that; ``age_seconds`` from its arrival to now; ``waits`` is null once it has ended.

    ``flags`` are the image's and its text's; ``scope`` and ``consistency`` belong to the text. An operator sees no
    text: ``summary``, ``findings`` and ``impression`` are null then, and ``consistency``, which quotes it, is empty.
    """

    image_id: UUID
    study_id: UUID
    state: StudyState
    reason_code: ReasonCode | None
    lane: Lane
    view: str | None
    flags: list[Flag]
    seconds: float | None
    age_seconds: float
    waits: WaitAnswer | None
    summary_id: UUID | None
    summary: str | None
    findings: str | None
    impression: str | None
    scope: ScopeAnswer | None
    consistency: list[ContradictionAnswer]


class Content(Request):
    """An object of the source bucket, ``s3://bucket/key``, and the ETag a listing shows for it, without quotes."""

    uri: Text
    etag: Annotated[Text, Field(min_length=1, max_length=200)]


class Contents(Request):
    """The objects to look up."""

    objects: Annotated[list[Content], Field(max_length=MAX_IMAGES)]


class Images(Answer):
    """In the order of the request; unknown ids are left out."""

    images: list[ImageAnswer]


class KnownContents(Answer):
    """In the order of the request; null for a content that was never registered."""

    images: list[ImageAnswer | None]


@router.post("/status")
def post_status(
    body: ImageIds,
    ledger: UsesLedger,
    caller: Annotated[ApiKey, needs(Role.READER, Role.LEAD, Role.OPERATOR, Role.SERVICE)],
) -> Images:
    """The states of up to 1000 images."""
    return Images(
        images=[_shown(one, caller) for one in images_and_waits(ledger, body.image_ids, texts=_reads(caller))]
    )


@router.post("/lookup")
def post_lookup(body: Contents, services: UsesServices, caller: Submitter) -> KnownContents:
    """The images of up to 1000 objects, by address and content. This registers nothing and asks no bucket."""
    refs = [
        ObjectRef(*source_object(one.uri, f"objects[{place}]", services.settings), one.etag)
        for place, one in enumerate(body.objects)
    ]
    ids = find_images(services.ledger, refs)
    found = {
        one.image_id: _shown(one, caller)
        for one in images_and_waits(services.ledger, [one for one in ids if one], texts=_reads(caller))
    }
    return KnownContents(images=[None if image_id is None else found.get(image_id) for image_id in ids])


def _shown(image: ImageStatus, caller: ApiKey) -> ImageAnswer:
    """The image, with its text only if the caller may read texts."""
    answer = ImageAnswer.model_validate(image)
    if _reads(caller):
        return answer
    return answer.model_copy(update={"summary": None, "findings": None, "impression": None, "consistency": []})


def _reads(caller: ApiKey) -> bool:
    return caller.has(Role.READER, Role.LEAD, Role.SERVICE)
