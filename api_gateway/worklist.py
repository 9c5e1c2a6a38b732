"""Lists of studies: awaiting review, signed, and all."""

import base64
import struct
from datetime import UTC, datetime, timedelta
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import Field

from api_gateway.auth import FilmReader, UsesLedger
from api_gateway.schemas import Answer
from xraygpt_core.errors import InvalidRequest
from xraygpt_core.ledger.studies.worklist import Cursor, WorklistView, worklist
from xraygpt_core.states import NOTICE, Flag, Lane, ReasonCode, ReviewState, StudyState

router = APIRouter(prefix="/v1", tags=["studies"])

# Version, list, lane, microseconds since 1970, id: 27 bytes are 36 letters of base64, without padding.
_CURSOR = struct.Struct(">BBbq16s")
_VERSION = 1
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

NextPage = Annotated[str, Query(pattern="^[A-Za-z0-9_-]{36}$", description="`next` of the page before")]
Limit = Annotated[int, Query(ge=1, le=200)]


class ListedStudy(Answer):
    """A study in a list. ``opening`` is the beginning of its text, as corrected: show ``notice`` with it."""

    study_id: UUID
    lane: Lane
    state: StudyState
    reason_code: ReasonCode | None
    view: str | None
    flags: list[Flag]
    received_at: datetime
    summary_id: UUID | None
    summarised_at: datetime | None
    review_state: ReviewState | None
    reviewed_by: str | None
    reviewed_at: datetime | None
    opening: str | None
    supersedes_reviewed: bool


_COUNT = {"type": "integer", "maximum": 100}
Awaiting = Annotated[
    dict[Lane, Annotated[int, Field(le=100)]],
    Field(
        description="How many drafts wait for a review in each lane. 100 means 100 or more.",
        json_schema_extra={
            "properties": {lane.value: _COUNT for lane in Lane},
            "required": [lane.value for lane in Lane],
        },
    ),
]


class Studies(Answer):
    """A page. ``next`` is null at the end; a page with filters may be short, or empty, and not be the last."""

    studies: list[ListedStudy]
    next: str | None
    awaiting: Awaiting
    notice: str = NOTICE


@router.get("/studies")
def get_studies(
    ledger: UsesLedger,
    _: FilmReader,
    listing: Annotated[WorklistView, Query(alias="list")] = WorklistView.ALL,
    lane: Lane | None = None,
    state: Annotated[list[StudyState] | None, Query(max_length=len(StudyState))] = None,
    review: Annotated[list[ReviewState] | None, Query(max_length=len(ReviewState))] = None,
    limit: Limit = 50,
    cursor: NextPage | None = None,
) -> Studies:
    """A page of studies.

    ``list=awaiting``: drafts without a review, stat before routine before backlog, the oldest draft first. ``signed``:
    reviewed summaries, the last review first. ``all``: every study, the last arrival first. ``lane``, ``state`` and
    ``review`` (the last two may be repeated) show only those.
    """
    page = worklist(
        ledger,
        listing,
        limit=limit,
        after=None if cursor is None else _place(listing, cursor),
        lane=lane,
        states=state,
        reviews=review,
    )
    return Studies(
        studies=[ListedStudy.model_validate(row) for row in page.rows],
        next=None if page.after is None else _cursor(listing, page.after),
        awaiting=page.awaiting,
    )


def _cursor(listing: WorklistView, place: Cursor) -> str:
    microseconds = (place.at - _EPOCH) // timedelta(microseconds=1)
    packed = _CURSOR.pack(_VERSION, list(WorklistView).index(listing), place.rank, microseconds, place.id.bytes)
    return base64.urlsafe_b64encode(packed).decode()


def _place(listing: WorklistView, cursor: str) -> Cursor:
    """Where a page begins.

    Raises:
        InvalidRequest: no page of this list ends there.
    """
    version, which, rank, microseconds, study = _CURSOR.unpack(base64.urlsafe_b64decode(cursor))
    if version != _VERSION or which != list(WorklistView).index(listing):
        raise InvalidRequest("the cursor belongs to another list: begin without one")
    try:
        at = _EPOCH + timedelta(microseconds=microseconds)
    except OverflowError:
        raise InvalidRequest("the cursor was changed on its way: begin without one") from None
    return Cursor(rank, at, UUID(bytes=study))
