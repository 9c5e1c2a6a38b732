"""Submissions: a caller names objects of the source bucket, and each becomes an image of a study."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, Any, Self
from uuid import UUID

from fastapi import APIRouter
from pydantic import Field, model_validator

from api_gateway.auth import Submitter, UsesServices, may_ask_for
from api_gateway.dependencies import Dependencies
from api_gateway.idempotency import RunsOnce
from api_gateway.object_uris import source_object
from api_gateway.said_of_films import SaidOfFilms, sealing
from api_gateway.schemas import Answer, Request, Text
from xraygpt_core.errors import InvalidRequest, ObjectMissing
from xraygpt_core.ledger.studies.register import ObjectRef, Registered, register_objects
from xraygpt_core.ledger.transaction import Ledger
from xraygpt_core.states import Lane

router = APIRouter(prefix="/v1/studies", tags=["studies"])

MAX_OBJECTS = 1000
_HEADS_AT_ONCE = 4  # more would wait for the interpreter, not for the bucket


class SubmittedObject(Request):
    """An object of the source bucket: ``s3://bucket/key``, the key as it is, not percent-encoded."""

    uri: Text


class Submission(SaidOfFilms):
    """Objects to summarise, and how urgent they are."""

    objects: Annotated[list[SubmittedObject], Field(min_length=1, max_length=MAX_OBJECTS)]
    lane: Lane = Lane.ROUTINE

    @model_validator(mode="after")
    def _of_one_study(self) -> Self:
        return self.about(len(self.objects))


class SubmittedImage(Answer):
    """The image of an object. ``source`` is its address as sent; no other answer repeats it."""

    image_id: UUID
    study_id: UUID
    source: str


class Submitted(Answer):
    """One row per object, in the order sent."""

    images: list[SubmittedImage]


@router.post("", status_code=202)
def post_studies(body: Submission, services: UsesServices, once: RunsOnce, caller: Submitter) -> Submitted:
    """Submit objects of the source bucket. The same object again is the same image; a higher lane raises its work."""
    lane, words = may_ask_for(body.lane, caller), sealing(services, body)

    def looked_up() -> Callable[[Ledger], dict[str, Any]]:
        refs = _look_up(services, [one.uri for one in body.objects])
        return lambda _: _registered(register_objects(services.ledger, refs, lane, actor="gateway", words=words))

    ids = once.prepared(looked_up)["images"]
    return Submitted(
        images=[SubmittedImage(**one, source=sent.uri) for one, sent in zip(ids, body.objects, strict=True)]
    )


def _registered(found: Sequence[Registered]) -> dict[str, Any]:
    return {"images": [{"image_id": str(one.image_id), "study_id": str(one.study_id)} for one in found]}


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
