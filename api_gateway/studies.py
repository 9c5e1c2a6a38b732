"""Studies: hand objects in, see where they stand, cancel, purge."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Response
from pydantic import Field, JsonValue

from api_gateway.auth import UsesLedger, UsesServices, may_ask_for, needs
from api_gateway.dependencies import Dependencies
from api_gateway.idempotency import RunsOnce
from api_gateway.image_responses import PICTURE, IfNoneMatch, picture_answer
from api_gateway.object_uris import source_object
from api_gateway.reviews import ReviewAnswer, SummaryAnswer
from api_gateway.schemas import Answer, Request, Text
from xraygpt_core.errors import InvalidRequest, ObjectMissing
from xraygpt_core.ledger.access.api_keys import ApiKey
from xraygpt_core.ledger.studies.cancel import cancel_study
from xraygpt_core.ledger.studies.pictures import preview
from xraygpt_core.ledger.studies.purge import purge_study
from xraygpt_core.ledger.studies.read import study, timeline
from xraygpt_core.ledger.studies.register import ObjectRef, Registered, register_objects
from xraygpt_core.states import Flag, ImageState, Lane, ReasonCode, Role, StudyState

router = APIRouter(prefix="/v1/studies", tags=["studies"])

MAX_OBJECTS = 1000
_HEADS_AT_ONCE = 4  # more wait for the interpreter, not for the bucket


class SubmittedObject(Request):
    """An object of the source bucket: ``s3://bucket/key``, the key as it is, not percent-encoded."""

    uri: Text


class Submission(Request):
    """Objects to summarise, and how urgent they are."""

    objects: Annotated[list[SubmittedObject], Field(min_length=1, max_length=MAX_OBJECTS)]
    lane: Lane = Lane.ROUTINE


class SubmittedImage(Answer):
    """What an object became. ``source`` is the address it was sent under; no other answer repeats it."""

    image_id: UUID
    study_id: UUID
    source: str


class Submitted(Answer):
    """One row per object, in the order sent."""

    images: list[SubmittedImage]


class StudyImageAnswer(Answer):
    """One image of a study; ``chosen`` is the one that is summarised."""

    image_id: UUID
    state: ImageState
    reason_code: ReasonCode | None
    view: str | None
    flags: list[Flag]
    chosen: bool


class StudyAnswer(Answer):
    """A study, its images, and its current summary; ``reviewed`` is the one a clinician read, while that is a draft.

    ``reviews`` is all that people said about any of its summaries, by summary, the oldest first.
    """

    study_id: UUID
    state: StudyState
    reason_code: ReasonCode | None
    lane: Lane
    revision: int
    view: str | None
    flags: list[Flag]
    received_at: datetime
    images: list[StudyImageAnswer]
    summary: SummaryAnswer | None
    reviewed: SummaryAnswer | None
    reviews: list[ReviewAnswer]


class Step(Answer):
    """One step of a study's story."""

    at: datetime
    what: str
    who: str
    image_id: UUID | None
    job_id: UUID | None
    attempt: int | None
    epoch: int | None
    detail: JsonValue


class Timeline(Answer):
    """Every step of a study, oldest first."""

    study_id: UUID
    steps: list[Step]


@router.post("", status_code=202)
def post_studies(
    body: Submission,
    services: UsesServices,
    once: RunsOnce,
    caller: Annotated[ApiKey, needs(Role.OPERATOR, Role.SERVICE)],
) -> Submitted:
    """Hand objects of the source bucket in. The same object again is the same image; a higher lane raises its work."""
    lane = may_ask_for(body.lane, caller)

    def looked_up() -> Callable[[], dict[str, Any]]:
        refs = _look_up(services, [one.uri for one in body.objects])
        return lambda: _registered(register_objects(services.ledger, refs, lane, actor="gateway"))

    ids = once.prepared(looked_up)["images"]
    return Submitted(
        images=[SubmittedImage(**one, source=sent.uri) for one, sent in zip(ids, body.objects, strict=True)]
    )


def _registered(found: Sequence[Registered]) -> dict[str, Any]:
    return {"images": [{"image_id": str(one.image_id), "study_id": str(one.study_id)} for one in found]}


@router.get("/{study_id}")
def get_study(
    study_id: UUID, ledger: UsesLedger, _: Annotated[ApiKey, needs(Role.READER, Role.LEAD, Role.SERVICE)]
) -> StudyAnswer:
    """A study under its own id or the provisional one it was submitted under."""
    return StudyAnswer.model_validate(study(ledger, study_id))


@router.delete("/{study_id}", status_code=204)
def delete_study(study_id: UUID, services: UsesServices, _: Annotated[ApiKey, needs(Role.ADMIN)]) -> Response:
    """Purge a study: texts, turns and derived objects go, a content-free tombstone keeps it from coming back."""
    purge_study(services.ledger, study_id, services.store.delete)
    return Response(status_code=204)


@router.post("/{study_id}/cancel", status_code=204)
def post_cancel(study_id: UUID, ledger: UsesLedger, _: Annotated[ApiKey, needs(Role.LEAD, Role.OPERATOR)]) -> Response:
    """Stop all open work of a study. 409 if it is over already."""
    cancel_study(ledger, study_id)
    return Response(status_code=204)


@router.get("/{study_id}/timeline")
def get_timeline(
    study_id: UUID, ledger: UsesLedger, _: Annotated[ApiKey, needs(Role.READER, Role.LEAD, Role.SERVICE)]
) -> Timeline:
    """What happened to a study, step by step."""
    return Timeline(study_id=study_id, steps=[Step.model_validate(step) for step in timeline(ledger, study_id)])


@router.get("/{study_id}/preview.png", response_class=Response, responses=PICTURE)
def get_preview(
    study_id: UUID,
    services: UsesServices,
    _: Annotated[ApiKey, needs(Role.READER, Role.LEAD)],
    known: IfNoneMatch = None,
) -> Response:
    """The chosen image, 8 bit grey, long side at most 1024 pixels."""
    return picture_answer(services, preview(services.ledger, study_id), known)


def _look_up(services: Dependencies, uris: Sequence[str]) -> list[ObjectRef]:
    """Each object with the ETag it has now, which is part of its identity.

    Raises:
        InvalidRequest: an address is malformed, of another bucket, or leads nowhere. Names its place, never its key.
    """
    places = [source_object(uri, f"objects[{place}]", services.settings) for place, uri in enumerate(uris)]

    def look(place: int, bucket: str, key: str) -> ObjectRef:
        try:
            head = services.store.head(bucket, key)
        except ObjectMissing:
            raise InvalidRequest(f"objects[{place}]: the bucket has no such object") from None
        return ObjectRef(bucket, key, head.etag, head.version_id, head.size)

    if len(places) == 1:
        return [look(0, *places[0])]
    with ThreadPoolExecutor(min(_HEADS_AT_ONCE, len(places))) as pool:
        return list(pool.map(look, range(len(places)), *zip(*places, strict=True)))
