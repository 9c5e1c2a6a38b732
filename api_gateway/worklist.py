"""Lists of studies: awaiting review, signed, and all; searched, counted, and as a file."""

from datetime import date, datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response
from pydantic import Field

from api_gateway import list_cursor
from api_gateway.auth import FilmReader, UsesLedger
from api_gateway.list_csv import csv_of
from api_gateway.schemas import Answer, Moment, Request, Text
from xraygpt_core.ledger.access.api_keys import ApiKey
from xraygpt_core.ledger.lists.assign import Reader
from xraygpt_core.ledger.lists.filters import Filters
from xraygpt_core.ledger.lists.orders import ORDERS, Order, Sorting, WorklistView, own_sorting
from xraygpt_core.ledger.lists.rows import WorklistRow
from xraygpt_core.ledger.lists.worklist import MOST_COUNTED, Page, count, exported, worklist
from xraygpt_core.ledger.transaction import Ledger
from xraygpt_core.states import NOTICE, Flag, Lane, ReasonCode, ReviewState, StudyState

router = APIRouter(prefix="/v1", tags=["studies"])

MOST_AT_ONCE = 200

NextPage = Annotated[str, Query(pattern=list_cursor.LETTERS, description="`next` of the page before")]
Limit = Annotated[int, Query(ge=1, le=200)]
Word = Annotated[Text, Field(min_length=1, max_length=200)]
SomeWords = Annotated[tuple[Word, ...], Field(max_length=20)]
StudyIds = Annotated[list[UUID], Field(min_length=1, max_length=MOST_AT_ONCE)]


class ListedStudy(Answer):
    """A study in a list. ``opening`` is the beginning of its text, as corrected: show ``notice`` with it.

    ``asserted`` and ``uncertain`` are the findings that the text names, none of a rejected one, null until it was
    labelled. ``read_by`` is another person who has it on the desk now; ``mine`` says that it is assigned to the caller;
    ``withdrawn_by`` took back the caller's signature or overturned it (``review_state`` says which) and acted last.
    """

    study_id: UUID
    lane: Lane
    state: StudyState
    reason_code: ReasonCode | None
    view: str | None
    modality: str | None
    images: int
    acquired_on: date | None
    flags: list[Flag]
    received_at: datetime
    summary_id: UUID | None
    summarised_at: datetime | None
    review_state: ReviewState | None
    reviewed_by: str | None
    reviewed_at: datetime | None
    bundle: str | None
    opening: str | None
    supersedes_reviewed: bool
    asserted: list[str] | None
    uncertain: list[str] | None
    assigned_to: str | None
    mine: bool
    read_by: str | None
    withdrawn_by: str | None
    picture: bool


_COUNT = {"type": "integer", "maximum": MOST_COUNTED}
Awaiting = Annotated[
    dict[Lane, Annotated[int, Field(le=MOST_COUNTED)]],
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


class Chosen(Request):
    """Which studies of a list: all conditions must hold, and of a field with several values one must be met.

    Of ``finding``, ``uncertain`` and ``flag`` every value is met; ``q`` are words, or beginnings of words, of the text
    as it stands; ``received_until`` is not included, both days of acquisition are; ``mine``: assigned to the caller, or
    signed by the caller before another person took that back.
    """

    listing: Annotated[WorklistView, Field(alias="list")] = WorklistView.ALL
    order: Order | None = None
    descending: bool | None = None
    lane: Lane | None = None
    state: Annotated[tuple[StudyState, ...], Field(max_length=len(StudyState))] = ()
    review: Annotated[tuple[ReviewState, ...], Field(max_length=len(ReviewState))] = ()
    finding: SomeWords = ()
    uncertain: SomeWords = ()
    view: SomeWords = ()
    flag: Annotated[tuple[Flag, ...], Field(max_length=len(Flag))] = ()
    bundle: Word | None = None
    reviewer: Word | None = None
    q: Annotated[Text, Field(max_length=200)] | None = None
    received_from: Moment | None = None
    received_until: Moment | None = None
    acquired_from: date | None = None
    acquired_until: date | None = None
    mine: bool = False


class Search(Chosen):
    """A page of them. What a reader types may name a patient: it is in this body alone, neither stored nor logged."""

    limit: Annotated[int, Field(ge=1, le=200)] = 50
    cursor: Annotated[str, Field(pattern=list_cursor.LETTERS)] | None = None


class CountsAnswer(Answer):
    """How many studies there are, and how many with each value of a field, up to 100 each.

    ``whole`` is false if only a part was looked at: there are at least so many. ``mine`` is counted by its filter.
    """

    total: int
    whole: bool
    by: dict[str, dict[str, int]]


class Named(Request):
    """Studies by id."""

    study_ids: StudyIds


@router.get("/studies")
def get_studies(
    ledger: UsesLedger,
    caller: FilmReader,
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
    ``review`` (the last two may be repeated) show only those. POST /v1/studies/search has more filters and orders.
    """
    filters = Filters(lane=lane, states=state or (), reviews=review or ())
    return _page(ledger, caller, listing, own_sorting(listing), filters, limit, cursor)


@router.post("/studies/search")
def post_search(body: Search, ledger: UsesLedger, caller: FilmReader) -> Studies:
    """A page of a list, filtered and in an order. It changes nothing: POST keeps what was typed out of addresses."""
    return _page(ledger, caller, body.listing, _sorting(body), filters_of(body, caller), body.limit, body.cursor)


@router.post("/studies/counts")
def post_counts(body: Chosen, ledger: UsesLedger, caller: FilmReader) -> CountsAnswer:
    """How many studies a search finds, and how many of them have which value."""
    return CountsAnswer.model_validate(
        count(ledger, body.listing, filters=filters_of(body, caller), sorting=_sorting(body))
    )


@router.post(
    "/studies/export",
    response_class=Response,
    responses={200: {"content": {"text/csv": {"schema": {"type": "string"}}}}},
)
def post_export(body: Named, ledger: UsesLedger, _: FilmReader) -> Response:
    """These studies as their list shows them: CSV (RFC 4180), without what a spreadsheet would take for a formula."""
    headers = {"Content-Disposition": 'attachment; filename="studies.csv"', "Cache-Control": "no-store"}
    return Response(csv_of(exported(ledger, body.study_ids)), media_type="text/csv", headers=headers)


def _page(
    ledger: Ledger,
    caller: ApiKey,
    listing: WorklistView,
    sorting: Sorting,
    filters: Filters,
    limit: int,
    cursor: str | None,
) -> Studies:
    after = None if cursor is None else list_cursor.read(listing, sorting, cursor)
    page: Page = worklist(ledger, listing, limit=limit, after=after, filters=filters, sorting=sorting)
    return Studies(
        studies=[_shown(row, caller) for row in page.rows],
        next=None if page.after is None else list_cursor.written(listing, sorting, page.after),
        awaiting=page.awaiting,
    )


def _shown(row: WorklistRow, caller: ApiKey) -> ListedStudy:
    reads_it = (row.read_by, row.read_key) == (caller.name, caller.key_id)
    values = vars(row) | {
        "mine": row.assigned_to == caller.name,
        "read_by": None if reads_it else row.read_by,
        "withdrawn_by": row.withdrawn_by if caller.key_id in row.withdrawn_keys else None,
    }
    return ListedStudy.model_validate(values)


def _sorting(body: Chosen) -> Sorting:
    own = own_sorting(body.listing)
    order = body.order or own.order
    default = own.descending if order is own.order else True
    urgent = order is Order.URGENCY and order in ORDERS[body.listing]
    return Sorting(order, False if urgent else default if body.descending is None else body.descending)


def filters_of(body: Chosen, caller: ApiKey) -> Filters:
    """The same for the ledger."""
    return Filters(
        lane=body.lane,
        states=body.state,
        reviews=body.review,
        findings=body.finding,
        uncertain=body.uncertain,
        views=body.view,
        flags=body.flag,
        bundle=body.bundle,
        reviewer=body.reviewer,
        text=body.q,
        received_from=body.received_from,
        received_until=body.received_until,
        acquired_from=body.acquired_from,
        acquired_until=body.acquired_until,
        mine=Reader(caller.key_id, caller.name) if body.mine else None,
    )
