"""What people do with studies of a list: have one on the desk, assign many, move many up."""

from datetime import datetime
from typing import Any
from uuid import UUID

from fastapi import APIRouter, Response

from api_gateway.auth import FilmReader, LeadOrOperator, UsesLedger, may_ask_for
from api_gateway.idempotency import RunsOnce
from api_gateway.schemas import Answer, Request
from api_gateway.worklist import StudyIds
from xraygpt_core.ledger.lists.assign import Assigned, assign, readers, release
from xraygpt_core.ledger.lists.hasten import Hastened, hasten
from xraygpt_core.ledger.lists.reading import claim_reading, leave_reading
from xraygpt_core.states import Lane

router = APIRouter(prefix="/v1", tags=["lists"])


class ReadingAnswer(Answer):
    """Who has the study on the desk; ``until`` it is renewed or over."""

    name: str
    mine: bool
    until: datetime


class ReaderAnswer(Answer):
    """A person to whom a study can be assigned; ``key_id`` is null for a session that no key opened."""

    key_id: UUID | None
    name: str


class Readers(Answer):
    """By name."""

    readers: list[ReaderAnswer]


class Assign(Request):
    """Studies, and the key of the reader they go to; null is the caller."""

    study_ids: StudyIds
    to: UUID | None = None


class Release(Request):
    """Studies whose assignment ends."""

    study_ids: StudyIds


class Hasten(Request):
    """Studies, and the more urgent lane they go to."""

    study_ids: StudyIds
    lane: Lane


class OneAssigned(Answer):
    """``before``: whose it was, or null. ``refused``: why it stayed as it was, or null."""

    study_id: UUID
    before: ReaderAnswer | None
    refused: str | None


class AssignedAnswer(Answer):
    """One for each study, in the order of the request."""

    studies: list[OneAssigned]


class OneHastened(Answer):
    """``refused``: why it stayed in its lane, or null."""

    study_id: UUID
    refused: str | None


class HastenedAnswer(Answer):
    """One for each study, in the order of the request."""

    studies: list[OneHastened]


@router.put("/studies/{study_id}/reading")
def put_reading(study_id: UUID, ledger: UsesLedger, caller: FilmReader) -> ReadingAnswer:
    """Say that the caller has the study on the desk, for three minutes; renew it while that is so.

    While another person's claim stands, the answer names them. Anybody may sign meanwhile.
    """
    return ReadingAnswer.model_validate(claim_reading(ledger, study_id, caller))


@router.delete("/studies/{study_id}/reading", status_code=204)
def delete_reading(study_id: UUID, ledger: UsesLedger, caller: FilmReader) -> Response:
    """The caller closed the study."""
    leave_reading(ledger, study_id, caller)
    return Response(status_code=204)


@router.get("/readers")
def get_readers(ledger: UsesLedger, _: FilmReader) -> Readers:
    """The people with a key that reads films."""
    return Readers(readers=[ReaderAnswer.model_validate(one) for one in readers(ledger)])


@router.post("/studies/assign")
def post_assign(body: Assign, once: RunsOnce, caller: FilmReader) -> AssignedAnswer:
    """Assign studies. A reader takes unassigned ones; a lead assigns any study to any reader."""
    return AssignedAnswer.model_validate(
        once(lambda ledger: _assigned(assign(ledger, body.study_ids, caller, body.to)))
    )


@router.post("/studies/release")
def post_release(body: Release, once: RunsOnce, caller: FilmReader) -> AssignedAnswer:
    """End assignments. A reader ends their own; a lead ends any."""
    return AssignedAnswer.model_validate(once(lambda ledger: _assigned(release(ledger, body.study_ids, caller))))


@router.post("/studies/hasten")
def post_hasten(body: Hasten, once: RunsOnce, caller: LeadOrOperator) -> HastenedAnswer:
    """Move studies to a more urgent lane: their open work, and their drafts in the list."""
    lane = may_ask_for(body.lane, caller)
    return HastenedAnswer.model_validate(once(lambda ledger: _hastened(hasten(ledger, body.study_ids, lane))))


def _assigned(found: list[Assigned]) -> dict[str, Any]:
    return AssignedAnswer(studies=[OneAssigned.model_validate(one) for one in found]).model_dump(mode="json")


def _hastened(found: list[Hastened]) -> dict[str, Any]:
    return HastenedAnswer(studies=[OneHastened.model_validate(one) for one in found]).model_dump(mode="json")
